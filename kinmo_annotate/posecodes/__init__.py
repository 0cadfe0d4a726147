"""Pose captions: measure joints, name what stands out, word it, the same way for the same pose."""

from __future__ import annotations

from kinmo_annotate.posecodes.captions import PoseCaptions, caption_motion, caption_motions

__all__ = ["PoseCaptions", "caption_motion", "caption_motions"]
