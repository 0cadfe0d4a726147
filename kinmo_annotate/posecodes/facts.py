"""What can be said of a pose: every posecode, its recipe, and which groups of the body it is about.

A *posecode* is one categorised geometric fact with a subject, a relation and perhaps an object. Its recipe
is a list of alternatives, each an AND of *cuts*: a measure that lies in an interval. Elementary posecodes
have one cut, combined ones several. Only what may be said stands here: categories that merely feed a
combination are cuts of its recipe, so none of them can leak into a caption. Source: spec/posescript.md
sections 3 to 5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from kinmo_annotate.posecodes.measure import Measure

SIDES: Final = ("left", "right")
OTHER: Final = {"left": "right", "right": "left", "": "", "both": "both"}

# Half-width of the dead band around a threshold: a category is left only when the measure is this far
# beyond it.
DEGREES, METRES = 5.0, 0.05
MARGIN: Final[dict[str, float]] = {
    "angle": 7.5, "upright": 6.0, "body": DEGREES,
    "distance": METRES, "x": METRES, "y": METRES, "z": METRES, "height": 0.03,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cut:
    """A measure in the interval (low, high]; None leaves that end open. Degrees or metres."""

    measure: Measure
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A body part with its side: "left", "right", "both", or "" for parts without one."""

    side: str
    name: str

    @property
    def key(self) -> str:
        """Name with the side in front, as in `left_hand`."""
        return f"{self.side}_{self.name}" if self.side else self.name

    @property
    def group(self) -> str:
        """The kinematic group the part belongs to."""
        if self.name in ("head", "neck"):
            return "neck"
        return f"{self.side}_{LIMB[self.name]}" if self.name in LIMB else "torso"


LIMB: Final[dict[str, str]] = {
    **dict.fromkeys(("shoulder", "upperarm", "elbow", "forearm", "hand", "arm"), "arm"),
    **dict.fromkeys(("hip", "thigh", "knee", "shin", "ankle", "foot", "leg"), "leg"),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One posecode.

    Attributes:
        subject: what the sentence is about.
        relation: the category, a key of the phrase bank.
        object: the second part, if any.
        recipes: alternatives; each holds when all of its cuts do.
    """

    subject: Part
    relation: str
    object: Part | None
    recipes: tuple[tuple[Cut, ...], ...]

    @property
    def key(self) -> str:
        """Name that is stable across versions and processes: subject, relation, object."""
        return f"{self.subject.key} {self.relation} {self.object.key if self.object else ''}".rstrip()

    @property
    def groups(self) -> frozenset[str]:
        """Kinematic groups the posecode is about."""
        parts = [self.subject] + ([self.object] if self.object else [])
        both = [Part(side, part.name) for part in parts if part.side == "both" for side in SIDES]
        groups = {part.group for part in [*parts, *both] if part.side != "both"}
        return frozenset(groups | {"neck"} if self.subject.name == "head" else groups)


def part(key: str) -> Part:
    """Read a part back from its key."""
    side, _, name = key.partition("_")
    return Part(side, name) if side in (*SIDES, "both") else Part("", key)


def _fact(subject: str, relation: str, obj: str | None, *recipes: tuple[Cut, ...]) -> Fact:
    return Fact(part(subject), relation, part(obj) if obj else None, recipes)


# Categories: relation -> interval of the measure.
_BEND: Final = {
    "fully_bent": (None, 45), "sharply_bent": (45, 75), "square_bend": (75, 105),
    "partly_bent": (105, 135), "slightly_bent": (135, 160), "straight": (160, None),
}  # fmt: skip
_APART: Final = {"close": (None, 0.20), "spread": (0.40, 0.80), "wide": (0.80, None)}
_DIRECTION: Final = {
    "right_of": ("x", None, -0.15), "left_of": ("x", 0.15, None), "below": ("y", None, -0.15),
    "above": ("y", 0.15, None), "behind": ("z", None, -0.15), "front": ("z", 0.15, None),
}  # fmt: skip
_BODY: Final = {
    "incline": {"bent_back": (None, -50), "slightly_back": (-50, -20), "slightly_forward": (20, 50),
                "bent_forward": (50, None)},
    "twist": {"twist_left": (None, -50), "slight_twist_left": (-50, -20), "slight_twist_right": (20, 50),
              "twist_right": (50, None)},
    "lean": {"lean_right": (None, -30), "slight_lean_right": (-30, -15), "slight_lean_left": (15, 30),
             "lean_left": (30, None)},
}  # fmt: skip
_HEAD: Final = {
    "head_pitch": {"head_back": (None, -20), "head_forward": (25, None)},
    "head_tilt": {"head_right": (None, -18), "head_left": (18, None)},
}
_SEGMENTS: Final = (("thigh", "hip", "knee"), ("shin", "knee", "ankle"),
                    ("upperarm", "shoulder", "elbow"), ("forearm", "elbow", "wrist"))  # fmt: skip
# Left compared with right; then each side with a part of the same side or of none.
_LEFT_RIGHT: Final = {
    "shoulder": ("below", "above", "behind", "front"),
    "elbow": ("below", "above", "behind", "front"),
    "hand": ("right_of", "below", "above", "behind", "front"),
    "knee": ("below", "above", "behind", "front"),
    "foot": ("right_of", "below", "above", "behind", "front"),
}
_ALIGNED: Final = {"xy": "aligned_depth", "xz": "aligned_height", "yz": "aligned_side"}
_ARM, _LEG = ("shoulder", "upperarm", "elbow", "forearm"), ("hip", "thigh", "knee", "shin")
_LEVEL: Final = 0.05  # metres; "aligned" along an axis


def _compared(subject: str, relation: str, obj: str) -> Fact:
    axis, low, high = _DIRECTION[relation]
    return _fact(subject, relation, obj, (Cut((axis, subject, obj), low, high),))


def _close(subject: str, obj: str) -> Fact:
    return _fact(subject, "close", obj, (Cut(("distance", subject, obj), *_APART["close"]),))


def _bends() -> Iterator[Fact]:
    for joint in ("knee", "elbow"):
        for side in SIDES:
            name = f"{side}_{joint}"
            for relation, interval in _BEND.items():
                yield _fact(name, relation, None, (Cut(("angle", name), *interval),))


def _distances() -> Iterator[Fact]:
    for name, said in (("elbow", "close wide"), ("hand", "close spread wide"), ("knee", "close wide"),
                       ("foot", "close wide")):  # fmt: skip
        for relation in said.split():
            cut = Cut(("distance", f"left_{name}", f"right_{name}"), *_APART[relation])
            yield _fact(f"left_{name}", relation, f"right_{name}", (cut,))
    for side in SIDES:
        other = OTHER[side]
        for obj in (
            f"{side}_shoulder",
            f"{other}_shoulder",
            f"{other}_elbow",
            *_both("knee", "ankle", "foot"),
        ):
            yield _close(f"{side}_hand", obj)


def _both(*names: str) -> tuple[str, ...]:
    return tuple(f"{side}_{name}" for name in names for side in SIDES)


def _positions() -> Iterator[Fact]:
    for name, relations in _LEFT_RIGHT.items():
        for relation in relations:
            yield _compared(f"left_{name}", relation, f"right_{name}")
    for side in SIDES:
        across = f"{OTHER[side]}_of"
        hand, foot = f"{side}_hand", f"{side}_foot"
        for relation in (across, "above"):
            yield _compared(hand, relation, f"{side}_shoulder")
            yield _compared(foot, relation, f"{side}_hip")
        yield _compared(hand, "above", "neck")
        yield _compared(hand, "below", f"{side}_hip")
        yield _fact(hand, "behind", "torso", (Cut(("z", hand, "chest"), None, -0.15),))
        yield _fact(foot, "behind", "torso", (Cut(("z", foot, "chest"), None, -0.15),))
        yield _fact(foot, "front", "torso", (Cut(("z", foot, "chest"), 0.15, None),))


def _segments() -> Iterator[Fact]:
    for name, top, bottom in _SEGMENTS:
        for side in SIDES:
            measure = ("upright", f"{side}_{top}", f"{side}_{bottom}")
            yield _fact(f"{side}_{name}", "vertical", None, (Cut(measure, None, 10),))
            yield _fact(f"{side}_{name}", "horizontal", None, (Cut(measure, 80, None),))
    yield _fact("torso", "vertical", None, (Cut(("upright", "pelvis", "neck"), None, 10),))
    flat = tuple(Cut(("upright", "pelvis", f"{side}_shoulder"), 80, None) for side in SIDES)
    yield _fact("torso", "horizontal", None, flat)


def _whole_body() -> Iterator[Fact]:
    for subject, table in (("body", _BODY), ("head", _HEAD)):
        for measure, categories in table.items():
            for relation, (low, high) in categories.items():
                yield _fact(subject, relation, None, (Cut(("body", measure), low, high),))
    for side in SIDES:
        yield _fact(f"{side}_hand", "on_ground", None, (_grounded(f"{side}_hand"),))


def _grounded(point: str) -> Cut:
    return Cut(("height", point), None, 0.10)


def _kneeling() -> Iterator[Fact]:
    """Kneeling is said of both legs, so that it belongs to them and to their pair."""
    lower = {"left": (None, -0.15), "right": (0.15, None)}
    for side in SIDES:
        height = Cut(("y", "left_knee", "right_knee"), *lower[side])
        cuts = (height, _grounded(f"{side}_knee"), _grounded(f"{OTHER[side]}_foot"))
        yield _fact("both_leg", f"kneel_{side}", None, cuts)
    knees = tuple(_grounded(f"{side}_knee") for side in SIDES)
    upright = tuple(Cut(("y", f"{side}_hip", f"{side}_knee"), 0.15, None) for side in SIDES)
    folded = tuple(Cut(("angle", f"{side}_knee"), None, 45) for side in SIDES)
    yield _fact("both_leg", "kneel", None, (*upright, *knees), (*folded, *knees))


def _shoulder_width() -> Iterator[Fact]:
    for name in ("hand", "foot"):
        pair = (f"left_{name}", f"right_{name}")
        cuts = (Cut(("distance", *pair), 0.20, 0.40), Cut(("upright", *pair), 80, None))
        yield _fact(f"left_{name}", "shoulder_width", f"right_{name}", cuts)


def _alignments() -> Iterator[Fact]:
    """An end effector level with another part along two axes, and nearer than "wide" to it."""
    for end, own in (("hand", _ARM), ("foot", _LEG)):
        for side in SIDES:
            for name in _both(*_ARM, *_LEG):
                if name in {f"{side}_{mine}" for mine in own}:
                    continue
                near = Cut(("distance", f"{side}_{end}", name), None, 0.80)
                for axes, relation in _ALIGNED.items():
                    level = tuple(Cut((axis, f"{side}_{end}", name), -_LEVEL, _LEVEL) for axis in axes)
                    yield _fact(f"{side}_{end}", relation, name, (*level, near))


FACTS: Final[tuple[Fact, ...]] = (
    *_bends(), *_distances(), *_positions(), *_segments(), *_whole_body(), *_kneeling(), *_shoulder_width(),
    *_alignments(),
)  # fmt: skip
INDEX: Final[dict[str, int]] = {fact.key: number for number, fact in enumerate(FACTS)}


def mirror_key(key: str) -> str:
    """Name the posecode that a mirror shows for `key`."""
    fact = FACTS[INDEX[key]]
    swapped = [Part(OTHER[p.side], p.name) for p in (fact.subject, fact.object) if p]
    relation = fact.relation
    if len(swapped) == 2 and swapped[0].name == swapped[1].name and swapped[0].side == "right":
        swapped.reverse()  # left-with-right comparisons are stored with the left part as the subject
        relation = {"above": "below", "below": "above", "front": "behind", "behind": "front"}.get(
            relation, relation
        )
    elif relation.startswith(("left", "right")) or relation.endswith(("left", "right")):
        relation = relation.replace("left", "*").replace("right", "left").replace("*", "right")
    return " ".join([swapped[0].key, relation, *(p.key for p in swapped[1:])])
