"""The retrieval model: one latent of a motion, and of a text at up to three levels of detail (KinMo, 3.3).

Symbols: B motions, d the latent width. Levels: "G" the global caption, "GJ" with the six joint-group texts,
"GJI" with the fifteen interaction texts as well. With level G alone it is TMR.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from kinmo_annotate.schema.features import NUM_FEATURES
from kinmo_annotate.schema.skeleton import GROUP_NAMES, PAIRS
from kinmo_models.data.batches import Batch, Texts
from kinmo_models.layers.dropout import Dropout
from kinmo_models.layers.latent import Gaussian, SequenceDecoder, SequenceEncoder
from kinmo_models.layers.transformer import CrossAttention, FeedForward
from kinmo_models.retrieval.config import ModelConfig

LEVELS: Final = ("G", "GJ", "GJI")
_PAIR_GROUPS: Final = torch.tensor([[GROUP_NAMES.index(group) for group in pair] for pair in PAIRS])


class TextEncoder(nn.Module):
    """Encodes texts from their token features, as TMR; with the setting `pooled` by their mean as well.

    The mean of a sentence encoder's token features is its sentence embedding, in which texts of one meaning
    are alike whatever their words. What is learned from a few hundred captions alone is not.
    """

    def __init__(self, config: ModelConfig, token_width: int) -> None:
        super().__init__()
        norm = nn.LayerNorm(token_width, elementwise_affine=False) if config.normed_tokens else nn.Identity()
        self.norm: nn.Module = norm
        self.sequence = _encoder(config, token_width, config.text_layers)
        self.pooled: nn.Module | None = None
        if config.pooled:
            pooled_norm = nn.LayerNorm(token_width, elementwise_affine=False)
            self.pooled = nn.Sequential(pooled_norm, nn.Linear(token_width, config.width))

    def forward(self, texts: Texts) -> Gaussian:
        """Encode the distinct texts of a batch."""
        tokens, lengths = texts.tokens, texts.lengths
        encoded: Gaussian = self.sequence(self.norm(tokens), lengths)
        if self.pooled is None:
            return encoded
        return Gaussian(encoded.mean + self.pooled(_means(tokens, lengths)), encoded.std)


class FramePool(nn.Module):
    """What the frames of a motion say, each by itself: their mean and the largest, for the motion's latent.

    How high a hand gets and how deep a knee bends are maxima over frames, which a short training of the
    transformer's two tokens finds late.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.frame = nn.Sequential(nn.Linear(NUM_FEATURES, config.inner), nn.GELU())
        self.mix = nn.Linear(2 * config.inner, config.width)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Pool packed features (N, 263) of motions with so many rows (B,), at least one: (B, d)."""
        said, counts = self.frame(features).float(), lengths.to(features.device)
        pooled = [torch.segment_reduce(said, how, lengths=counts) for how in ("mean", "max")]
        mixed: Tensor = self.mix(torch.cat(pooled, 1))
        return mixed


class FinerLevel(nn.Module):
    """One level of finer texts: each text's latent, told by the coarser level what it belongs to.

    KinMo, Eq. 4, read as: the finer level asks (queries), the coarser one answers (keys and values). One
    pre-norm layer with residual: cross-attention, then feed-forward. Without cross-attention the layer is the
    feed-forward alone.
    """

    def __init__(self, config: ModelConfig, token_width: int) -> None:
        super().__init__()
        self.encoder = TextEncoder(config, token_width)
        self.cross = CrossAttention(config.width, config.heads) if config.cross_attention else None
        norm: type[nn.Module] = nn.LayerNorm if config.cross_attention else nn.Identity
        self.norm_finer, self.norm_coarser = norm(config.width), norm(config.width)
        self.norm_feed_forward = nn.LayerNorm(config.width)
        self.feed_forward = FeedForward(config.width, config.inner, config.dropout)
        self.dropout = Dropout(config.dropout)

    def forward(self, texts: Texts, places: Tensor, coarser: Tensor) -> tuple[Tensor, Gaussian]:
        """Encode the n texts of each motion.

        Args:
            texts: distinct texts of the batch, and which of them stand where: (B, n).
            places: (n, d) embeddings that tell the n places apart.
            coarser: (B, m, d) latents of the level above.

        Returns:
            Latents (B, n, d), and B Gaussians: mean and standard deviation, each pooled over the n texts.
        """
        encoded: Gaussian = self.encoder(texts)
        latents = encoded.mean[texts.which] + places
        if self.cross is not None:
            told = self.cross(self.norm_finer(latents), self.norm_coarser(coarser))
            latents = latents + self.dropout(told)
        latents = latents + self.dropout(self.feed_forward(self.norm_feed_forward(latents)))
        return latents, Gaussian(latents.mean(1), encoded.std[texts.which].mean(1))


class RetrievalModel(nn.Module):
    """Hierarchical text-motion alignment: encoders of motion and text into one space, and TMR's decoder."""

    def __init__(self, config: ModelConfig, token_width: int) -> None:
        super().__init__()
        self.levels = LEVELS[: LEVELS.index(config.levels) + 1]
        self.motion_encoder = _encoder(config, NUM_FEATURES, config.layers)
        self.frames = FramePool(config) if config.pooled_frames else None
        self.caption_encoder = TextEncoder(config, token_width)
        finer = len(self.levels) - 1
        self.finer = nn.ModuleList(FinerLevel(config, token_width) for _ in range(finer))
        self.group_embedding = nn.Embedding(len(GROUP_NAMES), config.width) if finer else None
        self.decoder = SequenceDecoder(
            NUM_FEATURES,
            width=config.width,
            layers=config.decoder_layers,
            heads=config.heads,
            inner=config.inner,
            dropout=config.dropout,
        )

    def encode_motion(self, features: Tensor, lengths: Tensor) -> Gaussian:
        """Encode packed, normalised features (N, 263) of B motions."""
        encoded: Gaussian = self.motion_encoder(features, lengths)
        if self.frames is None:
            return encoded
        return Gaussian(encoded.mean + self.frames(features, lengths), encoded.std)

    def encode_text(self, caption: Texts, *finer: Texts) -> list[Gaussian]:
        """Encode texts at each level that they are given for.

        Mean and standard deviation of a level are those of the level above plus those pooled over its own
        texts (KinMo, 3.3: progressively added back to the coarse text's).

        Args:
            caption: one text a motion, (B,).
            finer: texts of the joint groups (B, 6), then of the interactions (B, 15); none, the first, or
                both. The model's own levels are the limit.

        Returns:
            B Gaussians per level, G first.
        """
        return [gaussian for gaussian, _ in self._levels(caption, finer)]

    def text_latents(self, caption: Texts, *finer: Texts) -> Tensor:
        """Encode each text by itself, told by the coarser levels: what the generator is conditioned on.

        T_global, T_joint and T_inter of KinMo, 3.4.

        Args:
            caption: see `encode_text`.
            finer: see `encode_text`.

        Returns:
            (B, 1 + 6 + 15, d), or of fewer levels (B, 1 + 6, d) or (B, 1, d).
        """
        return torch.cat([latents for _, latents in self._levels(caption, finer)], 1)

    def _levels(self, caption: Texts, finer: Sequence[Texts]) -> Iterator[tuple[Gaussian, Tensor]]:
        """Give each level's Gaussian, and the latents (B, n, d) of its texts."""
        level = self.caption_encoder(caption).rows(caption.which)
        latents = level.mean[:, None]
        yield level, latents
        for layer, texts, places in zip(self.finer, finer, self._places(), strict=False):
            latents, pooled = layer(texts, places, latents)
            level = Gaussian(level.mean + pooled.mean, level.std + pooled.std)
            yield level, latents

    def encode_batch(self, batch: Batch) -> tuple[Gaussian, list[Gaussian]]:
        """Encode the motions and the texts of a batch, at all levels of the model."""
        finer = (batch.groups, batch.interactions)[: len(self.finer)]
        return self.encode_motion(batch.features, batch.lengths), self.encode_text(batch.caption, *finer)

    def _places(self) -> tuple[Tensor, ...]:
        """Embeddings (6, d) of the groups, and (15, d) of the pairs: the sum of their two groups'."""
        if self.group_embedding is None:
            return ()
        groups = self.group_embedding.weight
        return groups, groups[_PAIR_GROUPS.to(groups.device)].sum(1)


def _means(tokens: Tensor, lengths: Tensor) -> Tensor:
    """Mean (U, width) of the tokens of each text."""
    counts = lengths.to(tokens.device)
    owner = torch.repeat_interleave(torch.arange(len(counts), device=tokens.device), counts)
    sums = tokens.new_zeros(len(counts), tokens.shape[1]).index_add_(0, owner, tokens)
    return sums / counts[:, None]


def _encoder(config: ModelConfig, inputs: int, layers: int) -> SequenceEncoder:
    return SequenceEncoder(
        inputs,
        width=config.width,
        layers=layers,
        heads=config.heads,
        inner=config.inner,
        dropout=config.dropout,
    )
