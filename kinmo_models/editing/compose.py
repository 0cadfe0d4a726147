"""Put what was written anew beside what stays: in time by features, by joint group in space.

In time: decoded tokens say less than the motion does, as its own tokens show when they are decoded. What they
leave out is therefore added to what is decoded. Far from an edit the result is then the motion itself; beside
it the decoder's answer to the new tokens, which is smooth, fades out, and inside of it what the tokens leave
out at its edge does.

By group: every group is taken from the source or from the new motion, in the frame of what it hangs on (neck
and arms on the chest, legs on the pelvis, the trunk upright over the hips), and set onto that of the result.
A limb so stays on the body, and what is held on a body that is held stays exactly where it was.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.schema.features import BLOCKS
from kinmo_annotate.schema.skeleton import (
    FORWARD,
    GROUP_NAMES,
    GROUPS,
    JOINT,
    LATERAL,
    NUM_JOINTS,
    PARENTS,
    UP,
)

Features = NDArray[np.float32]
Joints = NDArray[np.floating]

FADE: Final = 8  # rows beside an edge of an edit over which one thing becomes another

_PELVIS, _CHEST = JOINT["pelvis"], JOINT["spine3"]
_HIPS: Final = (JOINT["left_hip"], JOINT["right_hip"])
_OF_PELVIS: Final = (*_HIPS, JOINT["spine1"])
_OF_CHEST: Final = (JOINT["neck"], JOINT["left_collar"], JOINT["right_collar"])
_ON_CHEST: Final = ("neck", "left_arm", "right_arm")
_ROOTED: Final = frozenset({"torso", "left_leg", "right_leg"})
_GROUP_OF: Final = {joint: name for name, joints in GROUPS.items() for joint in joints}


# in time ----------------------------------------------------------------------------------------------------


def compose_in_time(rows: Features, before: Features, after: Features, edited: NDArray[np.bool_]) -> Features:
    """Give a motion's own features outside of an edit and decoded ones inside, without a break.

    Args:
        rows: (T, 263) of the motion, not normalised; what stands in edited rows does not count.
        before: (T, 263) of its tokens as they were.
        after: (T, 263) of its tokens after the edit.
        edited: (T,) which rows were written anew.

    Returns:
        (T, 263): the motion's rows, bit for bit, from `FADE` rows beside the edit on.
    """
    if edited.all():
        return after.copy()
    if not edited.any():
        return rows.copy()
    _, to_edit = _nearest(edited)
    edge, to_edge = _nearest(~edited)
    answer = _fall(to_edit - 1)[:, None] * (after - before)
    left_out = _fall(to_edge)[:, None] * (rows - before)[edge]
    mixed = np.where(edited[:, None], after + left_out, rows + answer).astype(np.float32)
    mixed[:, BLOCKS["contacts"]] = mixed[:, BLOCKS["contacts"]] > 0.5
    far = ~edited & (to_edit > FADE)
    mixed[far] = rows[far]
    return mixed


def smooth_seams(rows: Features, edited: NDArray[np.bool_]) -> Features:
    """Take a little of the sharpest turns out of a motion where an edit meets what stays.

    Args:
        rows: (T, 263), not normalised.
        edited: (T,) which rows were written anew.

    Returns:
        (T, 263) with each number averaged over three rows at a seam, less so away from it, and not at all
        from `FADE` rows on. Contacts stay.
    """
    _, inside = _nearest(edited)
    _, outside = _nearest(~edited)
    share = _fall(2 * np.maximum(np.maximum(inside, outside) - 1, 0))[:, None]
    padded = np.concatenate([rows[:1], rows, rows[-1:]])
    mean = 0.25 * padded[:-2] + 0.5 * rows + 0.25 * padded[2:]
    smooth = np.where(share > 0, rows + share * (mean - rows), rows).astype(np.float32)
    smooth[:, BLOCKS["contacts"]] = rows[:, BLOCKS["contacts"]]
    return smooth


def _nearest(marked: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Give for each of T rows the nearest that is marked, and how far it is."""
    places = np.flatnonzero(marked)
    away = np.abs(np.arange(len(marked))[:, None] - places[None])
    return places[away.argmin(axis=1)], away.min(axis=1)


def _fall(distance: NDArray[np.intp]) -> NDArray[np.float32]:
    """Fall smoothly from 1 at no distance to 0 at `FADE` and beyond."""
    share = np.clip(distance / FADE, 0.0, 1.0)
    return (0.5 + 0.5 * np.cos(np.pi * share)).astype(np.float32)


# by group ---------------------------------------------------------------------------------------------------


def compose_groups(source: Joints, new: Joints, held: Collection[str]) -> NDArray[np.float32]:
    """Take the held groups from the source and the others from the new motion, all on one body.

    The pelvis goes where the source's does if the torso or a leg is held, else where that of the new motion
    does. A held group whose parent moves keeps its pose and goes with it.

    Args:
        source: (T, 22, 3) metres, y up.
        new: (T, 22, 3), the motion that was written anew.
        held: names of groups that are to stay as they are.

    Returns:
        (T, 22, 3), every bone as long as the source's.
    """
    root = source if _ROOTED & set(held) else new
    trunk = source if "torso" in held else new
    result = np.empty(source.shape)
    # A new trunk on a pelvis that is held faces as the hips do, and bends and leans from upright as it did:
    # in the frame of the pelvis a bow would lose what of it the pelvis does.
    hips = _heading_between(trunk, root)
    _set(result, GROUPS["torso"], trunk, _PELVIS, hips, root[:, _PELVIS])
    for name in GROUP_NAMES[1:]:
        origin = source if name in held else new
        if name in _ON_CHEST:
            turn = hips @ turn_between(origin, trunk, _CHEST, _OF_CHEST)
            _set(result, GROUPS[name], origin, _CHEST, turn, result[:, _CHEST])
        else:
            turn = turn_between(origin, root, _PELVIS, _OF_PELVIS)
            _set(result, GROUPS[name], origin, _PELVIS, turn, root[:, _PELVIS])
    return _with_bones(result, source, held).astype(np.float32)


def turn_between(origin: Joints, target: Joints, parent: int, children: Sequence[int]) -> NDArray[np.float64]:
    """Find the rotations that turn a joint's children onto those of another motion, by least squares.

    Source: Kabsch, with the sign that keeps mirrors out.

    Args:
        origin: (T, 22, 3) metres.
        target: (T, 22, 3) metres.
        parent: the joint.
        children: three or more joints that hang on it.

    Returns:
        (T, 3, 3); the identity where both motions are one.
    """
    if origin is target:
        return np.broadcast_to(np.eye(3), (len(origin), 3, 3))
    here, there = (
        np.asarray(one[:, list(children)] - one[:, parent, None], np.float64) for one in (origin, target)
    )
    left, _, right = np.linalg.svd(np.einsum("tki,tkj->tij", there, here))
    signs = np.ones((len(origin), 1, 3))
    signs[:, 0, 2] = np.sign(np.linalg.det(left @ right))
    return np.asarray((left * signs) @ right)


def _heading_between(origin: Joints, target: Joints) -> NDArray[np.float64]:
    """Find the turns (T, 3, 3) about the vertical that bring the line of the hips to another motion's."""
    if origin is target:
        return np.broadcast_to(np.eye(3), (len(origin), 3, 3))
    lines = [np.asarray(one[:, _HIPS[0]] - one[:, _HIPS[1]], np.float64) for one in (origin, target)]
    here, there = (np.arctan2(-line[:, FORWARD], line[:, LATERAL]) for line in lines)
    turn = np.zeros((len(origin), 3, 3))
    turn[:, UP, UP] = 1.0
    turn[:, LATERAL, LATERAL] = turn[:, FORWARD, FORWARD] = np.cos(there - here)
    turn[:, LATERAL, FORWARD] = np.sin(there - here)
    turn[:, FORWARD, LATERAL] = -np.sin(there - here)
    return turn


def _set(
    result: Joints,
    joints: Sequence[int],
    origin: Joints,
    parent: int,
    turn: NDArray[np.float64],
    place: Joints,
) -> None:
    """Set joints of `origin`, turned (T, 3, 3) about their parent, to where that is in the result (T, 3)."""
    arms = origin[:, list(joints)] - origin[:, parent, None]
    result[:, list(joints)] = place[:, None] + np.einsum("tij,tkj->tki", turn, arms)


def _with_bones(joints: Joints, source: Joints, held: Collection[str]) -> Joints:
    """Give bones of new groups the source's lengths; what hangs on a bone goes with it.

    Bones of held groups have them already, and are moved as they are, so that they lose nothing.
    """
    result = joints.copy()
    for joint in range(1, NUM_JOINTS):
        parent = PARENTS[joint]
        bone = joints[:, joint] - joints[:, parent]
        if _GROUP_OF[joint] not in held:
            length = np.linalg.norm(source[:, joint] - source[:, parent], axis=1, keepdims=True)
            bone = bone * (length / np.linalg.norm(bone, axis=1, keepdims=True).clip(1e-9))
        elif (result[:, parent] == joints[:, parent]).all():
            continue
        result[:, joint] = result[:, parent] + bone
    return result
