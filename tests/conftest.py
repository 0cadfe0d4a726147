"""Fixtures that every test may use."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from kinmo_annotate.schema.records import (
    NO_MOVEMENT,
    Caption,
    Check,
    Failure,
    Keyframe,
    Motion,
    Provenance,
    Row,
    Source,
)
from kinmo_annotate.schema.skeleton import FIELDS

REPOSITORY = Path(__file__).resolve().parents[1]

# Tests must not reach for a model hub, and numpy must not fight the other test workers for cores.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the working tree."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real motions that lies beside the repository; absent on most machines."""
    folder = (REPOSITORY / "../shared/data").resolve()
    if not folder.is_dir():
        pytest.skip("no real motions here: this test reads ../shared/data beside the repository")
    return folder


@pytest.fixture(scope="session")
def arm_motion() -> Callable[[int], np.ndarray]:
    """Make up motion number n: (T, 22, 3) of a standing body that lifts one arm and lowers it again."""
    from kinmo_annotate.schema.skeleton import JOINT, PARENTS, TARGET_OFFSETS, UP

    rest = TARGET_OFFSETS.copy()
    for joint, parent in enumerate(PARENTS[1:], start=1):
        rest[joint] += rest[parent]
    rest[:, UP] -= rest[:, UP].min()

    def make(number: int) -> np.ndarray:
        side, sign = ("left", 1.0) if number % 2 else ("right", -1.0)
        frames = 30 + 3 * (number % 7)
        angle = np.radians(60 + 10 * (number % 5)) * np.sin(np.linspace(0, np.pi, frames))
        joints = np.repeat(rest[None], frames, axis=0)
        shoulder = rest[JOINT[f"{side}_shoulder"]]
        for name in ("elbow", "wrist"):
            length = shoulder[UP] - rest[JOINT[f"{side}_{name}"], UP]
            offset = np.stack([sign * np.sin(angle), -np.cos(angle), np.zeros(frames)], axis=1)
            joints[:, JOINT[f"{side}_{name}"]] = shoulder + length * offset
        return joints.astype(np.float32)

    return make


@pytest.fixture
def make_folder(tmp_path: Path, arm_motion: Callable[[int], np.ndarray]) -> Callable[..., Path]:
    """Write a HumanML3D folder of so many made-up motions, every fifth of them in the test split."""

    def write(motions: int, name: str = "source") -> Path:
        folder = tmp_path / name
        for part in ("new_joints", "texts"):
            (folder / part).mkdir(parents=True)
        ids = [f"{number:06d}" for number in range(motions)]
        for number, motion_id in enumerate(ids):
            np.save(folder / "new_joints" / f"{motion_id}.npy", arm_motion(number))
            text = "a person lifts an arm.#a/DET person/NOUN lift/VERB a/DET arm/NOUN#0.0#0.0\n"
            (folder / "texts" / f"{motion_id}.txt").write_text(text)
        (folder / "train.txt").write_text("".join(f"{one}\n" for n, one in enumerate(ids) if n % 5 != 4))
        (folder / "test.txt").write_text("".join(f"{one}\n" for n, one in enumerate(ids) if n % 5 == 4))
        return folder

    return write


@pytest.fixture(scope="session")
def make_rows(arm_motion: Callable[[int], np.ndarray]) -> Callable[..., list[Row]]:
    """Make up so many rows, every third with features; motion number n has the id n in six digits."""

    def make(motions: int, split: str = "train", first: int = 0) -> list[Row]:
        return [_row(number, arm_motion(number), split) for number in range(first, first + motions)]

    return make


def _row(number: int, joints: np.ndarray, split: str) -> Row:
    side = "left" if number % 2 else "right"
    texts = dict.fromkeys(FIELDS, NO_MOVEMENT)
    texts |= {
        f"{side}_arm": f"The {side} arm rises and comes down again.",
        "torso__neck": "Both stay upright.",
    }
    features = None
    if number % 3 == 0:
        features = np.random.default_rng(number).normal(size=(len(joints) - 1, 263)).astype(np.float32)
    motion = Motion(
        f"{number:06d}",
        joints,
        Source("made up", f"new_joints/{number:06d}.npy", license="CC0-1.0"),
        captions=(Caption(f"a person lifts the {side} arm [slowly]"), Caption("stands", 0.0, 0.5)),
        split=split,
        features=features,
    )
    last = len(joints) - 1
    middle = Keyframe(last // 2, 0.75, f"The {side} arm is raised to the side.")
    keyframes = (Keyframe(0, 1.0, "The body stands upright."), middle, Keyframe(last, 0.5, "Both arms hang."))
    made = Provenance("kinematic", "", "1", "posecodes", "tiny", 0.8, 7, "0.1.0", "2025-01-01T00:00:00Z")
    checks = (Check(f"{side}_arm", f"{side} arm rises", "supported"),)
    return Row(motion, keyframes, texts, made, checks)


@pytest.fixture
def make_dataset(tmp_path: Path, make_rows: Callable[..., list[Row]]) -> Callable[..., Path]:
    """Write a dataset: two train shards and a test shard of so many made-up motions each, one failure."""
    from kinmo_annotate.schema import shards

    def write(motions: int = 4, name: str = "dataset") -> Path:
        folder = tmp_path / name
        infos = []
        for number, (split, index) in enumerate((("train", 0), ("train", 1), ("test", 0))):
            table = shards.rows_to_table(make_rows(motions, split, number * motions))
            infos.append(shards.write_shard(table, folder / "data" / shards.shard_name(split, index)))
        failures = [Failure("broken", "new_joints/broken.npy", "read", "has 1 frame", "Leave it out.")]
        shards.write_failures(failures, folder / "failures.parquet")
        shards.Manifest({"seed": 7}, "1", infos, failures=1).save(folder)
        shards.write_card(folder)
        return folder

    return write


class WordCounts:
    """A text encoder for tests that are not about sBERT: counts words in 64 bins, in no time."""

    name = "word-counts"

    def encode(self, texts: list[str]) -> np.ndarray:
        """Embed texts: (N, 64) unit rows."""
        counts = np.zeros((len(texts), 64), np.float32)
        for row, text in zip(counts, texts, strict=True):
            for word in text.lower().split():
                row[sum(word.encode()) % 64] += 1
        return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)


@pytest.fixture
def quick_encoder(monkeypatch: pytest.MonkeyPatch) -> WordCounts:
    """Let the pipeline of this process embed texts with `WordCounts`."""
    encoder = WordCounts()
    monkeypatch.setattr("kinmo_annotate.keyframes.open_encoder", lambda model, cache_dir=None: encoder)
    return encoder


def _endpoint_module(name: str) -> ModuleType:
    """Load tests/endpoint/NAME.py by its path: the tests are no packages."""
    path = REPOSITORY / "tests/endpoint" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"kinmo_tests_endpoint_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def endpoint() -> Iterator[Callable[..., Any]]:
    """Start fault-injecting endpoints: `endpoint(latency_s=0.2, faults={"error_500": 0.1})`.

    Gives `running.Endpoint`: url, stats(), records(), control(...), reset(), stop(). All end with the test.
    """
    running = _endpoint_module("running")
    started = []

    def start(log: Path | None = None, **options: Any) -> Any:
        started.append(running.start(log, **options))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture(scope="session")
def local_llm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real small language model behind its own OpenAI-compatible server, for slow tests.

    Gives `local_llm.LocalModel`: url, model, process, log. One thread, about 50 tokens a second when quiet.
    """
    local = _endpoint_module("local_llm")
    try:
        server = local.LocalModel(tmp_path_factory.mktemp("local_llm") / "server.log")
    except local.Missing as error:
        pytest.skip(str(error))
    yield server.wait()
    server.stop()
