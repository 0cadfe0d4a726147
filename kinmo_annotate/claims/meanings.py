"""From a verb and its directions to actions of the vocabulary, for each kind of field.

Each function gives the claims that a phrase makes, each as alternatives: "pushes" may be a reach forward or
an arm that straightens, and is wrong only where neither happened. The first alternative is the likeliest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kinmo_annotate.claims.phrase import Said
from kinmo_annotate.claims.words import listed

Actions = tuple[str, ...]
Meaning = list[Actions]

_GOING: Final = listed(
    "move return retreat swing reach extend pull push draw part circle rotate look up down on cross make "
    "stay open"
)
_LIMB_WAYS: Final = {
    "arm": {
        "forward": "reach_forward", "back": "pull_back", "up": "raise", "down": "lower", "out": "move_out",
        "in": "move_in", "across": "move_in",
    },
    "leg": {
        "forward": "swing_forward", "back": "swing_back", "up": "lift", "down": "lower", "out": "move_out",
        "in": "move_in", "across": "move_in",
    },
}  # fmt: skip
_LEG_VERBS: Final = {
    "step": "step", "walk": "step", "jump": "jump", "hop": "hop", "bend": "bend", "fold": "bend",
    "crouch": "bend", "straight": "straighten",
}  # fmt: skip
_TORSO_VERBS: Final[dict[str, Actions]] = {
    "up": ("rise",), "down": ("sink",), "crouch": ("sink",), "jump": ("jump",), "hop": ("jump", "rise"),
}  # fmt: skip
_PAIR_VERBS: Final = {
    "clap": "approach", "grow": "part", "shrink": "approach",
    "cross": "cross", "alternate": "alternate", "open": "open", "close": "close", "fold": "close",
}  # fmt: skip
_ARM_ALONE: Final[dict[str, Meaning]] = {
    "extend": [("straighten", "reach_forward", "raise", "move_out")],
    "reach": [("reach_forward", "raise", "straighten", "move_out")],
    "pull": [("pull_back", "bend", "lower")],
    "push": [("reach_forward", "straighten")],
    "swing": [("swing", "reach_forward", "pull_back")],
    "part": [("move_out", "raise")],
}
_TRAVEL: Final = {
    "forward": "move_forward", "back": "move_backward", "left": "move_left", "right": "move_right",
}  # fmt: skip


def of_arm(phrase: Said, side: str) -> Meaning:
    """Claims of a phrase on an arm."""
    verb, ways = phrase.verb, _limb_ways(phrase, "arm", side)
    to_and_fro = {"back", "forward"} <= set(phrase.ways) or "forth" in phrase.ways
    if verb == "wave":
        return [("wave",)]
    if verb == "circle" or (verb == "rotate" and "circle" in phrase.ways):
        return [("circle",)]
    if to_and_fro and (verb in ("swing", "sway") or "forth" in phrase.ways):
        return [("swing",)]
    if verb in ("up", "down"):
        first = "raise" if verb == "up" else "lower"
        return [(first,), *(w for w in ways if w != (first,) and w[0] not in ("raise", "lower"))]
    if verb == "fold" and "across" in phrase.ways:
        return [("move_in", "bend")]
    if verb in ("bend", "fold", "straight"):
        return [("straighten" if verb == "straight" else "bend",)]
    if verb == "cross":
        return [("move_in", "cross")]
    if verb == "extend" and "elbow" in _who(phrase):
        return [("straighten",)]
    if verb in _ARM_ALONE and not ways:
        return [] if "out" in phrase.ways else _ARM_ALONE[verb]
    return ways if verb in _GOING else []


def of_leg(phrase: Said, side: str) -> Meaning:
    """Claims of a phrase on a leg."""
    verb, ways = phrase.verb, _limb_ways(phrase, "leg", side)
    if verb in _LEG_VERBS:
        return [(_LEG_VERBS[verb],)]
    if verb in ("up", "down"):
        first = "lift" if verb == "up" else "lower"
        return [(first,), *(w for w in ways if w[0] not in ("lift", "lower"))]
    if verb == "kick":
        return ways or [("swing_forward", "lift", "straighten")]
    if verb == "extend" and "knee" in _who(phrase):
        return [("straighten",)]
    if verb == "extend" and not ways:
        return [("straighten", "swing_forward", "swing_back", "move_out")]
    if verb == "swing" and ("forth" in phrase.ways):
        return [("swing_forward",), ("swing_back",)]
    return ways if verb in _GOING and verb != "push" else []


def of_torso(phrase: Said, side: str) -> Meaning:
    """Claims of a phrase on the torso or the whole body."""
    verb, ways = phrase.verb, set(phrase.ways)
    sides = "fro" in ways or {"left", "right"} <= ways or "out" in ways
    if verb in ("sway", "swing", "move", "lean") and "fro" in ways:
        return [("sway",)]
    if verb in ("sway", "swing") and (sides or verb == "sway"):
        return [("sway",)] if sides or "forward" not in ways else []
    if verb == "arch" or (verb in ("bend", "lean", "bow") and "back" in ways):
        return [("bend_backward",)]
    if verb == "bow" or (verb in ("bend", "lean") and ways & {"forward", "down"}):
        return [("bend_forward",)]
    if verb in ("bend", "lean"):
        return [(f"lean_{w}",) for w in phrase.ways if w in ("left", "right")]
    if verb in ("twist", "rotate", "turn"):
        return _turning(phrase)
    if verb == "straight" or (verb in ("move", "return", "up", "stand") and "upright" in ways):
        return [] if phrase.poses else [("straighten",)]
    if verb in ("move", "return", "walk", "step", "push", "retreat"):
        return _travel(phrase)
    if verb == "stand":
        if "up" not in ways:
            return []
        return [("straighten", "rise")] if phrase.poses else [("rise",)]
    if verb == "down" and "forward" in ways:
        return [("sink", "bend_forward")]
    return [_TORSO_VERBS[verb]] if verb in _TORSO_VERBS else []


def _turning(phrase: Said) -> Meaning:
    """Turns of the body, and twists of the shoulders against the hips."""
    sides = [w for w in phrase.ways if w in ("left", "right")]
    if phrase.verb == "twist" or "shoulders" in phrase.ways:
        return [(f"twist_{s}",) for s in sides] or [("twist_left", "twist_right")]
    if phrase.verb == "rotate":
        return [(f"turn_{s}", f"twist_{s}") for s in sides]
    return [(f"turn_{s}",) for s in sides] or (
        [("turn_left", "turn_right")] if phrase.ways == ("around",) else []
    )


def _travel(phrase: Said) -> Meaning:
    ways = list(dict.fromkeys(phrase.ways))
    if phrase.verb == "retreat":
        return [("move_backward",)]
    if phrase.verb == "push":
        return []
    if phrase.verb == "move" and ("up" in ways or "down" in ways):
        return [("rise",) if "up" in ways else ("sink",)]
    found: Meaning = [(_TRAVEL[w],) for w in ways if w in _TRAVEL]
    if "forth" in ways:
        found = [("move_forward",), ("move_backward",)]
    if phrase.verb == "walk" and not found:
        return [("move_forward", "move_backward", "move_left", "move_right")]
    return found


def of_neck(phrase: Said, side: str) -> Meaning:
    """Claims of a phrase on the head."""
    verb, ways = phrase.verb, set(phrase.ways)
    if verb == "nod":
        return [("nod",)]
    sides: Meaning = [(f"tilt_{w}",) for w in phrase.ways if w in ("left", "right")]
    if verb in ("lean", "bend") and sides:
        return sides
    if verb == "straight" or (verb in ("move", "return", "up") and "upright" in ways):
        return [("straighten",)]
    tilting = verb in ("lean", "bend", "look", "move", "bow", "return")
    if verb == "up" or (tilting and "up" in ways) or (verb in ("lean", "bend", "arch") and "back" in ways):
        return [("raise",)]
    if verb in ("down", "bow") or (tilting and ("down" in ways or (verb != "move" and "forward" in ways))):
        return [("lower",)]
    return []


def of_pair(phrase: Said) -> Meaning:
    """Claims of a phrase on how two groups move relative to each other, places left out."""
    verb, ways = phrase.verb, set(phrase.ways)
    if verb in _PAIR_VERBS:
        return [(_PAIR_VERBS[verb],)]
    if "opposition" in ways:
        return [("alternate",)]
    found: Meaning = []
    near = (
        "closer" in ways
        or ("together" in ways and verb in ("draw", "pull", "return", "come"))
        or "toward" in ways
    )
    if near or verb == "approach":
        found.append(("approach",))
    if "apart" in ways or "away" in ways or verb == "part":
        found.append(("part",))
    if not found and ("unison" in ways or "together" in ways) and verb not in ("stay", "be"):
        found.append(("together",))
    return found


def _who(phrase: Said) -> set[str]:
    return {part for _, part in phrase.who} | {part for where, _, part in phrase.objects if where == "at"}


def _limb_ways(phrase: Said, kind: str, side: str) -> Meaning:
    """Directions of a limb as actions; "back down" and "back to the side" are ways down, not back."""
    ways = dict.fromkeys(phrase.ways)
    known = _LIMB_WAYS[kind]
    found = []
    for way in ways:
        if way in ("left", "right"):
            found.append("move_out" if way == side else "move_in")
        elif way == "back" and phrase.verb == "return":
            continue
        elif way in known:
            found.append(known[way])
        elif way == "away" and any(part in ("body", "torso") for _, _, part in phrase.objects):
            found.append("move_out")
    if kind == "arm" and any(
        where == "front" and part in ("body", "torso") for where, _, part in phrase.objects
    ):
        found.append("move_in")
    return [(name,) for name in dict.fromkeys(found)]


OF_KIND: Final[dict[str, Callable[[Said, str], Meaning]]] = {
    "torso": of_torso, "neck": of_neck, "arm": of_arm, "leg": of_leg,
}  # fmt: skip
