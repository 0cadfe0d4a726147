"""What a language model is told of one motion: the texts for the placeholders of a prompt's motion part.

Nothing here depends on the motion's id or on the other motions of a batch, so that equal motions are asked
about once. However long the motion, the texts stay within bounds, and say what was left out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Final

from kinmo_annotate.describe.phrases import GROUP_WORDS, PAIR_JOINTS, hand_height
from kinmo_annotate.describe.plan import Clause, plan
from kinmo_annotate.differences import Differences, find_differences
from kinmo_annotate.posecodes import PoseCaptions, caption_motions
from kinmo_annotate.schema.records import Caption, Event, Keyframe, Motion
from kinmo_annotate.schema.skeleton import FIELDS, GROUP_NAMES
from kinmo_annotate.schema.vocabulary import action_of, field_kind
from kinmo_annotate.signals import Signals

MOST_CAPTIONS: Final = 5
MOST_CAPTION_BYTES: Final = 200  # of UTF-8: a token is at least one, whatever the script
MOST_KEYFRAMES: Final = 8
MOST_POSE_CHARACTERS: Final = 160
# Clauses of a group and of a pair: what 35 words can tell, then fewer until the table fits. Pairs
# are shortened first: much of what they do follows from what their groups do.
MOST_CLAUSES: Final = ((4, 4), (4, 3), (4, 2), (3, 2), (3, 1), (2, 1), (1, 1))
# Bounds of the two tables in characters, at the fewest characters a token that real ones have (2.9 and 2.0):
# 830 and 1,450 tokens, with the captions and the words around them about 2,500.
POSES_CHARACTERS: Final = 2400
DIFFERENCES_CHARACTERS: Final = 2900

_STILL: Final = "Nothing stands out about"
_PLACES: Final = {"above": "above", "below": "below", "in_front": "in front of", "behind": "behind"}
_INVERSE: Final = {"above": "below", "below": "above", "in_front": "behind", "behind": "in_front"}
_AT_ONCE_S: Final = 0.25  # beginnings, and ends, this near to each other are told as one time
# A hand that goes up or down faster or slower than this, in m/s, does so notably.
_FAST, _SLOW = 1.3, 0.3


def motion_fields(motion: Motion, keyframes: Sequence[Keyframe], *, seed: int) -> dict[str, str]:
    """Write the texts of one motion; see `motions_fields`, which is faster for many."""
    return motions_fields([motion], [keyframes], seed=seed)[0]


def motions_fields(
    motions: Sequence[Motion], keyframes: Sequence[Sequence[Keyframe]], *, seed: int
) -> list[dict[str, str]]:
    """Write the texts that fill the placeholders of a prompt's motion part.

    Args:
        motions: the motions.
        keyframes: of each, in order of time.
        seed: of the wording of the pose captions; the run's.

    Returns:
        For each motion `fps`, `length`, `captions`, `keyframes` and `differences`.
    """
    joints = [motion.joints for motion in motions]
    groups = [caption_motions(joints, seed=seed, fields=(group,)) for group in GROUP_NAMES]
    return [
        {
            "fps": f"{motion.fps:g}",
            "length": f"{motion.duration_s:.1f} s",
            "captions": captions_text(motion.captions),
            "keyframes": keyframes_text(poses, kept, motion.fps),
            "differences": differences_text(find_differences(motion.joints, motion.fps)),
        }
        for motion, kept, *poses in zip(motions, keyframes, *groups, strict=True)
    ]


# ---------------------------------------------------------------- captions


def captions_text(captions: Sequence[Caption]) -> str:
    """Quote the captions, one a line, each distinct one once, with its time where it has one."""
    lines = list(dict.fromkeys(_quoted(c) for c in captions if _plain(c.text)))
    left_out = len(lines) - MOST_CAPTIONS
    more = [f"({left_out} more left out)"] if left_out > 0 else []
    return "\n".join([*lines[:MOST_CAPTIONS], *more]) or "none"


def _quoted(caption: Caption) -> str:
    text = _plain(caption.text).replace('"', "'")
    short = text.encode()[:MOST_CAPTION_BYTES].decode(errors="ignore")
    text = text if short == text else short.rstrip() + " ..."
    timed = caption.end_s > caption.start_s
    return f'- "{text}"' + (f" ({caption.start_s:.1f}-{caption.end_s:.1f} s)" if timed else "")


def _plain(text: str) -> str:
    """Take out control, format and unassigned characters and collapse white space."""
    kept = (" " if c.isspace() or unicodedata.category(c) == "Cc" else c for c in text)
    return " ".join("".join(c for c in kept if unicodedata.category(c)[0] != "C").split())


# ---------------------------------------------------------------- poses


def keyframes_text(poses: Sequence[PoseCaptions], keyframes: Sequence[Keyframe], fps: float) -> str:
    """Write the pose of each group at the keyframes, a line only where it changed.

    Where there are too many keyframes, those stay whose captions changed most, with the first and the last.

    Args:
        poses: pose captions of the six groups, each restricted to its group.
        keyframes: of the motion.
        fps: frames per second.
    """
    for most in range(MOST_KEYFRAMES, 1, -1):
        kept = _telling(keyframes, most)
        lines = [_poses(group, one, kept, fps) for group, one in zip(GROUP_NAMES, poses, strict=True)]
        if sum(map(len, lines)) <= POSES_CHARACTERS:
            break
    left_out = len(keyframes) - len(kept)
    note = f"(the {len(kept)} keyframes of {len(keyframes)} with the largest changes)"
    return "\n".join([*([note] if left_out else []), *lines])


def _telling(keyframes: Sequence[Keyframe], most: int) -> list[Keyframe]:
    """The first, the last, and those between that are least like the keyframe before them."""
    if len(keyframes) <= most:
        return list(keyframes)
    between = sorted(keyframes[1:-1], key=lambda k: (k.similarity, k.frame))[: most - 2]
    return sorted([keyframes[0], *between, keyframes[-1]], key=lambda k: k.frame)


def _poses(group: str, captions: PoseCaptions, keyframes: Sequence[Keyframe], fps: float) -> str:
    said, last = [], ""
    for keyframe in keyframes:
        text = captions.frame_caption(keyframe.frame)
        text = "nothing stands out" if text.startswith(_STILL) else _cut(text)
        if text != last:
            said.append(f"{keyframe.frame / fps:.1f} s: {text}")
        last = text
    return f"{group} | " + " / ".join(said)


def _cut(text: str) -> str:
    """Shorten a pose caption, where it is too long, at the end of a sentence or at least of a clause."""
    if len(text) <= MOST_POSE_CHARACTERS:
        return text
    start = text[:MOST_POSE_CHARACTERS]
    ends = [start.rfind(mark) for mark in (". ", ", ", " while ", " and ")]
    end = ends[0] if ends[0] > MOST_POSE_CHARACTERS // 2 else max(ends)
    return start[: end if end > 0 else None].rstrip(".,") + " ..."


# ---------------------------------------------------------------- differences


def differences_text(differences: Differences) -> str:
    """Write the table: a line for each of the 21 fields, what it did in order of time, or "-".

    Every field tells the largest of what it did, as many as keep the table within its bound.
    """
    clauses = {field: plan(events, len(events)) for field, events in differences.events.items()}
    for most in MOST_CLAUSES:
        lines = [_row(f, clauses[f], most["__" in f], differences.signals) for f in FIELDS]
        if sum(map(len, lines)) <= DIFFERENCES_CHARACTERS:
            break
    return "\n".join(lines)


def _row(field: str, clauses: Sequence[Clause], most: int, signals: Signals) -> str:
    if not clauses:
        return f"{field} | -"
    telling = sorted(clauses, key=lambda c: -c.weight)[:most]
    parts = [_told(events, signals) for events in _at_once([e for c in telling for e in c.events])]
    left_out = len(clauses) - len(telling)
    return f"{field} | " + "; ".join(parts) + (f"; +{left_out} smaller" if left_out else "")


def _at_once(events: Sequence[Event]) -> list[list[Event]]:
    """Gather, in order of time, the events that begin and end with each other."""
    gathered: list[list[Event]] = []
    for event in sorted(events, key=lambda e: (e.start_s, e.end_s)):
        for others in gathered:
            first = others[0]
            if max(abs(event.start_s - first.start_s), abs(event.end_s - first.end_s)) <= _AT_ONCE_S:
                others.append(event)
                break
        else:
            gathered.append([event])
    return gathered


def _told(events: Sequence[Event], signals: Signals) -> str:
    """Tell events that happen at once: when, then what."""
    start, end = f"{min(e.start_s for e in events):.1f}", f"{max(e.end_s for e in events):.1f}"
    what = ", ".join(_action(event, signals) for event in events)
    return f"{start if start == end else f'{start}-{end}'} s {what}"


def _action(event: Event, signals: Signals) -> str:
    """Word one event: the action, its size, how often, and for an arm how high and how fast."""
    kind, often = field_kind(event.field), f" x{event.count}" if event.count > 1 else ""
    if kind == "pair" and event.action in _PLACES:
        return _place(event) + often
    words = event.action.replace("_", " ")
    if kind in ("arm", "leg") and event.action in ("bend", "straighten"):
        words += " elbow" if kind == "arm" else " knee"
    if event.action in ("open", "close"):
        words += f" at {PAIR_JOINTS[event.field.rsplit('_', 1)[-1]]}"
    return words + _size(event) + often + (_manner(event, signals) if kind == "arm" else "")


def _place(event: Event) -> str:
    """Say who came where, the limb first: limbs move past the trunk and the head."""
    a, b = event.field.split("__")
    action = event.action
    if a in ("torso", "neck"):
        a, b, action = b, a, _INVERSE[action]
    return f"{GROUP_WORDS[a]} {_PLACES[action]} {GROUP_WORDS[b]}"


def _size(event: Event) -> str:
    """The amount, rounded to what a sentence can say; cycles are told by their count."""
    unit = action_of(event.field, event.action).unit
    if unit == "m" and event.action != "cross":
        return f" {event.amount:.1f} m"
    return f" {5 * round(event.amount / 5)} deg" if unit == "deg" else ""


def _manner(event: Event, signals: Signals) -> str:
    if event.action not in ("raise", "lower") or event.count > 1:
        return ""
    rate = event.amount / max(event.end_s - event.start_s, 1 / signals.fps)
    speed = " fast" if rate > _FAST else " slowly" if rate < _SLOW else ""
    frame = min(round(event.end_s * signals.fps), signals.num_frames - 1)
    height = hand_height(signals, event.field, frame) if event.action == "raise" else ""
    return speed + (f" {height}" if height else "")
