"""How much a field moves at all, and states that are held: still, raised, bent, upright."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_annotate.schema.vocabulary import field_kind
from kinmo_annotate.signals import Array, Signals
from kinmo_annotate.verify.findings import CONTRADICTED, NOT_CHECKABLE, SUPPORTED, Verdict
from kinmo_annotate.verify.moves import foot_travel

# kind -> signal -> the change that is worth a sentence, metres or degrees
_NOTABLE: Final[dict[str, dict[str, float]]] = {
    "torso": {
        "pitch": 15, "roll": 12, "twist": 25, "heading": 35, "forward": 0.35, "left": 0.35, "height": 0.12,
    },
    "neck": {"pitch": 15, "roll": 15},
    "arm": {"up": 0.20, "forward": 0.25, "out": 0.25, "flexion": 40},
    "leg": {"height": 0.12, "forward": 0.25, "out": 0.20, "flexion": 35},
    "pair": {"distance": 0.15, "angle": 30},
}  # fmt: skip
# A leg that steps or jumps opens and closes the hip by more than is worth a sentence.
_GAIT_DEG: Final = 42.0
_OF_FIELD: Final = {
    field: [((field, channel), notable) for channel, notable in _NOTABLE[field_kind(field)].items()]
    for field in FIELDS
} | {
    f"torso__{side}_leg": [
        ((f"torso__{side}_leg", "distance"), 0.15), ((f"torso__{side}_leg", "angle"), _GAIT_DEG),
    ]
    for side in ("left", "right")
}  # fmt: skip
# A change of place is told from these on: metres on either side.
_PLACES: Final = {"up": 0.05, "forward": 0.08}
# The same movement seen from another frame: an arm that the trunk carries moves in one of them only.
_CARRIED: Final = {
    ("arm", "up"): "trunk_up", ("arm", "forward"): "trunk_forward", ("arm", "out"): "trunk_out",
    ("neck", "pitch"): "upright_pitch", ("neck", "roll"): "upright_roll",
}  # fmt: skip
_ANGLES: Final = frozenset(("pitch", "roll", "twist", "heading", "flexion", "angle"))
# Slower than this much of notable a second is a drift that nobody would tell.
_DRIFT: Final = 0.45
_MOSTLY: Final = 0.5
_MOVES_FROM: Final = 1.3
_PASSES_FROM: Final = 1.6
STILL_UP_TO: Final = 1.0
_HANGS_M, _RAISED_M = -0.30, -0.15
_BENT_DEG, _STRAIGHT_DEG, _TILTED_DEG = 25.0, 60.0, 35.0


def moves_at_all(signals: Signals, field: str, frames: slice, share: float) -> bool:
    """Tell whether any signal of a field changes by this share of what is worth a sentence."""
    for key, notable in _OF_FIELD[field]:
        x = signals.values.get(key)
        if x is not None and float(x[frames].max() - x[frames].min()) >= share * notable:
            return True
    return False


def shares_of_still(signals: Sequence[Signals]) -> list[dict[str, float]]:
    """For each motion and field, its largest change in units of what is worth a sentence.

    Changes of place of a pair count so that they reach 1 where they are beyond doubt.
    """
    names = list(signals[0].values)
    lows, highs = (np.stack(ends) for ends in zip(*((s.lowest, s.highest) for s in signals), strict=True))
    shares = np.zeros((len(signals), len(FIELDS)))
    for column, field in enumerate(FIELDS):
        for key, notable in _OF_FIELD[field]:
            if key in signals[0].values:
                row = names.index(key)
                np.maximum(shares[:, column], (highs[:, row] - lows[:, row]) / notable, out=shares[:, column])
        for channel, notable in _PLACES.items() if "__" in field else ():
            row = names.index((field, channel))
            passed = np.minimum(highs[:, row], -lows[:, row]) / (_PASSES_FROM * notable)
            np.maximum(shares[:, column], passed, out=shares[:, column])
    return [dict(zip(FIELDS, row, strict=True)) for row in shares.tolist()]


def judge_stillness(signals: Signals, field: str, frames: slice) -> Verdict:
    """Hold "no notable movement" against everything that a field does in some frames."""
    best, most, told = 0.0, "", 0.0
    for key, notable in _OF_FIELD[field]:
        if key not in signals.values:
            continue
        size = float(np.ptp(signals.values[key][frames])) / notable
        if size > max(best, STILL_UP_TO):
            size = min(size, _own_share(signals, field, key[1], frames, notable))
        if size > best:
            best, most, told = size, key[1], size * notable
    place = _passes(signals, field, frames) if "__" in field and best < _MOVES_FROM else ""
    if place:
        return Verdict(CONTRADICTED, f"one comes to be on the other side of the other, {place}")
    angle = most in _ANGLES
    evidence = (
        f"its {most} changes by {told:.{0 if angle else 2}f} {'degrees' if angle else 'm'}" if most else ""
    )
    if best >= _MOVES_FROM:
        return Verdict(CONTRADICTED, evidence)
    return Verdict(SUPPORTED if best <= STILL_UP_TO else NOT_CHECKABLE, evidence)


def _passes(signals: Signals, field: str, frames: slice) -> str:
    """How far one group passes the other, in words; nothing where it hardly does."""
    for channel, notable in _PLACES.items():
        x = signals.values[field, channel][frames]
        passed = min(float(x.max()), -float(x.min()))
        if passed >= _PASSES_FROM * notable:
            return f"by {passed:.2f} m {'up or down' if channel == 'up' else 'forward or backward'}"
    return ""


def _own_share(signals: Signals, field: str, channel: str, frames: slice, notable: float) -> float:
    """The change in units of notable without what the rest of the body did, and without slow drift."""
    kind = field_kind(field)
    x = signals.values[field, channel][frames]
    share = float(np.ptp(x)) / notable
    quick = _quick(x, _DRIFT * notable / signals.fps) / notable
    if quick < _MOSTLY * share:  # a drift with something quicker on top
        share = quick
    other = _CARRIED.get((kind, channel))
    if other is not None:
        share = min(share, float(np.ptp(signals.values[field, other][frames])) / notable)
    if kind == "leg" and channel in ("forward", "out"):
        share = min(share, foot_travel(signals, field.split("_")[0], frames) / notable)
    return share


def _quick(x: Array, drift: float) -> float:
    """The largest change of a signal (T,) beyond `drift` a frame."""
    t = drift * np.arange(len(x))
    up, down = x - t, -x - t
    return float(max((up - np.minimum.accumulate(up)).max(), (down - np.minimum.accumulate(down)).max()))


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
        pitch, roll = (np.abs(values["torso", name][frames]) for name in ("pitch", "roll"))
        tilt = float(np.median(np.maximum(pitch, roll)))
        return _said(tilt > _TILTED_DEG, f"the trunk is {tilt:.0f} degrees off upright")
    return Verdict(NOT_CHECKABLE, "")


def _said(wrong: bool, evidence: str) -> Verdict:
    return Verdict(CONTRADICTED if wrong else SUPPORTED, evidence)
