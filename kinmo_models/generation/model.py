"""The two transformers that write motion tokens from text latents (KinMo, 3.4, on the sizes of MoMask).

Symbols: B motions, N motion tokens of all of them one after the other, d the width, L token levels, C places
of text: 1 caption, then 6 joint groups, then 15 interactions.

A motion's sequence is its text, then its tokens. Only text that is there takes part; where there is none, one
learned token stands for that. Nothing is padded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final, TypeAlias

import torch
from torch import Tensor, nn

from kinmo_annotate.schema.skeleton import FIELDS, GROUP_NAMES
from kinmo_models.generation.config import ModelConfig
from kinmo_models.layers.dropout import Dropout
from kinmo_models.layers.packing import Packing, pack
from kinmo_models.layers.transformer import CrossAttention, EncoderLayer, sinusoids

LEVELS: Final = ("G", "GJ", "GJI")
# Places of text that each level has: the caption, and the groups, and the interactions.
PLACES: Final = (1, 1 + len(GROUP_NAMES), 1 + len(FIELDS))
_LEVEL_OF_PLACE: Final = torch.tensor([0] + [1] * len(GROUP_NAMES) + [2] * (len(FIELDS) - len(GROUP_NAMES)))
_SPREAD: Final = 0.02  # of weights and embeddings at the start, as MoMask's


@dataclass(frozen=True, slots=True)
class Layout:
    """Where text and tokens of B motions lie in one packing.

    Attributes:
        packing: of the whole sequences.
        rows: (M,) rows of [text; tokens] that make the packed order.
        tokens: (N,) rows of the packed order where the tokens are, in the order given.
        position: (N,) place of each token in its motion, from 0.
    """

    packing: Packing
    rows: Tensor
    tokens: Tensor
    position: Tensor

    @classmethod
    def of(cls, texts: Tensor, lengths: Tensor, device: torch.device) -> Layout:
        """Plan for B motions with numbers of text tokens (B,) and motion tokens (B,), on the CPU."""
        packing = pack((texts + lengths).numpy(), device)
        text, length = texts.to(device), lengths.to(device)
        text_start, start = text.cumsum(0) - text, length.cumsum(0) - length
        which = packing.order[packing.sequence]
        within = packing.position - text[which]
        rows = torch.where(
            within < 0, text_start[which] + packing.position, text.sum() + start[which] + within
        )
        owner = torch.repeat_interleave(torch.arange(len(lengths), device=device), length)
        position = torch.arange(len(owner), device=device) - start[owner]
        tokens = packing.starts[packing.places][owner] + text[owner] + position
        return cls(packing, rows, tokens, position)


# What stands beside the layers of a trunk: of what goes in (M, d), it makes what is added after each (M, d).
Branch: TypeAlias = Callable[[Tensor, Layout], Iterable[Tensor]]


@dataclass(frozen=True, slots=True)
class TextTokens:
    """Text of B motions, ready to stand before their tokens.

    Attributes:
        rows: (R, d) of all motions one after the other.
        counts: (B,) of each motion, at least 1, on the CPU.
    """

    rows: Tensor
    counts: Tensor


class Trunk(nn.Module):
    """Text latents and token embeddings in, what a transformer makes of the tokens out.

    The latents are projected, told their level and place, and see each other in one cross-attention layer
    (KinMo, 3.4) before they stand in front of the tokens.
    """

    def __init__(self, config: ModelConfig, text_width: int) -> None:
        super().__init__()
        places = PLACES[LEVELS.index(config.levels)]
        self.norm_text = nn.LayerNorm(text_width, elementwise_affine=False)
        self.project_text = nn.Linear(text_width, config.width)
        self.level_embedding = nn.Embedding(len(LEVELS), config.width)
        self.place_embedding = nn.Embedding(places, config.width)
        self.norm_cross = nn.LayerNorm(config.width)
        self.cross = CrossAttention(config.width, config.heads)
        self.no_text = nn.Parameter(torch.randn(1, config.width) * _SPREAD)
        self.project_tokens = nn.Linear(config.token_width, config.width)
        self.layers = nn.ModuleList(
            EncoderLayer(config.width, config.heads, config.inner, config.dropout)
            for _ in range(config.layers)
        )
        self.dropout = Dropout(config.dropout)
        self._levels: Tensor
        self.register_buffer("_levels", _LEVEL_OF_PLACE[:places].clone(), persistent=False)

    def text(self, latents: Tensor, present: Tensor, front: Tensor | None = None) -> TextTokens:
        """Make text latents ready.

        Args:
            latents: (B, C, w) of the text encoder.
            present: (B, C) which of them there are; none at all is allowed.
            front: (B, d) a token that stands before the text.
        """
        count = latents.shape[1]
        x = self.project_text(self.norm_text(latents))
        x = x + self.level_embedding(self._levels[:count]) + self.place_embedding.weight[:count]
        nothing = ~present.any(1, keepdim=True)
        seen = present | nothing  # a row of attention needs something to see, though it is not used
        normed = self.norm_cross(x)
        x = x + self.dropout(self.cross(normed, normed, seen))
        none = self.no_text.expand(len(x), 1, -1)
        parts, there = [none, x], [nothing, present]
        if front is not None:
            parts, there = [front[:, None], *parts], [torch.ones_like(nothing), *there]
        taken = torch.cat(there, 1)
        return TextTokens(torch.cat(parts, 1)[taken], taken.sum(1).cpu())

    def forward(
        self, text: TextTokens, tokens: Tensor, layout: Layout, branch: Branch | None = None
    ) -> Tensor:
        """Transform token embeddings (N, token width) into (N, d), in the order given."""
        x = self.project_tokens(tokens)
        x = self.dropout(x + sinusoids(layout.position, x.shape[1]))
        x = torch.cat([text.rows, x]).index_select(0, layout.rows)
        added = () if branch is None else branch(x, layout)
        for layer, more in zip_longest(self.layers, added):
            x = layer(x, layout.packing)
            x = x if more is None else x + more
        return x.index_select(0, layout.tokens)


class BaseTransformer(nn.Module):
    """Guesses masked tokens of the first level. Token `codes` is the mask."""

    def __init__(self, config: ModelConfig, text_width: int, codes: int) -> None:
        super().__init__()
        self.codes = self.mask = codes
        self.trunk = Trunk(config, text_width)
        self.embedding = nn.Embedding(codes + 1, config.token_width)
        self.head = _head(config.width, codes)
        self.apply(_start)

    def forward(
        self,
        text: TextTokens,
        tokens: Tensor,
        layout: Layout,
        wanted: Tensor | None = None,
        branch: Branch | None = None,
    ) -> Tensor:
        """Give logits (N, codes) of tokens (N,), or of those that are wanted: (k,) places or (N,) bool."""
        x = self.trunk(text, self.embedding(tokens), layout, branch)
        logits: Tensor = self.head(x if wanted is None else x[wanted])
        return logits


class ResidualTransformer(nn.Module):
    """Guesses the tokens of level q from those of the levels before it.

    The table that reads the tokens of a level is the one that its logits are taken against (MoMask's weight
    sharing); the last level is only written.
    """

    def __init__(self, config: ModelConfig, text_width: int, levels: int, codes: int) -> None:
        super().__init__()
        self.levels, self.codes = levels, codes
        self.trunk = Trunk(config, text_width)
        self.tables = nn.Parameter(torch.randn(levels, codes, config.token_width) * _SPREAD)
        # The first level is read and never written, the last written and never read: they need no sharing.
        self.level_token = nn.Embedding(levels, config.width)
        self.head = _head(config.width, config.token_width)
        self.apply(_start)

    def text(self, latents: Tensor, present: Tensor, level: Tensor) -> TextTokens:
        """Make text ready, with the level (B,) that is to be written in front of it."""
        return self.trunk.text(latents, present, self.level_token(level))

    def other_level(self, text: TextTokens, level: int) -> TextTokens:
        """Put another level, the same for all motions, in front of text that was made ready."""
        rows, counts = text.rows.clone(), text.counts.to(text.rows.device)
        rows[counts.cumsum(0) - counts] = self.level_token.weight[level]
        return TextTokens(rows, text.counts)

    def read(self, tokens: Tensor, level: int) -> Tensor:
        """Embed tokens (N,) of one level: (N, token width)."""
        return self.tables[level][tokens]

    def logits(self, features: Tensor, level: int) -> Tensor:
        """Give logits (n, codes) of a level."""
        return features @ self.tables[level].T

    def forward(
        self, text: TextTokens, embedded: Tensor, layout: Layout, branch: Branch | None = None
    ) -> Tensor:
        """Transform the sum of the embedded levels before (N, token width) into features of its shape."""
        features: Tensor = self.head(self.trunk(text, embedded, layout, branch))
        return features


class LengthPredictor(nn.Sequential):
    """Logits (B, most) of the number of motion tokens, 1 to `most`, from the caption's latent (B, w)."""

    def __init__(self, text_width: int, most: int, dropout: float) -> None:
        super().__init__(
            nn.LayerNorm(text_width, elementwise_affine=False),
            nn.Linear(text_width, 256),
            nn.LayerNorm(256),
            nn.LeakyReLU(0.2),
            Dropout(dropout),
            nn.Linear(256, most),
        )


class GeneratorModel(nn.Module):
    """Both transformers and the length predictor: what a training learns and a checkpoint holds."""

    def __init__(self, config: ModelConfig, *, text_width: int, levels: int, codes: int, most: int) -> None:
        """Make the model.

        Args:
            config: sizes.
            text_width: of the text encoder's latents.
            levels: of motion tokens.
            codes: of each level.
            most: motion tokens of the longest motion.
        """
        super().__init__()
        self.levels = LEVELS[: LEVELS.index(config.levels) + 1]
        self.places = PLACES[len(self.levels) - 1]
        self.base = BaseTransformer(config, text_width, codes)
        self.residual = ResidualTransformer(config, text_width, levels, codes) if levels > 1 else None
        self.length = LengthPredictor(text_width, most, config.dropout)


def _head(width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width, eps=1e-12), nn.Linear(width, outputs)
    )


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=_SPREAD)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
