"""Motions to tokens and back: shapes, independence of the batch, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kinmo_annotate.schema.features import joints_to_features
from kinmo_models.data.statistics import Statistics
from kinmo_models.tokenizer import coder as coder_module
from kinmo_models.tokenizer.coder import Coder
from kinmo_models.tokenizer.config import ModelConfig, QuantiserConfig


@pytest.fixture
def coder(begun) -> Coder:
    sizes = ModelConfig(width=16, depth=2, code_width=8, levels=3, codes=8)
    std = np.linspace(0.5, 2, 263, dtype=np.float32)
    return Coder(begun(sizes, QuantiserConfig()), Statistics(np.full(263, 0.1, np.float32), std), "cpu")


@pytest.fixture
def motions(arm_motion) -> list[np.ndarray]:
    """Rows 29, 32, ..., the last of them a long one."""
    some = [joints_to_features(arm_motion(number)) for number in range(6)]
    return [*some, np.concatenate(some)]


def test_it_tells_its_sizes(coder):
    assert (coder.levels, coder.codes, coder.width, coder.unit) == (3, 8, 8, 4)
    assert coder.codebooks.shape == (3, 8, 8)


def test_a_token_is_four_rows_and_comes_back_as_four(coder, motions):
    tokens = coder.encode(motions)
    decoded = coder.decode(tokens)
    for rows, codes, back in zip(motions, tokens, decoded, strict=True):
        assert codes.shape == (len(rows) // 4, 3)
        assert codes.dtype == np.int16
        assert codes.min() >= 0
        assert back.shape == (4 * len(codes), 263)
        assert back.dtype == np.float32


def test_each_motion_comes_out_alike_alone_among_others_and_in_many_portions(coder, motions, monkeypatch):
    tokens = coder.encode(motions)
    decoded = coder.decode(tokens)
    monkeypatch.setattr(coder_module, "_TOKENS_AT_ONCE", 20)
    for together, again in zip(tokens, coder.encode(motions), strict=True):
        np.testing.assert_array_equal(together, again)
    for place, motion in enumerate(motions):
        np.testing.assert_array_equal(coder.encode([motion])[0], tokens[place])
        np.testing.assert_allclose(coder.decode([tokens[place]])[0], decoded[place], atol=1e-5)


def test_rows_are_normalised_on_the_way_in_and_back_on_the_way_out(coder, motions):
    rows = torch.from_numpy(coder.statistics.normalise(motions[0][:28]))[None]
    quantised = coder.model.quantise(coder.model.encoder(rows))
    np.testing.assert_array_equal(coder.encode(motions[:1])[0], quantised.tokens[0].numpy())
    written = coder.model.decoder(quantised.latents).detach()[0].numpy()
    expected = coder.statistics.denormalise(written)
    np.testing.assert_allclose(coder.decode(coder.encode(motions[:1]))[0], expected, atol=1e-5)


def test_motions_too_short_for_a_token_have_none(coder, motions):
    tokens = coder.encode([motions[0][:3], motions[1], motions[0][:0]])
    assert [one.shape for one in tokens] == [(0, 3), (8, 3), (0, 3)]
    assert [one.shape for one in coder.decode(tokens)] == [(0, 263), (32, 263), (0, 263)]
    assert coder.encode([]) == coder.decode([]) == []


def test_fewer_levels_say_the_same_as_nothing_at_the_others(coder, motions):
    tokens = coder.encode(motions[:2])
    silent = [np.where(np.arange(3) < 2, one, -1) for one in tokens]
    for less, none in zip(coder.decode([one[:, :2] for one in tokens]), coder.decode(silent), strict=True):
        np.testing.assert_array_equal(less, none)
    assert not np.allclose(coder.decode(tokens)[0], coder.decode(silent)[0])


def test_gradients_reach_latents_and_nothing_behind_a_motions_end(coder):
    latents = torch.randn(2, 5, 8, requires_grad=True)
    features = coder.decode_latents(latents, torch.tensor([5, 2]))
    assert features.shape == (2, 20, 263)
    assert (features[1, 8:] == 0).all()
    features.square().sum().backward()
    assert (latents.grad[0] != 0).any(-1).all()
    assert (latents.grad[1, 2:] == 0).all()
    alone = coder.decode_latents(latents[1:, :2])
    torch.testing.assert_close(features[1:, :8], alone, atol=1e-5, rtol=0)


def test_embedding_is_a_sum_of_codes(coder):
    tokens = torch.tensor([[[1, 2, 3], [4, -1, 5], [-1, -1, -1]]])
    books = coder.codebooks
    expected = [books[0, 1] + books[1, 2] + books[2, 3], books[0, 4] + books[2, 5], torch.zeros(8)]
    torch.testing.assert_close(coder.embed(tokens)[0], torch.stack(expected))


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (np.zeros((4, 5), int), "up to 3 levels"),
        (np.zeros(4, int), "up to 3 levels"),
        (np.full((4, 3), 8), "from -1 to 7"),
        (np.full((4, 3), -2), "from -1 to 7"),
    ],
)
def test_what_is_no_token_is_refused(coder, tokens, said):
    with pytest.raises(ValueError, match=said):
        coder.decode([tokens])
