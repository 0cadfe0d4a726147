"""Motions whose joints follow given paths: a branch beside the frozen generator (KinMo, 3.4, Eq. 6)."""
