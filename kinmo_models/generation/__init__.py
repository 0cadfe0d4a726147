"""Motions from text: masked motion tokens, written from the whole to the parts (KinMo, 3.4)."""
