"""Geometry of motions in torch, differentiable, equal to kinmo_annotate.schema."""
