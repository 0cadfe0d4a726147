"""Training control on a generator, the trained model on the disk, and its measurement."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kinmo_models.control.config import ControlConfig, load_config
from kinmo_models.control.controller import Controller
from kinmo_models.control.evaluate import ControlSettings, held_frames, score_control
from kinmo_models.control.paths import JointPath
from kinmo_models.control.train import train_control
from kinmo_models.data.motions import MotionStore
from kinmo_models.evaluator.score import scored_pairs
from kinmo_models.generation.config import load_config as generation_config
from kinmo_models.generation.generator import Generator, Known, Prompt
from kinmo_models.generation.train import Parts, train_generation
from kinmo_models.tokenizer.config import load_config as tokenizer_config
from kinmo_models.tokenizer.train import train_tokenizer
from kinmo_models.training.checkpoint import resolve_model
from kinmo_models.training.errors import ConfigError, TrainingError

TOKENIZER = (
    "model.width=16", "model.code_width=8", "model.depth=1", "model.levels=3", "model.codes=8",
    "data.batch_size=4", "data.window=16", "training.epochs=1",
)  # fmt: skip
GENERATOR = (
    "model.heads=2", "model.width=16", "model.layers=1", "model.inner=16", "model.token_width=8",
    "data.batch_size=4", "data.min_frames=8", "training.epochs=1", "sampling.passes=[2,1,1]",
)  # fmt: skip
SMALL = (
    "model.encoder_width=8", "data.batch_size=4", "data.min_frames=8", "training.epochs=2",
    "training.keep_every_s=0",
)  # fmt: skip


def small(*sets: str) -> ControlConfig:
    return load_config("tiny", [*SMALL, *sets])


class Place:
    """A dataset, a generator, and where control is trained."""

    def __init__(self, dataset: Path, folder: Path) -> None:
        self.dataset, self.cache, self.folder = dataset, folder / "cache", folder
        self.generator = folder / "generator"

    def train(self, name: str = "run", *sets: str) -> Path:
        train_control(self.dataset, self.folder / name, small(*sets), self.generator, cache_dir=self.cache)
        return self.folder / name

    def open(self, run: Path) -> Controller:
        return Controller.from_pretrained(run, device="cpu", cache_dir=self.cache)


@pytest.fixture
def place(make_dataset: Callable[..., Path], tmp_path: Path) -> Place:
    found = Place(make_dataset(6), tmp_path)
    tokenizer = tmp_path / "tokenizer"
    train_tokenizer(found.dataset, tokenizer, tokenizer_config("tiny", TOKENIZER), cache_dir=found.cache)
    parts = Parts(tokenizer, None)
    config = generation_config("tiny", GENERATOR)
    train_generation(found.dataset, found.generator, config, parts, cache_dir=found.cache)
    return found


def straight(frames: int, *which: str) -> JointPath:
    joints = np.zeros((frames, 22, 3), np.float32)
    joints[..., 1], joints[..., 2] = 0.9, np.arange(frames)[:, None] / 20
    return JointPath.of(joints, which)


def test_a_trained_controller_needs_no_other_folder(place: Place, tmp_path: Path):
    run = place.train()
    moved = tmp_path / "elsewhere"
    shutil.copytree(resolve_model(run), moved)
    for gone in (place.dataset, place.generator, run):
        shutil.rmtree(gone)
    controller = place.open(moved)
    assert controller.meta["kind"] == "control"
    prompts = [Prompt("a person walks", {"left_arm": "The left arm swings."}, seed=3), "a person waves"]
    paths = [straight(40, "pelvis"), straight(20, "left_wrist", "right_wrist")]
    first, second = controller.generate(prompts, paths)
    assert (first.level, second.level) == ("GJI", "G")
    assert (first.joints.shape, second.features.shape) == ((40, 22, 3), (20, 263))
    assert controller.decodes == 4 + 6
    refined = controller.generate(prompts, paths, refine=6)
    np.testing.assert_array_equal(refined[0].tokens, first.tokens)
    assert not np.array_equal(refined[0].joints, first.joints)


def test_an_empty_path_gives_the_generators_motion(place: Place):
    controller = place.open(place.train())
    prompt = Prompt("a person walks", seconds=1.0, seed=5)
    (alone,) = controller.generator.generate([prompt])
    (led,) = controller.generate([prompt], [JointPath.empty(20)], refine=5)
    np.testing.assert_array_equal(led.tokens, alone.tokens)
    np.testing.assert_allclose(led.joints, alone.joints, atol=1e-5)


def test_tokens_that_are_not_editable_stay(place: Place):
    controller = place.open(place.train())
    known = Known(np.full((5, 3), 2), np.array([True, False, False, True, True]))
    (motion,) = controller.generate(["waves"], [straight(20, "head")], known=[known])
    np.testing.assert_array_equal(motion.tokens[1:3], known.tokens[1:3])
    with pytest.raises(ValueError, match="tokens do not have one row for each 4 frames"):
        controller.generate(["waves"], [straight(24, "head")], known=[known])


def test_lengths_that_do_not_fit_are_refused(place: Place):
    controller = place.open(place.train())
    with pytest.raises(ValueError, match="must have a multiple of 4"):
        controller.generate(["waves"], [straight(22, "head")])
    with pytest.raises(ValueError, match="2 s is asked for, with a path of 1 s"):
        controller.generate([Prompt("waves", seconds=2.0)], [straight(20, "head")])
    with pytest.raises(ValueError, match=r"this model writes up to 9\.8 s"):
        controller.generate(["waves"], [straight(400, "head")])


def losses(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "losses.jsonl").read_text("utf-8").splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def test_a_stopped_training_goes_on_to_the_same_losses(place: Place):
    whole = place.train("whole", "training.schedule=constant")
    parted = place.train("parted", "training.schedule=constant", "training.epochs=1")
    place.train("parted", "training.schedule=constant")
    assert losses(parted) == losses(whole)


def test_what_control_cannot_stand_on_is_refused(place: Place, tmp_path: Path):
    with pytest.raises(TrainingError, match="of the kind tokenizer, not generator"):
        train_control(place.dataset, tmp_path / "run", small(), tmp_path / "tokenizer")
    with pytest.raises(ConfigError, match="motion tokens stand for all frames"):
        small("data.stride=2")
    run = place.train()
    with pytest.raises(TrainingError, match="of the kind control, not generator"):
        Generator.from_pretrained(run)


def test_control_is_measured_at_each_density(place: Place):
    controller = place.open(place.train())
    pairs = scored_pairs(MotionStore.open(place.dataset, place.cache), "test", 3)
    assert len(pairs.captions) == 3
    settings = ControlSettings(("2", "100%"), "wrists", refine=4)
    rows, figures = score_control(controller, pairs, settings)
    assert figures == []
    names = ("uncontrolled", "feed-forward", "refined 4")
    assert [(row.motions, row.density) for row in rows] == [
        (name, density) for name in names for density in ("2", "100%", "mean")
    ]
    assert [row.passes for row in rows[::3]] == [1, 1 + 4 + 6, 1 + 4 + 6 + 4]
    by_name = {(row.motions, row.density): row.errors.average_m for row in rows}
    assert by_name["refined 4", "100%"] < by_name["feed-forward", "100%"]
    mean = (by_name["uncontrolled", "2"] + by_name["uncontrolled", "100%"]) / 2
    assert by_name["uncontrolled", "mean"] == pytest.approx(mean)


def test_densities_are_numbers_or_shares():
    random = np.random.default_rng(0)
    assert held_frames("100%", 8, random) == list(range(8))
    assert [len(held_frames(one, 40, random)) for one in ("1", "5", "25%", "1%")] == [1, 5, 10, 1]
    assert held_frames("5", 3, random) == [0, 1, 2]
    for wrong in ("0", "-1", "x", "0%", "101%", "5%%", "1.5", ""):
        with pytest.raises(ValueError, match="is no density"):
            held_frames(wrong, 8, random)
