"""The network: sizes, padding, what the quantiser gives, and what of it is state."""

from __future__ import annotations

import pytest
import torch

from kinmo_models.tokenizer.config import ModelConfig, QuantiserConfig, load_config
from kinmo_models.tokenizer.model import TokenizerModel
from kinmo_models.training.errors import ConfigError

SIZES = ModelConfig(width=16, depth=2, code_width=8, levels=3, codes=8, dropout=0.0)


@pytest.fixture
def make(begun):
    """Make the model, in eval mode."""
    return lambda **learning: begun(
        SIZES, QuantiserConfig(**{"temperature": 0.0, "dead_below": 0.1, **learning})
    )


def count(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def test_base_has_momasks_sizes():
    """MoMask's released model has so many parameters, and 6 x 512 codes of 512 numbers as buffers."""
    config = load_config()
    model = TokenizerModel(config.model, config.quantiser)
    assert (count(model.encoder), count(model.decoder), count(model.quantiser)) == (9_587_200, 9_849_607, 0)
    assert model.codebooks.shape == (6, 512, 512)
    assert (config.quantiser.level_drop, config.quantiser.decay, config.data.window) == (0.2, 0.99, 64)


def test_four_frames_are_one_token(make):
    model = make()
    features = torch.randn(2, 24, 263)
    latents = model.encoder(features)
    assert latents.shape == (2, 6, 8)
    quantised = model.quantise(latents)
    assert quantised.tokens.shape == (2, 6, 3)
    assert model.decoder(quantised.latents).shape == (2, 24, 263)


def test_a_motion_comes_out_alike_alone_and_in_front_of_whatever_padding(make):
    model = make()
    lengths = torch.tensor([3, 7, 5])
    motions = [torch.randn(1, int(n) * 4, 263) for n in lengths]
    padded = torch.full((3, 28, 263), 9.0)
    for row, motion in zip(padded, motions, strict=True):
        row[: motion.shape[1]] = motion[0]
    together = model.encoder(padded, lengths)
    tokens = model.quantise(together, lengths)
    decoded = model.decoder(tokens.latents, lengths)
    for place, (motion, n) in enumerate(zip(motions, lengths.tolist(), strict=True)):
        alone = model.encoder(motion)
        torch.testing.assert_close(together[place, :n], alone[0], atol=1e-5, rtol=0)
        chosen = model.quantise(alone)
        assert torch.equal(tokens.tokens[place, :n], chosen.tokens[0])
        assert (tokens.tokens[place, n:] == -1).all()
        torch.testing.assert_close(
            decoded[place, : 4 * n], model.decoder(chosen.latents)[0], atol=1e-5, rtol=0
        )
        assert (decoded[place, 4 * n :] == 0).all()


def test_it_starts_as_the_mean_motion_with_a_signal_that_does_not_fade():
    """From PyTorch's own start the latents of base deviate by 0.07 where the features deviate by 1."""
    config = load_config()
    torch.manual_seed(0)
    model = TokenizerModel(config.model, config.quantiser).eval()
    latents = model.encoder(torch.randn(2, 64, 263))
    assert 0.3 < latents.flatten(0, 1).std(0).mean() < 3
    assert (model.decoder(latents) == 0).all()


def test_each_level_says_what_those_before_it_left_over(make):
    model = make()
    latents = torch.randn(2, 5, 8)
    quantised = model.quantise(latents)
    left = latents.clone()
    for level, book in enumerate(model.codebooks):
        nearest = torch.cdist(left, book.expand(2, -1, -1)).argmin(-1)
        assert torch.equal(quantised.tokens[..., level], nearest)
        left = left - book[nearest]
    torch.testing.assert_close(quantised.latents, latents - left)
    torch.testing.assert_close(model.embed(quantised.tokens), quantised.latents)
    silent = quantised.tokens.clone()
    silent[..., 1:] = -1
    torch.testing.assert_close(model.embed(silent), model.codebooks[0][quantised.tokens[..., 0]])


def test_gradients_pass_straight_through_once_a_level(make):
    """As in MoMask: every level passes them on, so that the encoder gets them times the levels."""
    model = make().train()
    latents = torch.randn(4, 16, 8, requires_grad=True)
    model.quantise(latents).latents.sum().backward()
    torch.testing.assert_close(latents.grad, torch.full_like(latents, 3.0))


def test_the_commitment_is_the_mean_over_the_levels_that_are_there(make):
    model = make().train()
    latents = torch.randn(4, 16, 8)
    books = model.codebooks.clone()
    found = model.quantise(latents)
    left, distances = latents.clone(), []
    for level, book in enumerate(books):
        codes = book[found.tokens[..., level]]
        distances.append((left - codes).square().mean())
        left = left - codes
    torch.testing.assert_close(found.commitment, torch.stack(distances).mean())


def test_dropped_levels_give_no_token_and_any_number_of_them_is_as_likely(make):
    model = make().train()
    kept = torch.zeros(4, dtype=torch.long)
    for _ in range(300):
        tokens = model.quantise(torch.randn(2, 16, 8), drop=True).tokens
        active = (tokens >= 0).all(0).all(0)
        assert torch.equal(active, (tokens >= 0).any(0).any(0))
        kept[int(active.sum())] += 1
    assert kept[0] == 0
    assert (kept[1:] > 60).all()
    assert (model.quantise(torch.randn(2, 16, 8)).tokens >= 0).all()


def test_padding_is_no_code_to_learn(make):
    """With all of the second motion behind its end, codes are learned as if it were not there."""
    lengths = torch.tensor([16, 16])
    found = []
    for batch in (torch.randn(2, 16, 8), None):
        model = make().train()
        torch.manual_seed(1)
        latents = torch.randn(2, 16, 8)
        padded = torch.cat([latents, batch], 1) if batch is not None else latents
        model.quantise(padded, lengths)
        found.append(model.codebooks)
    torch.testing.assert_close(*found)


def test_a_code_that_nobody_chooses_is_put_where_latents_are(make):
    model = make(dead_below=0.5, decay=0.5).train()
    far = torch.randn(4, 16, 8) + 50
    for _ in range(12):
        model.quantise(far)
    assert (model.codebooks[0].mean(-1) > 30).all()


@pytest.mark.parametrize("shared", [True, False])
def test_all_that_the_quantiser_learns_is_state(shared):
    model = TokenizerModel(
        ModelConfig(width=16, depth=1, code_width=8, levels=3, codes=8, shared_codebook=shared),
        QuantiserConfig(),
    )
    assert not model.begun
    model.train().quantise(torch.randn(4, 16, 8))
    assert model.begun
    changed = {name.rpartition(".")[2] for name, _ in model.quantiser.named_buffers()}
    assert {"initted", "cluster_size", "embed_avg", "embed"} <= changed
    kept = {name for name in model.state_dict() if name.startswith("quantiser.")}
    persistent = {f"quantiser.{name}" for name, _ in model.quantiser.named_buffers(remove_duplicate=False)}
    unkept = {name.rpartition(".")[2] for name in persistent - kept}
    assert unkept <= {"zero", "beam_score_weights"}  # constants
    assert (model.codebooks[0] == model.codebooks[1]).all() == shared


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["data.window=30"], "no multiple of the 4 frames"),
        (["data.batch_size=6000", "model.codes=40000"], "at most 32767"),
        (["data.batch_size=8", "model.codes=512"], "128 tokens, too few to learn 512 codes"),
        (["data.batch_size=64", "model.codes=512", "quantiser.dead_below=4"], "at least 4096 are needed"),
        (["model.level=3"], "Did you mean model.levels"),
    ],
)
def test_wrong_settings_say_what_is_wanted(sets, said):
    with pytest.raises(ConfigError, match=said):
        load_config("base", sets)
