"""Settings: presets, `--set`, and errors that say what is wanted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import yaml

from kinmo_models.training.config import (
    TrainingConfig,
    differences,
    from_yaml,
    load_preset,
    plain,
    resolve,
    setting,
    to_yaml,
)
from kinmo_models.training.errors import ConfigError


@dataclass(frozen=True)
class Model:
    width: int = setting(64, least=8, most=1024)
    heads: int = 4
    kind: Literal["no", "yes"] = "yes"
    sizes: tuple[int, ...] = (1, 2)

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of {self.heads} heads")


@dataclass(frozen=True)
class Room:
    model: Model = field(default_factory=Model)
    training: TrainingConfig = field(default_factory=lambda: TrainingConfig(epochs=7))
    language: str | None = None


def test_what_a_preset_leaves_out_keeps_its_default_and_later_settings_win(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("model:\n  width: 128\ntraining:\n  learning_rate: 1e-3\n")
    config = resolve(Room, path, ["model.width=32", "model.width=16", "training.betas=[0.8, 0.99]"])
    assert config.model == Model(width=16)
    assert config.training == TrainingConfig(epochs=7, learning_rate=1e-3, betas=(0.8, 0.99))
    assert resolve(Room, None, []) == Room()


@pytest.mark.parametrize("sets", [["model.width=30", "model.heads=5"], ["model.heads=5", "model.width=30"]])
def test_settings_that_are_right_together_may_stand_in_any_order(sets: list[str]) -> None:
    assert resolve(Room, None, sets).model == Model(width=30, heads=5)


@pytest.mark.parametrize(
    ("text", "section", "name", "value"),
    [
        ("training.learning_rate=1e-4", "training", "learning_rate", 1e-4),
        ("training.learning_rate=1", "training", "learning_rate", 1.0),
        ("training.precision=no", "training", "precision", "no"),
        ("training.clip_norm=0.5", "training", "clip_norm", 0.5),
        ("training.clip_norm=null", "training", "clip_norm", None),
        ("training.compile=true", "training", "compile", True),
        ("training.best=R@1", "training", "best", "R@1"),
        ("training.milestones=[0.1]", "training", "milestones", (0.1,)),
        ("model.kind=yes", "model", "kind", "yes"),
        ("model.sizes=[4, 5, 6]", "model", "sizes", (4, 5, 6)),
    ],
)
def test_values_are_read_as_the_type_of_their_field(text, section, name, value) -> None:
    read = getattr(getattr(resolve(Room, None, [text]), section), name)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("training.lerning_rate=1", "training.lerning_rate", "Did you mean training.learning_rate?"),
        ("learning_rate=1", "learning_rate", "Did you mean training.learning_rate?"),
        ("model.colour=1", "model.colour", "Known are model.width, model.heads"),
        ("training=3", "training", "section"),
        ("training.epochs=many", "training.epochs", "Give a whole number."),
        ("training.epochs=1.5", "training.epochs", "Give a whole number."),
        ("training.epochs=true", "training.epochs", "Give a whole number."),
        ("training.epochs=0", "training.epochs", "Give a number at least 1."),
        ("model.width=4096", "model.width", "at least 8 and at most 1024"),
        ("training.learning_rate=.inf", "training.learning_rate", "out of range"),
        ("training.learning_rate=.nan", "training.learning_rate", "out of range"),
        ("training.betas=[0.9]", "training.betas", "a list of 2: a number, a number"),
        ("training.betas=0.9", "training.betas", "a list of 2"),
        ("training.precision=fp32", "training.precision", "one of no, bf16, fp16"),
        ("training.clip_norm=none", "training.clip_norm", "a number or null"),
        ("training.compile=1", "training.compile", "true or false"),
        ("language=[a]", "language", "a text or null"),
        ("model.width=65", "model", "65 is no multiple of 4 heads"),
        ("epochs", "epochs", "KEY=VALUE"),
        ("training.epochs={", "training.epochs", "no YAML value"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_wanted(text, key, said) -> None:
    with pytest.raises(ConfigError) as error:
        resolve(Room, None, [text])
    assert error.value.where == key
    assert said in str(error.value)
    assert error.value.remedy


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "- x"])
def test_a_file_that_is_no_mapping_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        resolve(Room, path, [])


def test_a_file_never_makes_objects(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("language: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(ConfigError, match="is no YAML"):
        resolve(Room, path, [])


def test_yaml_of_a_config_gives_the_same_config(tmp_path: Path) -> None:
    config = resolve(Room, None, ["training.precision=no", "language=no", "training.weight_decay=1e-9"])
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config))
    assert from_yaml(Room, path) == config
    assert list(yaml.safe_load(to_yaml(config))) == ["model", "training", "language"]


def test_differences_name_the_dotted_keys() -> None:
    old, new = plain(Room()), plain(resolve(Room, None, ["model.width=8", "model.sizes=[3]"]))
    assert differences(old, new) == {"model.width": (64, 8), "model.sizes": ([1, 2], [3])}
    assert differences({"a": 1}, {"b": 1}) == {"a": (1, None), "b": (None, 1)}


def test_presets_are_files_of_the_room(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text("model: {width: 16}\n")
    assert load_preset(Room, tmp_path, "tiny", ["model.heads=2"]).model == Model(width=16, heads=2)
    assert load_preset(Room, tmp_path, "base", []) == load_preset(Room, tmp_path, None, []) == Room()
    assert load_preset(Room, tmp_path, tmp_path / "tiny.yaml", []).model.width == 16
    with pytest.raises(ConfigError, match="Give base, tiny, or a YAML file"):
        load_preset(Room, tmp_path, "small", [])
