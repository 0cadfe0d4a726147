"""Edits of motions: in time, by changed texts, and of single joint groups (KinMo, 3.4)."""
