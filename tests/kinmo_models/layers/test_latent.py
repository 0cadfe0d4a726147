"""Encoders and decoder: a sequence's result does not depend on its neighbours, and learns what it should."""

from __future__ import annotations

import torch

from kinmo_models.layers.latent import Gaussian, SequenceDecoder, SequenceEncoder

SIZES = {"width": 16, "layers": 2, "heads": 4, "inner": 32, "dropout": 0.1}
LENGTHS = torch.tensor([5, 9, 3, 9, 20, 19, 18])


def test_a_sequence_is_encoded_alike_alone_and_among_others():
    torch.manual_seed(0)
    encoder = SequenceEncoder(7, **SIZES).eval()
    rows = torch.randn(int(LENGTHS.sum()), 7)
    together = encoder(rows, LENGTHS)
    assert together.mean.shape == together.std.shape == (7, 16)
    assert (together.std > 0).all()
    for place, sequence in enumerate(rows.split(LENGTHS.tolist())):
        alone = encoder(sequence, LENGTHS[place : place + 1])
        torch.testing.assert_close(alone.mean[0], together.mean[place], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(alone.std[0], together.std[place], atol=1e-5, rtol=1e-4)


def test_order_of_frames_matters():
    torch.manual_seed(0)
    encoder = SequenceEncoder(7, **SIZES).eval()
    rows = torch.randn(10, 7)
    length = torch.tensor([10])
    assert not torch.allclose(encoder(rows, length).mean, encoder(rows.flip(0), length).mean, atol=1e-3)


def test_a_latent_is_decoded_alike_alone_and_among_others():
    torch.manual_seed(0)
    decoder = SequenceDecoder(7, **SIZES).eval()
    latents = torch.randn(7, 16)
    together = decoder(latents, LENGTHS)
    assert together.shape == (int(LENGTHS.sum()), 7)
    for place, sequence in enumerate(together.split(LENGTHS.tolist())):
        alone = decoder(latents[place : place + 1], LENGTHS[place : place + 1])
        torch.testing.assert_close(alone, sequence, atol=1e-5, rtol=1e-4)


def test_samples_have_the_mean_and_the_deviation_of_their_gaussian():
    torch.manual_seed(0)
    gaussian = Gaussian(torch.full((20_000, 2), 3.0), torch.tensor([0.5, 2.0]).expand(20_000, 2))
    drawn = gaussian.sample()
    torch.testing.assert_close(drawn.mean(0), torch.tensor([3.0, 3.0]), atol=0.05, rtol=0)
    torch.testing.assert_close(drawn.std(0), torch.tensor([0.5, 2.0]), atol=0.05, rtol=0)
