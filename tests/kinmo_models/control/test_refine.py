"""Refinement: joints come to the path, what is not moved stays, and what cannot be is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from kinmo_annotate.schema.features import features_to_joints
from kinmo_models.control.paths import JointPath
from kinmo_models.control.refine import RefineSettings, refine
from kinmo_models.metrics.control import control_errors
from kinmo_models.tokenizer.coder import Coder

LOOSE = RefineSettings(pull=0.0, smooth=0.0)


def tokens(*counts: int) -> list[np.ndarray]:
    random = np.random.default_rng(3)
    return [random.integers(0, 16, (count, 3)) for count in counts]


def error(features: list[np.ndarray], paths: list[JointPath]) -> float:
    joints = [features_to_joints(one) for one in features]
    return control_errors(joints, [one.positions for one in paths], [one.held for one in paths]).average_m


def test_joints_come_to_the_path_of_another_motion(coder: Coder):
    written, others = tokens(6, 4), coder.decode(tokens(9, 9, 6, 4)[2:])
    paths = [JointPath.of(features_to_joints(one), ["pelvis", "left_wrist"]) for one in others]
    told: list[tuple[int, int]] = []
    found = refine(
        coder, written, paths, 40, settings=LOOSE, progress=lambda done, total: told.append((done, total))
    )
    assert told[-1] == (40, 40)
    assert [one.shape for one in found] == [(24, 263), (16, 263)]
    assert error(found, paths) < 0.2 * error(coder.decode(written), paths)
    pulled = refine(coder, written, paths, 40, settings=RefineSettings(pull=10.0))
    assert error(found, paths) < error(pulled, paths) < error(coder.decode(written), paths)


def test_a_motion_does_not_depend_on_those_beside_it(coder: Coder, path: Callable[..., JointPath]):
    written, paths = tokens(6, 4), [path(24, "pelvis"), path(16, "head")]
    together = refine(coder, written, paths, 8)
    np.testing.assert_allclose(refine(coder, written[1:], paths[1:], 8)[0], together[1], atol=1e-4)


def test_without_a_path_or_a_pass_tokens_are_decoded_as_they_are(
    coder: Coder, path: Callable[..., JointPath]
):
    written = tokens(6, 4)
    plain = coder.decode(written)
    for paths, steps in (
        ([path(24, "head"), path(16, "head")], 0),
        ([JointPath.empty(24), path(16, "head")], 8),
    ):
        np.testing.assert_array_equal(refine(coder, written, paths, steps)[0], plain[0])
    assert not np.array_equal(refine(coder, written, paths, 8)[1], plain[1])


def test_frames_far_from_what_may_move_stay(coder: Coder, path: Callable[..., JointPath]):
    (written,) = tokens(24)
    editable = np.arange(24) < 3
    (found,) = refine(coder, [written], [path(96, "pelvis")], 8, settings=LOOSE, editable=[editable])
    plain = coder.decode([written])[0]
    assert not np.array_equal(found[:12], plain[:12])
    np.testing.assert_allclose(found[72:], plain[72:], atol=1e-6)  # beyond the reach of the convolutions


def test_paths_of_another_length_are_refused(coder: Coder, path: Callable[..., JointPath]):
    with pytest.raises(ValueError, match="path of motion 0 has 20 frames, the motion 24"):
        refine(coder, tokens(6), [path(20, "pelvis")], 4)
    with pytest.raises(ValueError, match="1 motions have 0 paths"):
        refine(coder, tokens(6), [], 4)


def test_it_begins_where_it_is_told(coder: Coder, path: Callable[..., JointPath]):
    (written,) = tokens(6)
    own = coder.embed(torch.from_numpy(written.astype(np.int64))[None])[0].detach().numpy()
    wanted = path(24, "pelvis")
    (plain,) = refine(coder, [written], [wanted], 4)
    (same,) = refine(coder, [written], [wanted], 4, start=[own])
    np.testing.assert_allclose(same, plain, atol=1e-6)
    (other,) = refine(coder, [written], [wanted], 1, start=[own + 1])  # its first pass is the start itself
    expected = coder.decode_latents(torch.from_numpy(own + 1)[None])[0]
    np.testing.assert_allclose(other, coder.statistics.denormalise(expected).numpy(), atol=1e-5)
