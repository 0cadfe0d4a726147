"""The networks of the T2M evaluator (Guo et al., CVPR 2022), layer for layer and key for key.

A motion of T rows (T a multiple of 4) becomes T/4 movement tokens by two strided convolutions over 259 of its
263 features, all but the contacts; a bidirectional GRU makes one latent of them. Another GRU makes one of the
words of a text. Latents of a motion and of what is said of it lie close by Euclidean distance.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

from kinmo_annotate.schema.features import BLOCKS
from kinmo_models.data.batches import Batch
from kinmo_models.evaluator.config import ModelConfig
from kinmo_models.evaluator.tags import TAGS

UNIT: Final = 4  # rows of a movement token
LONGEST: Final = 196  # rows; T2M pads every motion to as many
INPUTS: Final = BLOCKS["contacts"].start  # 259: what comes before the contacts
_SLOPE: Final = 0.2


class MovementEncoder(nn.Module):
    """Motions (B, T, 259) to movement tokens (B, T/4, width)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv1d(INPUTS, width, 4, 2, 1),
            nn.Dropout(dropout),
            nn.LeakyReLU(_SLOPE),
            nn.Conv1d(width, width, 4, 2, 1),
            nn.Dropout(dropout),
            nn.LeakyReLU(_SLOPE),
        )
        self.out_net = nn.Linear(width, width)

    def forward(self, rows: Tensor) -> Tensor:
        """Encode motions that are padded with zeros."""
        tokens: Tensor = self.out_net(self.main(rows.transpose(1, 2)).transpose(1, 2))
        return tokens


class GruEncoder(nn.Module):
    """Sequences to one latent each, by the last states of a bidirectional GRU with a learned first one."""

    def __init__(self, inputs: int, width: int, latent: int) -> None:
        super().__init__()
        self.input_emb = nn.Linear(inputs, width)
        self.hidden = nn.Parameter(torch.randn(2, 1, width))
        self.gru = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.output_net = nn.Sequential(
            nn.Linear(2 * width, width), nn.LayerNorm(width), nn.LeakyReLU(_SLOPE), nn.Linear(width, latent)
        )

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """Encode packed sequences: (N, inputs) of lengths (B,), which sum to N, to (B, latent)."""
        parts = self.input_emb(rows).split(lengths.tolist())
        first = self.hidden.expand(-1, len(parts), -1).contiguous()
        _, last = self.gru(pack_sequence(parts, enforce_sorted=False), first)
        latent: Tensor = self.output_net(torch.cat([last[0], last[1]], dim=1))
        return latent


class TextEncoder(GruEncoder):
    """Words, each a vector and a tag as 15 numbers, to one latent."""

    def __init__(self, words: int, width: int, latent: int) -> None:
        super().__init__(words, width, latent)
        self.pos_emb = nn.Linear(len(TAGS), words)

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """Encode packed texts: (N, words + 15)."""
        words, tags = rows.split([rows.shape[1] - len(TAGS), len(TAGS)], dim=1)
        return super().forward(words + self.pos_emb(tags), lengths)


class EvaluatorNetworks(nn.Module):
    """The three networks, under the names of the public checkpoint.

    Attributes:
        width: numbers of a latent.
    """

    def __init__(self, config: ModelConfig, words: int) -> None:
        """Make them with random weights.

        Args:
            config: sizes.
            words: width of the vectors of words.
        """
        super().__init__()
        self.width = config.latent
        self.movement_encoder = MovementEncoder(config.movement, config.dropout)
        self.motion_encoder = GruEncoder(config.movement, config.motion, config.latent)
        self.text_encoder = TextEncoder(words, config.text, config.latent)

    def encode_motions(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Encode motions.

        T2M pads every motion with zeros to 196 rows, and its last token hears of the first row of padding;
        so a motion shorter than that is followed by at least one token of zeros here, whatever the batch.

        Args:
            features: (N, 263) normalised, the motions one after the other.
            lengths: (B,) rows of each; what is left of a division by 4 or beyond 196 is left out. A motion
                of fewer than 4 is filled up with zeros.

        Returns:
            (B, latent).
        """
        kept = lengths.clamp(UNIT, LONGEST) // UNIT * UNIT
        rows = min(int(kept.max()) + UNIT, LONGEST)
        padded = features.new_zeros(len(kept), rows, INPUTS)
        parts = features[:, :INPUTS].split(lengths.tolist())
        for row, part, length in zip(padded, parts, kept.tolist(), strict=True):
            row[: min(len(part), length)] = part[:length]
        tokens, counts = self.movement_encoder(padded), kept // UNIT
        there = torch.arange(tokens.shape[1], device=tokens.device) < counts.to(tokens.device)[:, None]
        latents: Tensor = self.motion_encoder(tokens[there], counts)
        return latents

    def encode_texts(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """Encode texts: (N, words + 15) of lengths (B,) to (B, latent)."""
        latents: Tensor = self.text_encoder(rows, lengths)
        return latents

    def encode_batch(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Encode the captions and the motions of a batch: (B, latent) each."""
        texts = self.encode_texts(batch.caption.tokens, batch.caption.lengths)[batch.caption.which]
        return texts, self.encode_motions(batch.features, batch.lengths)
