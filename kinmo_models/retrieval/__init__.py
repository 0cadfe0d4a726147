"""Hierarchical text-motion alignment (KinMo, 3.3): text finds motion and motion finds text."""
