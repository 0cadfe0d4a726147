"""`kinmo play`: what is read, and what is told before the page is served."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from kinmo_cli import main
from typer.testing import CliRunner

from kinmo_annotate.bvh_out import write_bvh
from kinmo_annotate.schema.features import joints_to_features

pytest.importorskip("nicegui", reason="the page needs the extra `review`")


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Run the command as far as the server would start: what would be shown ends here."""
    shown: list[Any] = []

    def serve(motions: Any, port: int, ready: Any) -> None:
        shown.extend(motions)
        ready(f"http://127.0.0.1:{port}")

    monkeypatch.setattr("kinmo_annotate.review.app.player.play", serve)
    return shown


def kinmo(*arguments: object) -> Any:
    return CliRunner().invoke(main.app, ["play", *map(str, arguments)])


def test_every_kind_of_file(played, arm_motion, tmp_path):
    joints = arm_motion(3)
    np.save(tmp_path / "joints.npy", joints)
    np.save(tmp_path / "vectors.npy", joints_to_features(joints))
    np.savez(tmp_path / "joints.npz", joints=joints)
    write_bvh(joints, tmp_path / "a.bvh")
    names = ["joints.npy", "vectors.npy", "joints.npz", "a.bvh"]
    done = kinmo(*(tmp_path / name for name in names), "--port", 8123)
    assert done.exit_code == 0, done.stderr
    assert "played at http://127.0.0.1:8123" in done.stdout
    assert [motion.motion_id for motion in played] == names
    assert [motion.num_frames for motion in played] == [
        len(joints),
        len(joints) - 1,
        len(joints),
        len(joints),
    ]


def test_rows_of_a_dataset(played, make_dataset):
    done = kinmo(make_dataset(2), "000003", "000001", "--json")
    assert json.loads(done.stdout) == {"url": "http://127.0.0.1:0", "motions": ["000003", "000001"]}
    assert [motion.captions[0] for motion in played] == ["a person lifts the left arm [slowly]"] * 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("gone.npy",), 1, "gone.npy: does not exist"),
        (("a.fbx",), 1, "a file of another kind than .bvh, .npy, .npz"),
        (("dataset",), 2, "kinmo play DATASET ID"),
        (("dataset", "00000"), 1, "Did you mean 000000"),
        (("dataset", "000000", "--mapping", "a.yaml"), 2, "--mapping is for BVH files"),
        (("folder", "000000"), 1, "has no kinmo.json"),
        ((), 2, "MOTION"),
    ],
)
def test_wrong_use_says_what_to_do(played, make_dataset, tmp_path, monkeypatch, words, code, said):
    make_dataset(1)
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.fbx").touch()
    monkeypatch.chdir(tmp_path)
    done = kinmo(*words)
    assert done.exit_code == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert played == []


def test_texts_alone_cannot_be_played(played, make_dataset, tmp_path):
    texts = tmp_path / "texts"
    CliRunner().invoke(
        main.app, ["dataset", "export", str(make_dataset(1)), "--texts-only", "--out", str(texts)]
    )
    assert "kinmo dataset join" in kinmo(texts, "000000").stderr
