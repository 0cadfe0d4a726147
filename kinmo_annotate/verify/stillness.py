"""How much a field moves at all, and states that are held: still, raised, bent, upright."""

from __future__ import annotations

from typing import Final

import numpy as np

from kinmo_annotate.schema.vocabulary import field_kind
from kinmo_annotate.signals import Signals
from kinmo_annotate.verify.findings import CONTRADICTED, NOT_CHECKABLE, SUPPORTED, Verdict
from kinmo_annotate.verify.moves import Array
from kinmo_annotate.verify.rhythms import foot_travel

# kind -> signal -> the change that is worth a sentence, metres or degrees
_NOTABLE: Final[dict[str, dict[str, float]]] = {
    "torso": {
        "pitch": 15,
        "roll": 12,
        "twist": 25,
        "heading": 35,
        "forward": 0.35,
        "left": 0.35,
        "height": 0.12,
    },
    "neck": {"pitch": 15, "roll": 15},
    "arm": {"up": 0.20, "forward": 0.25, "out": 0.25, "flexion": 40},
    "leg": {"height": 0.12, "forward": 0.25, "out": 0.20, "flexion": 35},
    "pair": {"distance": 0.15, "angle": 30},
}
# The same movement seen from another frame: an arm that the trunk carries moves in one of them only.
_CARRIED: Final = {
    ("arm", "up"): "trunk_up", ("arm", "forward"): "trunk_forward", ("arm", "out"): "trunk_out",
    ("neck", "pitch"): "upright_pitch", ("neck", "roll"): "upright_roll",
}  # fmt: skip
# Slower than this much of notable a second is a drift that nobody would tell.
_DRIFT: Final = 0.45
_MOVES_FROM: Final = 1.3
_STILL_UP_TO: Final = 1.0
_HANGS_M, _RAISED_M = -0.30, -0.15
_BENT_DEG, _STRAIGHT_DEG, _TILTED_DEG = 25.0, 60.0, 35.0


def busiest(signals: Signals, field: str, frames: slice) -> tuple[float, str, float]:
    """The signal of a field that changes most, against what is worth a sentence.

    Returns:
        (change in units of notable, the signal's name, the change in metres or degrees).
    """
    kind, best = field_kind(field), (0.0, "", 0.0)
    for channel, notable in _NOTABLE[kind].items():
        x = signals.values.get((field, channel))
        if x is None:
            continue
        size = float(np.ptp(x[frames]))
        if size > best[0] * notable:
            size = min(size, _own_share(signals, field, channel, frames) * notable)
            if size > best[0] * notable:
                best = (size / notable, channel, size)
    return best


def _own_share(signals: Signals, field: str, channel: str, frames: slice) -> float:
    """The change in units of notable without what the rest of the body did, and without slow drift."""
    kind = field_kind(field)
    notable = _NOTABLE[kind][channel]
    x = signals.values[field, channel][frames]
    share = _quick(x, _DRIFT * notable / signals.fps) / notable
    other = _CARRIED.get((kind, channel))
    if other is not None:
        share = min(share, float(np.ptp(signals.values[field, other][frames])) / notable)
    if kind == "leg" and channel in ("forward", "out"):
        share = min(share, foot_travel(signals, field.split("_")[0], frames) / notable)
    return share


def _quick(x: Array, drift: float) -> float:
    """The largest change of a signal (T,) faster than `drift` a frame."""
    t = drift * np.arange(len(x))
    up, down = x - t, -x - t
    return float(max((up - np.minimum.accumulate(up)).max(), (down - np.minimum.accumulate(down)).max()))


def judge_stillness(signals: Signals, field: str, frames: slice) -> Verdict:
    """Hold "no notable movement" against everything that a field does."""
    size, channel, amount = busiest(signals, field, frames)
    unit = (
        "m"
        if amount < 3 and channel not in ("pitch", "roll", "twist", "heading", "flexion", "angle")
        else "degrees"
    )
    evidence = f"its {channel} changes by {amount:.2g} {unit}" if channel else "nothing changes"
    if size >= _MOVES_FROM:
        return Verdict(CONTRADICTED, evidence)
    return Verdict(SUPPORTED if size <= _STILL_UP_TO else NOT_CHECKABLE, evidence)


def judge_pose(signals: Signals, field: str, pose: str, frames: slice) -> Verdict:
    """Hold a state that is said to be held against the motion."""
    kind, values = field_kind(field), signals.values
    if kind == "arm" and pose in ("raised", "lowered"):
        up = values[field, "up"][frames]
        wrong = up.max() < _HANGS_M if pose == "raised" else up.min() > _RAISED_M
        return _said(bool(wrong), f"the wrist is {up.min():.2f} to {up.max():.2f} m above the shoulder")
    if kind in ("arm", "leg") and pose in ("bent", "straight"):
        angle = values[field, "flexion"][frames]
        wrong = angle.max() < _BENT_DEG if pose == "bent" else angle.min() > _STRAIGHT_DEG
        return _said(bool(wrong), f"it is bent by {angle.min():.0f} to {angle.max():.0f} degrees")
    if kind == "torso" and pose == "upright":
        tilt = np.maximum(np.abs(values["torso", "pitch"][frames]), np.abs(values["torso", "roll"][frames]))
        return _said(
            bool(np.median(tilt) > _TILTED_DEG), f"the trunk is {np.median(tilt):.0f} degrees off upright"
        )
    return Verdict(NOT_CHECKABLE, "")


def _said(wrong: bool, evidence: str) -> Verdict:
    return Verdict(CONTRADICTED if wrong else SUPPORTED, evidence)
