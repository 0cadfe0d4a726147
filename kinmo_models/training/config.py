"""Settings as frozen dataclasses: their defaults are the one truth, a YAML file says only what differs.

    config = resolve(RetrievalConfig, Path("mine.yaml"), ["training.epochs=20"])

A dataclass may hold other dataclasses (sections), `bool`, `int`, `float`, `str`, `Literal`, `X | None` and
tuples of these. `setting(default, least=..., most=...)` gives a field its range; a rule between fields stands
in `__post_init__`, which raises `ValueError`.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import yaml

from kinmo_models.training.errors import ConfigError

_Config = TypeVar("_Config")
_ABSENT: Any = object()


def setting(default: Any, *, least: float | None = None, most: float | None = None) -> Any:
    """Give a dataclass field its default and its range, both ends included."""
    return field(default=default, metadata={"least": least, "most": most})


@dataclass(frozen=True)
class TrainingConfig:
    """How any model of the library is trained.

    Attributes:
        epochs: times that all training motions are seen.
        learning_rate: its highest value, after the warm-up.
        weight_decay: of AdamW, on every parameter.
        betas: of AdamW.
        warmup_steps: over so many steps the learning rate rises from 0.
        schedule: after the warm-up: "constant"; "cosine" to 0 at the last step; or "multistep", times
            `gamma` at each of `milestones`.
        milestones: shares of all steps, rising.
        gamma: factor at each milestone.
        clip_norm: largest norm of all gradients together; null leaves them as they are.
        seed: of everything that is drawn in training.
        precision: "no" (float32), "bf16", or "fp16" (GPU only).
        validate_every: epochs between validations; the last epoch always ends with one.
        keep_every_s: seconds between checkpoints within an epoch; each epoch ends with one anyway.
        best: the figure of the validation by which `best/` is chosen.
        best_mode: whether its largest ("max") or its smallest ("min") value is the best.
        compile: run the module through `torch.compile`; pays off on a GPU and in long trainings.
    """

    epochs: int = setting(100, least=1)
    learning_rate: float = setting(1e-4, least=0)
    weight_decay: float = setting(1e-2, least=0)
    betas: tuple[float, float] = setting((0.9, 0.999), least=0, most=1)
    warmup_steps: int = setting(0, least=0)
    schedule: Literal["constant", "cosine", "multistep"] = "constant"
    milestones: tuple[float, ...] = setting((0.5, 0.8), least=0, most=1)
    gamma: float = setting(0.1, least=0, most=1)
    clip_norm: float | None = setting(None, least=0)
    seed: int = setting(0, least=0)
    precision: Literal["no", "bf16", "fp16"] = "no"
    validate_every: int = setting(1, least=1)
    keep_every_s: float = setting(600.0, least=0)
    best: str = "loss"
    best_mode: Literal["min", "max"] = "min"
    compile: bool = False


# ---------------------------------------------------------------- reading


def resolve(cls: type[_Config], preset: Mapping[str, Any] | Path | None, sets: Sequence[str]) -> _Config:
    """Lay a preset and `section.key=value` settings over the defaults of a config.

    Args:
        cls: a dataclass all of whose fields have defaults.
        preset: nested mapping, or YAML file, of what differs from the defaults.
        sets: each `section.key=value`, the value read as YAML; later ones win.

    Raises:
        ConfigError: unknown key, wrong type, out of range, a file that cannot be read or is no YAML mapping.
    """
    config = cls()
    if isinstance(preset, Path):
        preset = _read_yaml(preset)
    if preset:
        config = _overlay(config, preset, "", config)
    laid_over: dict[str, Any] = {}  # together, as one setting may be right only with another one
    for text in sets:
        _merge(laid_over, _nested(text))
    config = _overlay(config, laid_over, "", config)
    _check(config)
    return config


def from_yaml(cls: type[_Config], path: Path) -> _Config:
    """Read a config that `to_yaml` wrote; what the file leaves out keeps its default.

    Raises:
        ConfigError: as `resolve`.
    """
    return resolve(cls, path, [])


def load_preset(cls: type[_Config], folder: Path, config: str | Path | None, sets: Sequence[str]) -> _Config:
    """Read a preset of a room or a YAML file, with `section.key=value` laid over it.

    Args:
        cls: the room's config, whose defaults are the preset `base`.
        folder: the room; each NAME.yaml in it is the preset NAME.
        config: name of a preset, or a YAML file; None is `base`.
        sets: see `resolve`.

    Raises:
        ConfigError: no such preset or file; or as `resolve`.
    """
    if config is None or config == "base":
        return resolve(cls, None, sets)
    presets = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    path = presets.get(str(config), Path(config))
    if not path.exists():
        remedy = f"Give {', '.join(['base', *presets])}, or a YAML file of what differs from base."
        raise ConfigError(path, "is neither a preset nor a file", remedy)
    return resolve(cls, path, sets)


def to_yaml(config: Any) -> str:
    """Write a config as YAML, every key, in the order of its fields."""
    return yaml.safe_dump(plain(config), sort_keys=False, allow_unicode=True, width=100)


def plain(config: Any) -> dict[str, Any]:
    """Give a config as nested dictionaries of JSON values."""
    return {f.name: _plain(getattr(config, f.name)) for f in fields(config)}


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Give nested dictionaries as one, with dotted keys."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        inside = flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
        found.update(inside)
    return found


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """List the dotted keys whose values differ between two plain configs: key -> (old, new)."""
    was, now = flat(old), flat(new)
    keys = [*was, *(key for key in now if key not in was)]
    return {k: (was.get(k), now.get(k)) for k in keys if was.get(k, _ABSENT) != now.get(k, _ABSENT)}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return plain(value)
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def _read_yaml(path: Path) -> Mapping[str, Any]:
    try:
        read = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            path, "there is no such file", "Give a YAML file, or the name of a preset."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(path, f"cannot be read ({error})", "Give a YAML file that you may read.") from None
    except yaml.YAMLError as error:
        reason = f"is no YAML ({' '.join(str(error).split())})"
        raise ConfigError(path, reason, "Write one `key: value` a line, sections indented.") from None
    if read is None:
        return {}
    if not isinstance(read, dict):
        raise ConfigError(path, "holds no settings", "Write one `key: value` a line, sections indented.")
    return read


def _nested(text: str) -> dict[str, Any]:
    """Read `section.key=value` as nested dictionaries."""
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ConfigError(text, "is not KEY=VALUE", "Write it like --set training.epochs=20.")
    try:
        read: Any = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(key, f"{value} is no YAML value", "Put quotes around a text.") from None
    for part in reversed(key.split(".")):
        read = {part: read}
    return cast(dict[str, Any], read)


def _merge(below: dict[str, Any], laid: Mapping[str, Any]) -> None:
    """Lay nested dictionaries over others, in place."""
    for name, value in laid.items():
        inside = below.get(name)
        if isinstance(value, Mapping) and isinstance(inside, dict):
            _merge(inside, value)
        else:
            below[name] = value


def _overlay(config: Any, laid: Mapping[str, Any], prefix: str, root: Any) -> Any:
    """Give the config with the values of `laid` in the place of its own."""
    hints = get_type_hints(type(config))
    changed = {}
    for name, value in laid.items():
        key = f"{prefix}{name}"
        if name not in hints:
            raise _unknown(key, root)
        mine = getattr(config, name)
        if is_dataclass(mine):
            if not isinstance(value, Mapping):
                inside = ", ".join(f"{key}.{f.name}" for f in fields(mine))
                raise ConfigError(key, "is a section and takes no value", f"Set one of {inside}.")
            changed[name] = _overlay(mine, value, f"{key}.", root)
        else:
            changed[name] = _read(key, value, hints[name])
    try:
        return dataclasses.replace(config, **changed)
    except ValueError as error:
        raise ConfigError(prefix.rstrip(".") or "config", str(error), "Change one of these.") from None


def _unknown(key: str, root: Any) -> ConfigError:
    """Say which keys there are, the likely one first."""
    known = list(flat(plain(root)))
    section, _, leaf = key.rpartition(".")
    siblings = [name for name in known if name.startswith(f"{section}.")] if section else []
    # Later ones win: of two settings with one name, the section's own is the likely one.
    sections = {name.rpartition(".")[0] for name in known} - {""}
    by_leaf = {name.rpartition(".")[2]: name for name in (*sections, *known, *siblings)}
    near = [by_leaf[name] for name in difflib.get_close_matches(leaf, list(by_leaf), n=1)]
    remedy = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(siblings or known)}."
    return ConfigError(key, "there is no such setting", remedy)


# ---------------------------------------------------------------- types


def _read(key: str, value: Any, wanted: Any) -> Any:
    """Give a YAML value as the type that a field wants.

    Raises:
        ConfigError: it is of another type.
    """
    try:
        return _converted(value, wanted)
    except TypeError:
        reason = f"{'nothing' if value is None else repr(value)} is not what is wanted here"
        raise ConfigError(key, reason, f"Give {_worded(wanted)}.") from None


def _converted(value: Any, wanted: Any) -> Any:
    """Give a YAML value as a type; TypeError where it is another."""
    origin, inner = get_origin(wanted), get_args(wanted)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        return _converted(value, next(one for one in inner if one is not type(None)))
    if origin is Literal:
        value = _word(value) if all(isinstance(one, str) for one in inner) else value
        if value not in inner:
            raise TypeError
        return value
    if origin is tuple:
        return _converted_tuple(value, inner)
    return _converted_scalar(value, wanted)


def _converted_tuple(value: Any, inner: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError
    kinds = inner[:1] * len(value) if inner[1:] == (Ellipsis,) else inner
    if len(kinds) != len(value):
        raise TypeError
    return tuple(_converted(one, kind) for one, kind in zip(value, kinds, strict=True))


def _converted_scalar(value: Any, wanted: type) -> Any:
    if wanted is str and isinstance(value, int | float):
        return str(_word(value))
    if isinstance(value, bool) != (wanted is bool):
        raise TypeError
    if wanted is float and isinstance(value, int | float | str):
        try:
            return float(value)  # YAML 1.1 takes 1e-4, without a dot, for a text
        except ValueError:
            raise TypeError from None
    if not isinstance(value, wanted):
        raise TypeError
    return value


def _word(value: Any) -> Any:
    """Undo that YAML 1.1 takes the words yes and no for booleans."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


def _worded(wanted: Any) -> str:
    """Say a type in words."""
    origin, inner = get_origin(wanted), get_args(wanted)
    if origin in (Union, types.UnionType):
        return " or ".join("null" if one is type(None) else _worded(one) for one in inner)
    if origin is Literal:
        return "one of " + ", ".join(str(one) for one in inner)
    if origin is tuple:
        if inner[1:] == (Ellipsis,):
            return f"a list such as [a, b], each {_worded(inner[0])}"
        return f"a list of {len(inner)}: " + ", ".join(_worded(one) for one in inner)
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    return words.get(wanted, str(wanted))


# ---------------------------------------------------------------- ranges


def _check(config: Any, prefix: str = "") -> None:
    for f in fields(config):
        value, key = getattr(config, f.name), f"{prefix}{f.name}"
        if is_dataclass(value):
            _check(value, f"{key}.")
        for number in _numbers(value):
            _check_range(key, number, f.metadata.get("least"), f.metadata.get("most"))


def _numbers(value: Any) -> Iterator[float]:
    for one in value if isinstance(value, tuple) else (value,):
        if isinstance(one, int | float) and not isinstance(one, bool):
            yield one


def _check_range(key: str, number: float, least: float | None, most: float | None) -> None:
    low, high = least if least is not None else -float("inf"), most if most is not None else float("inf")
    if low <= number <= high and abs(number) != float("inf"):
        return
    bounds = [f"at least {least:g}"] if least is not None else []
    bounds += [f"at most {most:g}"] if most is not None else []
    raise ConfigError(
        key, f"{number} is out of range", f"Give a number {' and '.join(bounds) or 'that is finite'}."
    )
