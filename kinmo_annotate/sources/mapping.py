"""Which joints of a file's skeleton stand for the 22 SMPL joints: tables by name, a user's YAML, and weights.

A table gives each SMPL joint one source joint (`Hips`), the End Site of one (`LeftFoot/end`), or a weighted
sum of a joint and its neighbour (`{Hips: 0.5, Spine: 0.5}`), which is a point fixed on the bone between them.
A list gives alternatives: the first whose joints the file has is taken.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.skeleton import JOINTS, NUM_JOINTS
from kinmo_annotate.sources.files import read_text

Point = tuple[tuple[str, float], ...]  # source joint and weight; the weights add up to 1
_HOW = "Write `joints:` with one line for each SMPL joint, such as `spine1: {Hips: 0.5, Spine: 0.5}`."


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping: for each SMPL joint the points that may stand for it, best first."""

    name: str
    joints: dict[str, tuple[Point, ...]]


@cache
def built_in_tables() -> tuple[Table, ...]:
    """Read the tables that come with the package, in alphabetical order."""
    folder = files("kinmo_annotate.sources") / "skeleton_maps"
    paths = sorted((item for item in folder.iterdir() if item.name.endswith(".yaml")), key=lambda p: p.name)
    return tuple(_parse_table(item.read_text(encoding="utf-8"), item.name) for item in paths)


def read_table(path: Path) -> Table:
    """Read a user's table.

    Raises:
        MotionError: not YAML, not a table, or a joint that is not one of SMPL's; names what is wrong.
    """
    return _parse_table(read_text(path), str(path))


def _parse_table(text: str, where: str) -> Table:
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise MotionError(where, f"is not YAML ({reason})", _HOW) from None
    joints = data.get("joints") if isinstance(data, dict) else None
    if not isinstance(joints, dict):
        raise MotionError(where, "has no `joints:`", _HOW)
    strangers = [str(joint) for joint in joints if joint not in JOINTS]
    if strangers:
        known = ", ".join(JOINTS)
        raise MotionError(where, f"names joints that SMPL has not: {', '.join(strangers)}", f"Use {known}.")
    points = {joint: _parse_points(value, f"{where}, {joint}") for joint, value in joints.items()}
    return Table(str(data.get("name") or Path(where).stem), points)


def _parse_points(value: Any, where: str) -> tuple[Point, ...]:
    choices = value if isinstance(value, list) else [value]
    return tuple(_parse_point(choice, where) for choice in choices)


def _parse_point(value: Any, where: str) -> Point:
    if isinstance(value, str):
        return ((value, 1.0),)
    if not isinstance(value, dict) or not value:
        raise MotionError(where, f"{value!r} is neither a joint's name nor names with weights", _HOW)
    weights = list(value.values())
    numbers = all(isinstance(w, int | float) and math.isfinite(w) for w in weights)
    if not numbers or abs(sum(weights) - 1.0) > 1e-6:
        raise MotionError(where, f"its weights {weights} do not add up to 1", _HOW)
    return tuple((str(name), float(weight)) for name, weight in value.items())


def canonical(name: str) -> str:
    """Reduce a joint's name to what tables compare: no namespace, prefix, case or separators."""
    bare = name.rsplit(":", 1)[-1]
    bare = re.sub(r"^mixamorig\d*", "", bare, flags=re.IGNORECASE)
    return re.sub(r"[\s_.\-]", "", bare).lower()


class Names:
    """Finds the joints of one file by name: exactly as written first, then by canonical name."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.exact = {name: index for index, name in enumerate(names)}
        self.loose = {canonical(name): index for index, name in reversed(list(enumerate(names)))}
        self.twice = {name for name, count in Counter(names).items() if count > 1}

    def find(self, name: str) -> int | None:
        """Give a joint's index, None where the file has none of that name."""
        index = self.exact.get(name)
        return self.loose.get(canonical(name)) if index is None else index


def resolve(table: Table, names: Names) -> tuple[NDArray[np.float64], list[str]]:
    """Apply a table to a file's joints.

    Returns:
        (22, J) weights of the file's joints for each SMPL joint (zero rows where there is none), and the
        SMPL joints for which the file has nothing.
    """
    weights = np.zeros((NUM_JOINTS, len(names.names)))
    missing = []
    for row, joint in enumerate(JOINTS):
        for point in table.joints.get(joint, ()):
            found = [(names.find(name), weight) for name, weight in point]
            if all(index is not None for index, _ in found):
                for index, weight in found:
                    weights[row, index] += weight
                break
        else:
            missing.append(joint)
    return weights, missing


def choose(names: list[str], where: str, user: Table | None = None) -> tuple[Table, NDArray[np.float64]]:
    """Find the table that fits a file's joints.

    Args:
        names: the file's J joints.
        where: the file, for messages.
        user: the only table to try; None tries those built in, and of several that fit takes the one that
            uses the most of the file's joints.

    Returns:
        The table and its (22, J) weights.

    Raises:
        MotionError: none fits; says which SMPL joints have no source and shows how to write a mapping.
    """
    lookup = Names(names)
    tried = [(table, *resolve(table, lookup)) for table in ([user] if user else built_in_tables())]
    best, weights, missing = min(tried, key=lambda t: (len(t[2]), -int((t[1] != 0).any(axis=0).sum())))
    if missing:
        raise _unknown(best, weights, missing, names, where, user is not None)
    repeated = [name for name in lookup.twice if (weights[:, lookup.exact[name]] != 0).any()]
    if repeated:
        reason = f"has more than one joint called {', '.join(sorted(repeated))}"
        raise MotionError(where, reason, "Give the joints different names.")
    return best, weights


def _unknown(
    best: Table, weights: NDArray[np.float64], missing: list[str], names: list[str], where: str, asked: bool
) -> MotionError:
    """Explain what is unmapped, with a mapping to complete: valid YAML even when joined into one line."""
    joined = ", ".join(missing)
    known = f"the mapping {best.name!r} finds" if asked else "its skeleton is not a known one: KinMo finds"
    shown = ", ".join(names[:80]) + (", ..." if len(names) > 80 else "")
    reason = f"{known} no source for {joined}; the file's joints are {shown}"
    lines = [f"  {joint}: {_show(row, names)}," for joint, row in zip(JOINTS, weights, strict=True)]
    yaml_text = "\n".join(["joints: {", *lines, "}"])
    remedy = "Complete this (put a joint of the file for each '?'), save it as mapping.yaml and give"
    return MotionError(where, reason, f"{remedy} --mapping mapping.yaml:\n{yaml_text}\n")


def _show(row: NDArray[np.float64], names: list[str]) -> str:
    used = np.flatnonzero(row)
    if not len(used):
        return "'?'"
    if len(used) == 1:
        return _quote(names[used[0]])
    return "{" + ", ".join(f"{_quote(names[i])}: {row[i]:g}" for i in used) + "}"


def _quote(name: str) -> str:
    """Write a name so that YAML reads it back as text."""
    plain = re.fullmatch(r"[A-Za-z_][\w/\-]*", name) and isinstance(yaml.safe_load(name), str)
    return name if plain else "'" + name.replace("'", "''") + "'"
