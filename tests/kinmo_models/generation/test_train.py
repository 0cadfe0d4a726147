"""Training a generator on a dataset, and the trained model on the disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_models.data.motions import MotionStore
from kinmo_models.generation.conditions import ConditionStore, SentenceText, open_text_encoder
from kinmo_models.generation.config import GeneratorConfig, SamplingConfig, load_config
from kinmo_models.generation.generator import Generator, Prompt, with_seeds
from kinmo_models.generation.train import Parts, train_generation
from kinmo_models.retrieval.config import load_config as retrieval_config
from kinmo_models.retrieval.train import train_retrieval
from kinmo_models.tokenizer.config import load_config as tokenizer_config
from kinmo_models.tokenizer.train import train_tokenizer
from kinmo_models.training.checkpoint import resolve_model
from kinmo_models.training.errors import ConfigError, TrainingError

TOKENIZER = (
    "model.width=16", "model.code_width=8", "model.depth=1", "model.levels=3", "model.codes=8",
    "data.batch_size=4", "data.window=16", "training.epochs=1",
)  # fmt: skip
RETRIEVAL = (
    "model.width=16", "model.layers=1", "model.heads=2", "model.inner=16", "data.batch_size=4",
    "training.epochs=1",
)  # fmt: skip
SMALL = (
    "model.heads=2", "model.width=16", "model.layers=1", "model.inner=16", "model.token_width=8",
    "data.batch_size=4", "data.min_frames=8", "training.epochs=2", "training.keep_every_s=0",
)  # fmt: skip


class Place:
    """A dataset, and the models that a generator stands on."""

    def __init__(self, dataset: Path, folder: Path) -> None:
        self.dataset, self.cache = dataset, folder / "cache"
        self.tokenizer, self.text, self.run = folder / "tokenizer", folder / "text", folder / "run"

    def train(self, *sets: str, text: bool = True, run: Path | None = None) -> Path:
        parts = Parts(self.tokenizer, self.text if text else None)
        out = run or self.run
        train_generation(self.dataset, out, small(*sets), parts, cache_dir=self.cache)
        return out

    def open(self, run: Path) -> Generator:
        return Generator.from_pretrained(run, device="cpu", cache_dir=self.cache)


def small(*sets: str) -> GeneratorConfig:
    return load_config("tiny", [*SMALL, *sets])


def losses(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "losses.jsonl").read_text("utf-8").splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


@pytest.fixture
def place(make_dataset: Callable[..., Path], tmp_path: Path) -> Place:
    found = Place(make_dataset(6), tmp_path)
    config = tokenizer_config("tiny", TOKENIZER)
    train_tokenizer(found.dataset, found.tokenizer, config, cache_dir=found.cache)
    train_retrieval(found.dataset, found.text, retrieval_config("tiny", RETRIEVAL), cache_dir=found.cache)
    return found


def test_a_trained_generator_writes_motions_without_its_dataset(place: Place, tmp_path: Path):
    run = place.train()
    moved = tmp_path / "elsewhere"
    shutil.copytree(resolve_model(run), moved)
    for gone in (place.dataset, place.tokenizer, place.text, run):
        shutil.rmtree(gone)
    generator = place.open(moved)
    assert generator.levels == ("G", "GJ", "GJI")
    assert generator.meta["kind"] == "generator"
    prompts = [
        Prompt("a person waves", {"left_arm": "The left arm waves."}, seconds=2.0, seed=3),
        Prompt("a person walks", seconds=1.0),
    ]
    first, second = generator.generate(prompts)
    assert first.level == "GJI"
    assert first.features.shape == (40, 263)
    assert first.joints.shape == (40, 22, 3)
    assert first.tokens.shape == (10, 3)
    assert second.joints.shape == (20, 22, 3)
    assert second.level == "G"  # whatever the prompts beside it have
    np.testing.assert_array_equal(generator.generate(prompts[1:])[0].tokens, second.tokens)
    assert np.isfinite(first.joints).all()
    (alone,) = generator.generate(prompts[:1])
    np.testing.assert_array_equal(alone.tokens, first.tokens)
    np.testing.assert_allclose(alone.joints, first.joints, atol=1e-4)


def test_without_a_length_the_model_guesses_one(place: Place):
    generator = place.open(place.train())
    (motion,) = generator.generate(["a person walks"])
    assert 1 <= len(motion.tokens) <= 49
    assert motion.level == "G"


def test_finer_texts_alone_are_a_prompt(place: Place):
    generator = place.open(place.train())
    prompt = Prompt("", {"left_arm": "The left arm waves."}, seconds=1.0)
    _, present = generator.encode([prompt])
    assert present.nonzero().tolist() == [[0, 1 + FIELDS.index("left_arm")]]
    (motion,) = generator.generate([prompt])
    assert motion.joints.shape == (20, 22, 3)


def test_settings_that_would_do_nothing_are_refused():
    with pytest.raises(ConfigError, match="neighbours is for retrieval"):
        small("data.neighbours=8")
    with pytest.raises(ConfigError, match="motion tokens stand for all frames"):
        small("data.stride=2")


def test_what_cannot_be_is_refused(place: Place):
    generator = place.open(place.train())
    with pytest.raises(ValueError, match=r"up to 9\.8 s"):
        generator.generate([Prompt("x", seconds=10.0)])
    with pytest.raises(ValueError, match="levels G, GJ, GJI"):
        generator.generate(["x"], level="X")
    with pytest.raises(ValueError, match="unknown fields tail"):
        generator.generate([Prompt("x", {"tail": "It wags."})])
    with pytest.raises(ValueError, match="prompt is empty"):
        generator.generate([" "])


def test_seeds_follow_on_a_prompts_own():
    found = with_seeds([Prompt("a", seed=5), Prompt("b")], 2)
    assert [(one.caption, one.seed) for one in found] == [("a", 5), ("a", 6), ("b", 0), ("b", 1)]


def test_momask_is_the_same_with_a_plain_sentence_encoder(place: Place):
    run = place.train("model.levels=G", text=False)
    generator = place.open(run)
    assert generator.text.name == "sentence"
    assert generator.levels == ("G",)
    assert not (resolve_model(run) / "text").exists()
    (motion,) = generator.generate(["a person walks"])
    assert motion.joints.shape[1:] == (22, 3)


def test_an_interrupted_training_goes_on_exactly(place: Place, tmp_path: Path, monkeypatch):
    whole = place.train(run=tmp_path / "whole")
    from kinmo_models.generation.loss import GenerationLoss

    forward, calls = GenerationLoss.forward, []

    def stop(self, batch):
        calls.append(1)
        if len(calls) == 4:
            raise RuntimeError("killed")
        return forward(self, batch)

    monkeypatch.setattr(GenerationLoss, "forward", stop)
    with pytest.raises(RuntimeError, match="killed"):
        place.train()
    monkeypatch.undo()
    assert losses(place.train()) == losses(whole)


def test_levels_that_the_text_encoder_does_not_know_are_refused(place: Place):
    shutil.rmtree(place.text)
    config = retrieval_config("tiny", [*RETRIEVAL, "model.levels=G"])
    train_retrieval(place.dataset, place.text, config, cache_dir=place.cache)
    with pytest.raises(ConfigError, match=r"model\.levels.*knows G"):
        place.train()


def test_a_folder_of_another_model_is_refused(place: Place):
    with pytest.raises(TrainingError, match="kind tokenizer, not generator"):
        place.open(place.tokenizer)


def test_latents_of_texts_are_kept_on_disk_and_are_those_of_the_encoder(place: Place):
    store = MotionStore.open(place.dataset, place.cache)
    encoder = open_text_encoder(place.text, "cpu", place.cache)
    for _ in range(2):  # computed, then mapped
        conditions = ConditionStore.of(store, encoder, place.cache)
        texts = store.texts[3]
        expected = encoder.encode([texts.captions[0].text], [texts.fields])[0]
        np.testing.assert_allclose(conditions.latents(3, 0, False), expected, atol=2e-3)
        turned = encoder.encode([texts.mirrored_captions[0].text], [texts.mirrored_fields])[0]
        np.testing.assert_allclose(conditions.latents(3, 0, True), turned, atol=2e-3)


def test_sentences_of_the_plain_encoder_are_unit_rows_in_their_places(place: Place):
    encoder = SentenceText("cpu", place.cache)
    fields = [f"The {name} moves." for name in FIELDS]
    rows = encoder.encode(["a person walks"], [fields])
    assert rows.shape == (1, 22, 384)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=2), 1, atol=1e-5)
    alone = encoder.encode([fields[4]], [fields])
    np.testing.assert_allclose(alone[0, 0], rows[0, 5], atol=1e-5)


def test_sampling_is_a_setting_of_the_trained_model(place: Place):
    generator = place.open(place.train("sampling.passes=[2,1,1]"))
    assert generator.config.sampling == SamplingConfig(passes=(2, 1, 1))
