"""Read a sentence back into claims: who did what, which way, how often, when.

A lexicon of verbs and directions for each kind of field, matched from the most specific to the least; what is
matched is taken out, so that "swings forward and back" is not also read as a move forward. A time belongs to
every claim since the one before it, a count to every claim of its clause. Sentences of other writers are read
by the same lexicon; what it does not know is not a claim.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from kinmo_annotate.schema.records import NO_MOVEMENT, Event
from kinmo_annotate.schema.vocabulary import field_kind

_UP: Final = r"(?:rises|raises|lifts|is raised|is lifted|goes up|comes up|moves up(?:ward)?|elevates)"
_DOWN: Final = r"(?:lowers|comes (?:back )?down|goes (?:back )?down|drops|is lowered|descends|falls)"
_TO: Final = r"(?:to (?:the|its|their) )?"

# kind -> (pattern, actions it claims); the first that matches at a place wins
_LEXICON: Final[dict[str, tuple[tuple[str, tuple[str, ...]], ...]]] = {
    "torso": (
        (r"(?:sways|rocks|swings)(?: \w+)? (?:from side to side|side to side|left and right)", ("sway",)),
        (r"(?:bends|leans|bows|tips|tilts|hinges|inclines)(?: \w+)? forward", ("bend_forward",)),
        (r"(?:bends|leans|arches|tips|tilts)(?: \w+)? back(?:ward)?s?", ("bend_backward",)),
        (rf"(?:leans|tilts|tips|bends)(?: \w+)? {_TO}left", ("lean_left",)),
        (rf"(?:leans|tilts|tips|bends)(?: \w+)? {_TO}right", ("lean_right",)),
        (rf"(?:twists|rotates its shoulders)(?: \w+)? {_TO}left", ("twist_left",)),
        (rf"(?:twists|rotates its shoulders)(?: \w+)? {_TO}right", ("twist_right",)),
        (rf"(?:turns|rotates)(?: round| around)?(?: \w+)? {_TO}left", ("turn_left",)),
        (rf"(?:turns|rotates)(?: round| around)?(?: \w+)? {_TO}right", ("turn_right",)),
        (r"straightens(?: up)?|(?:comes|returns|goes) (?:back )?upright", ("straighten",)),
        (r"(?:moves|travels|advances|walks|runs|steps|goes) (?:straight )?forward", ("move_forward",)),
        (r"(?:moves|travels|retreats|walks|steps|goes) back(?:ward)?s?", ("move_backward",)),
        (rf"(?:moves|travels|shifts|steps|goes)(?: sideways)? {_TO}left", ("move_left",)),
        (rf"(?:moves|travels|shifts|steps|goes)(?: sideways)? {_TO}right", ("move_right",)),
        (r"jumps|leaves the ground in a jump", ("jump",)),
        (r"sinks|gets lower|drops lower|lowers|crouches|squats", ("sink",)),
        (r"rises|gets higher|comes up higher|stands up", ("rise",)),
    ),
    "neck": (
        (r"nods(?: up and down)?", ("nod",)),
        (rf"(?:tilts|tips|leans)(?: \w+)? {_TO}left", ("tilt_left",)),
        (rf"(?:tilts|tips|leans)(?: \w+)? {_TO}right", ("tilt_right",)),
        (r"straightens(?: up)?|(?:comes|returns) (?:back )?upright", ("straighten",)),
        (rf"{_DOWN}|bows down|looks down|bends down", ("lower",)),
        (rf"{_UP}|looks up", ("raise",)),
    ),
    "arm": (
        (r"swings (?:forward and back(?:ward)?|back and forth)", ("swing",)),
        (r"waves(?: from side to side| to and fro)?", ("wave",)),
        (r"(?:makes|goes round in|draws) a full circle|circles", ("circle",)),
        (_UP, ("raise",)),
        (_DOWN, ("lower",)),
        (r"bends and straightens|flexes and extends", ("bend", "straighten")),
        (r"bends|flexes|folds", ("bend",)),
        (r"straightens|extends at the elbow", ("straighten",)),
        (r"forward", ("reach_forward",)),
        (r"backward|back\b(?! up| down)", ("pull_back",)),
        (r"outward|out to the side|away from the body", ("move_out",)),
        (r"inward|in front of the (?:body|chest)|across the body", ("move_in",)),
    ),
    "leg": (
        (r"takes (?:a |an )?(?P<steps>\w+ )?steps?|steps\b", ("step",)),
        (r"pushes off and jumps|jumps(?: off the ground)?", ("jump",)),
        (r"hops", ("hop",)),
        (rf"{_UP}(?: off the ground)?", ("lift",)),
        (_DOWN, ("lower",)),
        (r"bends and straightens|flexes and extends", ("bend", "straighten")),
        (r"bends|flexes", ("bend",)),
        (r"straightens|extends at the knee", ("straighten",)),
        (r"forward", ("swing_forward",)),
        (r"backward|back\b", ("swing_back",)),
        (r"outward|out to the side", ("move_out",)),
        (r"inward", ("move_in",)),
    ),
    "pair": (
        (r"(?:move|draw|come) closer (?:together|to each other) and apart", ("approach", "part")),
        (r"(?:draw|move|come) (?:closer|nearer)(?: together| to each other)?", ("approach",)),
        (r"(?:move|draw) (?:apart|away from each other)", ("part",)),
        (r"cross over each other|swap sides|cross", ("cross",)),
        (r"alternate|move in opposition", ("alternate",)),
        (r"move (?:together|in unison|in step)", ("together",)),
        (r"open and close at", ("open", "close")),
        (r"open(?: up)? at", ("open",)),
        (r"(?:close|fold) at", ("close",)),
    ),
}
_SIDES: Final = ("torso", "head", "left arm", "right arm", "left leg", "right leg")
_GROUP_OF: Final = dict(
    zip(_SIDES, ("torso", "neck", "left_arm", "right_arm", "left_leg", "right_leg"), strict=True)
)
_PLACES: Final = {"above": "above", "below": "below", "in front of": "in_front", "behind": "behind"}
_INVERSE: Final = {"above": "below", "below": "above", "in_front": "behind", "behind": "in_front"}
_NAME: Final = "|".join(_SIDES)
_PLACE: Final = r"(?:above|below|in front of|behind)"
_RELATION: Final = re.compile(
    rf"the ({_NAME}) (?:comes|passes|moves) ({_PLACE}(?: and {_PLACE})?) the ({_NAME})"
)
_NUMBERS: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
_WORDS: Final = {word: i for i, word in enumerate(_NUMBERS)}
_COUNT: Final = re.compile(r"\b(once|twice|(\w+) times)\b")
_LINK: Final = re.compile(r"\b(?:then|meanwhile|finally|before|after|afterwards|while)\b")
_TIME: Final = re.compile(
    r"from (?P<a>\d+(?:\.\d+)?) to (?P<b>\d+(?:\.\d+)?) s\b|(?:at about|at|around) (?P<m>\d+(?:\.\d+)?) s\b"
    r"|(?P<all>throughout)|(?P<early>at the start|early on|at the beginning)"
    r"|(?P<mid>halfway through|midway)|(?P<late>near the end|at the end|towards the end)"
)


@dataclass(frozen=True, slots=True)
class _Found:
    """A match in the sentence: where it stands and the claim it makes, times still open."""

    at: int
    event: Event


def read_claims(field: str, sentence: str, duration_s: float) -> list[Event]:
    """Read the claims of one sentence, in order.

    Args:
        field: the group or pair that the sentence is about.
        sentence: what was written.
        duration_s: length of the motion in seconds, which turns "near the end" into a time.

    Returns:
        Claims as events; where a sentence gives no time, the whole motion. Empty for "no notable movement".
    """
    if sentence.strip().rstrip(".").lower() == NO_MOVEMENT.rstrip(".").lower():
        return []
    text = sentence.lower()
    found = _relations(field, text) if "__" in field else []
    for pattern, actions in _LEXICON[field_kind(field)]:
        text, matches = _take(pattern, actions, field, text)
        found += matches
    found.sort(key=lambda f: f.at)
    return _timed(found, sentence.lower(), duration_s)


def _take(pattern: str, actions: tuple[str, ...], field: str, text: str) -> tuple[str, list[_Found]]:
    """Find every match of a pattern and blank it out, so that no later pattern reads it again."""
    found = []
    for match in re.finditer(rf"\b(?:{pattern})\b", text):
        steps = (match.groupdict().get("steps") or "").strip() if "steps" in match.groupdict() else ""
        count = _WORDS.get(steps, int(steps) if steps.isdigit() else 1)
        found += [_Found(match.start(), Event(field, action, 0.0, 0.0, count)) for action in actions]
        text = text[: match.start()] + " " * len(match.group()) + text[match.end() :]
    return text, found


def _relations(field: str, text: str) -> list[_Found]:
    found = []
    for match in _RELATION.finditer(text):
        mover, places, _ = match.groups()
        first = field.split("__")[0]
        for place in places.split(" and "):
            action = _PLACES[place]
            action = action if _GROUP_OF[mover] == first else _INVERSE[action]
            found.append(_Found(match.start(), Event(field, action, 0.0, 0.0)))
    return found


def _timed(found: list[_Found], text: str, duration_s: float) -> list[Event]:
    """Give each claim the first time, and the count, that follow it before the next clause."""
    times = [(m.start(), _span(m, duration_s)) for m in _TIME.finditer(text)]
    links = [m.start() for m in _LINK.finditer(text)]
    counts = [(m.start(), _count(m)) for m in _COUNT.finditer(text)]
    claims = []
    for item in found:
        place, (start, end) = next(
            ((at, span) for at, span in times if at > item.at), (len(text), (0.0, duration_s))
        )
        clause_end = min([place, *(at for at in links if at > item.at)])
        count = next((n for at, n in counts if item.at < at < clause_end), item.event.count)
        claims.append(replace(item.event, start_s=start, end_s=end, count=count))
    return claims


def _span(match: re.Match[str], duration_s: float) -> tuple[float, float]:
    """The time that a phrase stands for, seconds."""
    if match["a"]:
        return float(match["a"]), float(match["b"])
    if match["m"]:
        middle = float(match["m"])
        return max(0.0, middle - 0.35), min(duration_s, middle + 0.35)
    shares = {"all": (0.0, 1.0), "early": (0.0, 0.4), "mid": (0.25, 0.75), "late": (0.6, 1.0)}
    a, b = next(share for name, share in shares.items() if match[name])
    return a * duration_s, b * duration_s


def _count(match: re.Match[str]) -> int:
    word = match.group(1)
    if word in ("once", "twice"):
        return 1 if word == "once" else 2
    number = match.group(2)
    return _WORDS.get(number, int(number) if number.isdigit() else 1)
