"""The words that the reader knows: verbs by what they mean, directions, body parts, links, counts.

Every inflected form is a key of one dictionary, so that a sentence is read by one look-up a word.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Word(NamedTuple):
    """What a word is ("verb", "way", "part", ...), what it means, and for verbs its form."""

    role: str
    meaning: str
    form: str = ""


# meaning -> verbs in their plain form; irregular forms after a colon
_VERBS: Final = {
    "up": "raise lift elevate ascend hoist:hoists rise:rises/rising/rose/risen climb",
    "down": "descend drop fall:falls/falling/fell/fallen sink:sinks/sinking/sank/sunk dip lower",
    "come": "come:comes/coming/came bring:brings/bringing/brought",
    "move": "move go:goes/going/went/gone travel shift "
    "place pass advance proceed slide drift sweep:sweeps/sweeping/swept get:gets/getting/got translate glide",
    "return": "return",
    "retreat": "retreat",
    "bend": "bend:bends/bending/bent flex curl",
    "fold": "fold",
    "straight": "straighten unbend:unbends/unbending/unbent uncurl unfold",
    "extend": "extend stretch lengthen",
    "reach": "reach",
    "pull": "pull retract withdraw:withdraws/withdrawing/withdrew/withdrawn",
    "push": "push thrust:thrusts/thrusting punch throw:throws/throwing/threw/thrown jab shove press",
    "swing": "swing:swings/swinging/swung",
    "wave": "wave",
    "circle": "circle",
    "lean": "lean tilt tip incline hinge",
    "bow": "bow",
    "arch": "arch",
    "twist": "twist",
    "turn": "turn spin:spins/spinning/spun pivot",
    "rotate": "rotate",
    "sway": "sway rock",
    "straddle": "straddle",
    "step": "step stride:strides/striding/strode",
    "walk": "walk march stroll pace run:runs/running/ran jog sprint",
    "jump": "jump leap",
    "hop": "hop",
    "kick": "kick",
    "crouch": "crouch squat kneel:kneels/kneeling/knelt lunge sit:sits/sitting/sat duck",
    "stand": "stand:stands/standing/stood",
    "nod": "nod",
    "shake": "shake:shakes/shaking/shook",
    "look": "look gaze",
    "stay": "stay remain keep:keeps/keeping/kept hold:holds/holding/held rest "
    "hang:hangs/hanging/hung maintain",
    "cross": "cross swap",
    "approach": "approach converge meet:meets/meeting/met",
    "draw": "draw:draws/drawing/drew/drawn",
    "part": "separate spread:spreads/spreading diverge part",
    "clap": "clap",
    "grow": "increase grow:grows/growing/grew/grown widen",
    "shrink": "decrease shrink:shrinks/shrinking/shrank/shrunk narrow",
    "open": "open",
    "close": "close",
    "alternate": "alternate",
    "make": "take:takes/taking/took/taken make:makes/making/made perform do:does/doing/did execute",
    "be": "be:is/are/was/were/being/been",
}
_WAYS: Final = {
    "forward": "forward forwards ahead frontward frontwards",
    "back": "back backward backwards rearward rearwards",
    "up": "up upward upwards overhead higher",
    "down": "down downward downwards",
    "out": "out outward outwards sideways sideward laterally aside",
    "in": "in inward inwards",
    "forth": "forth",
    "fro": "fro",
    "around": "around round",
    "left": "anticlockwise counterclockwise leftward leftwards",
    "right": "clockwise rightward rightwards",
    "closer": "closer nearer",
    "together": "together",
    "unison": "unison sync synchrony tandem",
    "opposition": "opposition opposite oppositely antiphase",
    "apart": "apart",
    "away": "away",
    "toward": "toward towards",
    "upright": "upright vertical",
    "across": "across",
    "over": "over above",
    "under": "under below beneath underneath",
    "behind": "behind",
    "front": "front",
    "side": "side sides",
}
_PARTS: Final = {
    "arm": "arm arms forearm forearms",
    "hand": "hand hands wrist wrists fist fists palm palms",
    "elbow": "elbow elbows",
    "leg": "leg legs thigh thighs shin shins",
    "foot": "foot feet ankle ankles toe toes heel heels",
    "knee": "knee knees",
    "neck": "head neck chin face",
    "torso": "torso trunk chest waist spine pelvis",
    "body": "body person figure performer actor individual",
    "shoulder": "shoulder shoulders",
    "hip": "hip hips",
}
_LINKS: Final = {
    "then": "then afterwards afterward next subsequently later finally lastly eventually",
    "while": "while meanwhile as when simultaneously whilst",
    "before": "before",
    "after": "after",
}
_POSES: Final = {
    "still": "still stationary motionless steady static unmoving immobile unchanged stable",
    "raised": "raised lifted elevated",
    "lowered": "lowered hanging",
    "bent": "bent flexed folded curled",
    "straight": "straight extended outstretched straightened stretched",
}
_OTHERS: Final = {
    "side": "left right",
    "plural": "both",
    "not": "not never without neither nor hardly barely no doesn isn don didn aren minimal negligible",
    "slight": "slightly slight little somewhat",
    "unit": "s sec secs second seconds",
    "metres": "m meter meters metre metres",
    "degrees": "degree degrees deg",
    "times": "times time",
    "often": "repeatedly several multiple many few continuously rhythmically",
    "movement": "movement motion change",
}
_WHENS: Final = {
    "all": "throughout entire whole",
    "early": "initially early",
    "mid": "halfway midway middle",
    "late": "late",
    "start": "start beginning",
    "end": "end",
    "nth": "first last final",
}
_NUMBERS: Final = "zero one two three four five six seven eight nine ten eleven twelve"
NUMBERS: Final = {word: number for number, word in enumerate(_NUMBERS.split())} | {"single": 1}
COUNTS: Final = {"once": 1, "twice": 2, "thrice": 3}
# What stands before a body part that is not what moves: "above the head", "at the elbow".
KIND_OF_PART: Final = {
    "arm": "arm", "hand": "arm", "elbow": "arm", "leg": "leg", "foot": "leg", "knee": "leg", "neck": "neck",
    "torso": "torso",
}  # fmt: skip


def listed(words: str) -> frozenset[str]:
    """The words of a list as a set."""
    return frozenset(words.split())


PREPOSITIONS: Final = listed(
    "above below over under beneath behind at of to toward towards across past near from against on by with "
    "than between beside around onto into about along"
)


def _forms(spec: str) -> list[tuple[str, str]]:
    """All forms of a verb with the name of the form: plain, s, ing or ed."""
    plain, _, irregular = spec.partition(":")
    stem = plain[:-1] if plain.endswith("e") else plain
    forms = {plain: "plain"}
    given = irregular.split("/") if irregular else []
    for form in given:
        forms[form] = "ing" if form.endswith("ing") else "s" if form.endswith("s") else "ed"
    if not any(name == "s" for name in forms.values()):
        forms[plain + ("es" if plain.endswith(("s", "sh", "ch", "x")) else "s")] = "s"
    for stems in ((stem,), (plain + plain[-1],) if plain[-1] in "bdgmnpt" else ()):
        for one in stems:
            if "ing" not in given:
                forms.setdefault(one + "ing", "ing")
            if not irregular or all(form.endswith("s") for form in given):
                forms.setdefault(one + "ed", "ed")
    return list(forms.items())


def _lexicon() -> dict[str, Word]:
    words: dict[str, Word] = {}
    tables = (
        ("way", _WAYS), ("part", _PARTS), ("link", _LINKS), ("pose", _POSES), ("when", _WHENS)
    )  # fmt: skip
    for meaning, verbs in _VERBS.items():
        for spec in verbs.split():
            words.update({form: Word("verb", meaning, name) for form, name in _forms(spec)})
    for role, table in tables:
        for meaning, listed in table.items():
            words.update({word: words.get(word) or Word(role, meaning) for word in listed.split()})
    for role, listed in _OTHERS.items():
        words.update({word: words.get(word) or Word(role, word) for word in listed.split()})
    words.update({word: Word("number", str(n)) for word, n in NUMBERS.items()})
    words.update({word: Word("count", str(n)) for word, n in COUNTS.items()})
    return words


WORDS: Final[dict[str, Word]] = _lexicon()
POSES: Final = {word: meaning for meaning, listed in _POSES.items() for word in listed.split()}
