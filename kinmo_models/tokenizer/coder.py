"""Motions to tokens and back, any number at once, the same whatever else is in the batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinmo_annotate.schema.features import NUM_FEATURES
from kinmo_models.data.statistics import Statistics
from kinmo_models.tokenizer.config import UNIT
from kinmo_models.tokenizer.model import TokenizerModel, token_mask

Features = NDArray[np.float32]
Tokens = NDArray[np.int16]

_TOKENS_AT_ONCE: Final = 2048  # with padding, in one forward; a longer motion goes alone


class Coder:
    """A tokenizer's model with its statistics.

    Attributes:
        levels: of residual quantisation.
        codes: of each level.
        width: numbers of a code.
        unit: frames of a token.
        statistics: how features are normalised.
    """

    unit: Final = UNIT

    def __init__(self, model: TokenizerModel, statistics: Statistics, device: torch.device | str) -> None:
        self.model, self.statistics = model, statistics
        self._device = torch.device(device)
        self.levels, self.codes, self.width = self.codebooks.shape

    @property
    def codebooks(self) -> Tensor:
        """Codes: (levels, codes, width)."""
        return self.model.codebooks

    @torch.inference_mode()
    def encode(self, features: Sequence[Features]) -> list[Tokens]:
        """Give the tokens of motions.

        Args:
            features: arrays (T', 263), not normalised; up to three rows at the end that fill no token are
                left out.

        Returns:
            For each (n, levels) with n = T' // 4.
        """
        found = [np.empty((len(one) // UNIT, self.levels), np.int16) for one in features]
        for places in portions([len(one) for one in found]):
            lengths = torch.tensor([len(found[place]) for place in places])
            padded = torch.zeros(len(places), int(lengths.max()) * UNIT, NUM_FEATURES)
            for row, place in zip(padded, places, strict=True):
                rows = features[place][: len(found[place]) * UNIT]
                row[: len(rows)] = torch.from_numpy(self.statistics.normalise(rows))
            there = lengths.to(self._device)
            latents = self.encode_latents(padded.to(self._device), there)
            tokens = self.model.quantise(latents, there).tokens.to(torch.int16).cpu().numpy()
            for place, row in zip(places, tokens, strict=True):
                found[place] = row[: len(found[place])].copy()
        return found

    @torch.inference_mode()
    def decode(self, tokens: Sequence[NDArray[np.integer]]) -> list[Features]:
        """Give the motions that tokens stand for.

        Args:
            tokens: arrays (n, levels), -1 for nothing at a level; fewer levels say less.

        Returns:
            For each (4 n, 263) float32, not normalised.

        Raises:
            ValueError: no such codes or levels.
        """
        for one in tokens:
            self._check(one)
        found = [np.empty((len(one) * UNIT, NUM_FEATURES), np.float32) for one in tokens]
        for places in portions([len(one) for one in tokens]):
            lengths = torch.tensor([len(tokens[place]) for place in places])
            padded = torch.full((len(places), int(lengths.max()), self.levels), -1)
            for row, place in zip(padded, places, strict=True):
                count, levels = tokens[place].shape
                row[:count, :levels] = torch.from_numpy(tokens[place].astype(np.int64))
            latents = self.embed(padded.to(self._device))
            rows = self.decode_latents(latents, lengths.to(self._device)).float().cpu().numpy()
            for place, row in zip(places, rows, strict=True):
                found[place] = self.statistics.denormalise(row[: len(found[place])])
        return found

    def embed(self, tokens: Tensor) -> Tensor:
        """Sum the codes of all levels.

        Args:
            tokens: (B, n, levels) int64, -1 for nothing at a level.

        Returns:
            (B, n, width) latents.
        """
        return self.model.embed(tokens)

    def encode_latents(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Encode without choosing codes, differentiable.

        Args:
            features: (B, 4 n, 263) normalised.
            lengths: (B,) tokens of each motion; None if all fill n.

        Returns:
            (B, n, width) latents; what stands behind a motion's end says nothing.
        """
        latents: Tensor = self.model.encoder(features, lengths)
        return latents

    def decode_latents(self, latents: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Decode latents, differentiable.

        Args:
            latents: (B, n, width).
            lengths: (B,) tokens of each motion; None if all fill n.

        Returns:
            (B, 4 n, 263) normalised features; 0 behind a motion's end.
        """
        if lengths is not None:
            latents = latents * token_mask(lengths, latents.shape[1])[..., None]
        features: Tensor = self.model.decoder(latents, lengths)
        return features

    def _check(self, tokens: NDArray[np.integer]) -> None:
        if tokens.ndim != 2 or not 1 <= tokens.shape[1] <= self.levels:
            raise ValueError(
                f"tokens have shape {tokens.shape}, not (n, levels) with up to {self.levels} levels"
            )
        if tokens.size and not (tokens.min() >= -1 and tokens.max() < self.codes):
            raise ValueError(
                f"tokens lie from {tokens.min()} to {tokens.max()}, not from -1 to {self.codes - 1}"
            )


def portions(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Put motions of like length together; those without a token are left out."""
    order = [place for place in np.argsort(lengths, kind="stable").tolist() if lengths[place]]
    portion: list[int] = []
    for place in order:
        if portion and (len(portion) + 1) * lengths[place] > _TOKENS_AT_ONCE:
            yield portion
            portion = []
        portion.append(place)
    if portion:
        yield portion
