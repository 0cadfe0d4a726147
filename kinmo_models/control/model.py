"""The branches that lead a frozen generator along a path (KinMo, 3.4; after OmniControl).

Symbols: B motions, n tokens and T = 4 n frames of the longest, N tokens of all of them one after the other, d
the width of the generator.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from kinmo_annotate.schema.skeleton import NUM_JOINTS
from kinmo_models.control.config import HEADS, ModelConfig
from kinmo_models.control.distance import asked_of_features, bridged
from kinmo_models.control.paths import JointPath
from kinmo_models.generation.model import Branch, GeneratorModel, Layout, Trunk
from kinmo_models.layers.transformer import EncoderLayer, sinusoids
from kinmo_models.motion.recovery import features_to_joints, headings, to_facing
from kinmo_models.tokenizer.coder import Coder
from kinmo_models.tokenizer.config import UNIT
from kinmo_models.tokenizer.config import ModelConfig as EncoderConfig
from kinmo_models.tokenizer.model import MotionEncoder, he_start, token_mask

# Below these the way to the path, and how fast it changes, are told as they are, above by their logarithm.
_FINE_M: Final = 0.1
_FINE_M_A_FRAME: Final = 0.01
_TOLD: Final = 10  # numbers of a joint in a frame: place, whether it is held, the way there, how it changes


@dataclass(frozen=True, slots=True)
class Wanted:
    """Paths of B motions.

    Attributes:
        positions: (B, T, 22, 3) metres; 0 where nothing is held.
        held: (B, T, 22) bool; false behind a motion's end.
        lengths: (B,) motion tokens of each, on the device of the others.
    """

    positions: Tensor
    held: Tensor
    lengths: Tensor

    @property
    def active(self) -> Tensor:
        """Of which motions something is held: (B,)."""
        return self.held.flatten(1).any(1)

    @property
    def tokens(self) -> Tensor:
        """Which of the n places of each motion have a token: (B, n)."""
        return token_mask(self.lengths, self.held.shape[1] // UNIT)


@dataclass(frozen=True, slots=True)
class Seen:
    """What motions lack to meet their paths.

    Attributes:
        way: (B, T, 22, 6) of `Sight.way`.
        step: (B, n, code width) by how much the tokenizer's encoder tells the motion from the one whose
            features changed as the way asks (`asked_of_features`); 0 behind a motion's end.
    """

    way: Tensor
    step: Tensor


def wanted_of(paths: Sequence[JointPath], lengths: torch.Tensor, device: torch.device | str) -> Wanted:
    """Put paths of motions with so many tokens (B,) into one batch."""
    fitted = [path.fitted(int(lengths.max()) * UNIT) for path in paths]
    positions, held = (
        torch.from_numpy(np.stack(one)).to(device)
        for one in ([path.positions for path in fitted], [path.held for path in fitted])
    )
    return Wanted(positions, held, lengths.to(device))


class PathBranch(nn.Module):
    """A trainable copy of a trunk's layers, told of the path; zero-initialised links bring back what it says.

    Where a motion's path holds nothing, exactly nothing is added.
    """

    def __init__(self, config: ModelConfig, trunk: Trunk) -> None:
        super().__init__()
        width = trunk.project_tokens.out_features
        self.encoder = _path_encoder(config, width)
        self.layers = copy.deepcopy(trunk.layers).requires_grad_()
        self.links = nn.ModuleList(_silent(width, width) for _ in trunk.layers)

    def forward(self, wanted: Wanted, way: Tensor | None, copies: int = 1) -> Branch:
        """Read paths, and give what stands beside the trunk in one pass.

        Args:
            wanted: the paths.
            way: (B, T, 22, 6) of `Sight.way`; None tells nothing of it.
            copies: so many times the motions stand in the pass, one after the other.
        """
        encoded = self.encoder(_told(wanted, way), wanted.lengths)[wanted.tokens].repeat(copies, 1)
        active = wanted.active.float().repeat(copies)

        def branch(x: Tensor, layout: Layout) -> Iterator[Tensor]:
            packing = layout.packing
            counts = active[packing.order[packing.sequence]][:, None]
            x = x.index_add(0, layout.tokens, encoded.to(x.dtype))
            for layer, link in zip(self.layers, self.links, strict=True):
                x = layer(x, packing)
                yield counts * link(x)

        return branch


class DecoderBranch(nn.Module):
    """Moves the embedding of written tokens towards the path before it is decoded, in a few rounds.

    Tokens say where a joint is as finely as their codes do; what they leave, this branch mends. Each round is
    told the way there from what the round before decodes to, and the step that the tokenizer's encoder would
    take. It is what refinement finds by descent, learned. Where a motion's path holds nothing, and before
    training, exactly nothing is added.
    """

    def __init__(self, config: ModelConfig, code_width: int) -> None:
        super().__init__()
        width = config.encoder_width
        self.rounds = config.decoder_rounds
        self.encoder = _path_encoder(config, width)
        self.read = nn.Linear(2 * code_width, width)
        self.layers = nn.ModuleList(
            EncoderLayer(width, HEADS, 2 * width, 0.0) for _ in range(config.decoder_layers)
        )
        self.link = _silent(width, code_width)
        self.follow = _silent(code_width, code_width)

    def forward(self, wanted: Wanted, seen: Seen, latents: Tensor) -> Tensor:
        """Tell how far to move.

        Args:
            wanted: the paths.
            seen: what the motions lack to meet them.
            latents: (B, n, code width) of the motions as they are.

        Returns:
            (B, n, code width); 0 behind a motion's end.
        """
        there, lengths = wanted.tokens, wanted.lengths.cpu()
        layout = Layout.of(torch.zeros_like(lengths), lengths, latents.device)
        own = self.read(torch.cat([latents, seen.step], -1))
        x = (self.encoder(_told(wanted, seen.way), wanted.lengths) + own)[there]
        x = x + sinusoids(layout.position, x.shape[1])
        x = torch.zeros_like(x).index_put((layout.tokens,), x)
        for layer in self.layers:
            x = layer(x, layout.packing)
        moved = latents.new_zeros(*there.shape, latents.shape[2])
        told = self.link(x[layout.tokens]) + self.follow(seen.step[there])
        return moved.index_put((there,), told.to(latents.dtype)) * wanted.active[:, None, None]


class ControlModel(nn.Module):
    """Branches beside a generator's transformers and its decoder: what is learned and a checkpoint holds."""

    def __init__(self, config: ModelConfig, generator: GeneratorModel, code_width: int) -> None:
        super().__init__()
        self.feedback = config.feedback
        self.base = PathBranch(config, generator.base.trunk)
        residual = generator.residual if config.residual else None
        self.residual = None if residual is None else PathBranch(config, residual.trunk)
        self.decoder = DecoderBranch(config, code_width) if config.decoder_rounds else None


def _path_encoder(config: ModelConfig, width: int) -> MotionEncoder:
    """Make the convolutions that read paths."""
    sizes = EncoderConfig(
        width=config.encoder_width, depth=config.encoder_depth, code_width=width, dropout=0.0
    )
    encoder = MotionEncoder(sizes, NUM_JOINTS * _TOLD)
    encoder.apply(he_start)
    return encoder


def _told(wanted: Wanted, way: Tensor | None) -> Tensor:
    """Put what a branch is told of each frame into one row: (B, T, 22 * 10)."""
    held = wanted.held[..., None].float()
    if way is None:
        way = held.new_zeros(*wanted.held.shape, 6)
    fine = way.new_tensor([_FINE_M] * 3 + [_FINE_M_A_FRAME] * 3)
    return torch.cat([wanted.positions * held, held, (way / fine).asinh()], -1).flatten(2)


def _silent(width: int, out: int) -> nn.Linear:
    """Make a layer that gives 0 until it has learned something."""
    layer = nn.Linear(width, out)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class Sight:
    """Where the joints of tokens are, and how far that is from paths."""

    def __init__(self, coder: Coder) -> None:
        self._coder = coder

    def embed(self, tokens: Tensor, wanted: Wanted) -> Tensor:
        """Sum the codes of tokens (N, q), -1 for nothing: (B, n, code width), 0 behind a motion's end."""
        padded = tokens.new_full((*wanted.tokens.shape, self._coder.levels), -1)
        padded[..., : tokens.shape[1]][wanted.tokens] = tokens
        return self._coder.embed(padded) * wanted.tokens[..., None]

    def padded(self, codes: Tensor, wanted: Wanted) -> Tensor:
        """Put what tokens stand for (N, code width) where they are: (B, n, code width), differentiable."""
        padded = codes.new_zeros(*wanted.tokens.shape, codes.shape[1])
        return padded.index_put((wanted.tokens,), codes)

    def features(self, latents: Tensor, wanted: Wanted) -> Tensor:
        """Decode (B, n, code width), differentiable: (B, T, 263), not normalised."""
        decoded = self._coder.decode_latents(latents, wanted.lengths)
        return self._coder.statistics.denormalise(decoded.float())

    def joints(self, latents: Tensor, wanted: Wanted) -> Tensor:
        """Recover joints (B, T, 22, 3) of latents (B, n, code width), differentiable."""
        return features_to_joints(self.features(latents, wanted))

    @torch.no_grad()
    def seen(self, rows: Tensor, wanted: Wanted) -> Seen:
        """Tell what features (B, T, 263), not normalised, lack to meet the paths."""
        way = self.way(rows, wanted)
        statistics, there = self._coder.statistics, token_mask(wanted.lengths * UNIT, rows.shape[1])
        changed = rows + asked_of_features(way, wanted.held)
        both = torch.cat([statistics.normalise(one) * there[..., None] for one in (changed, rows)])
        to, at = self._coder.encode_latents(both, wanted.lengths.repeat(2)).float().chunk(2)
        return Seen(way, (to - at) * wanted.tokens[..., None])

    @torch.no_grad()
    def way(self, rows: Tensor, wanted: Wanted) -> Tensor:
        """Tell what joints of features (B, T, 263) lack to meet the paths, in all frames (`bridged`).

        Returns:
            (B, T, 22, 6): three metres, and by how much they change from frame to frame, both in the frame
            that the body faces; 0 for joints that are never held.
        """
        way = bridged(wanted.positions - features_to_joints(rows), wanted.held)
        change = torch.cat([way.diff(dim=1), torch.zeros_like(way[:, :1])], 1)
        heading = headings(rows)[..., None]
        return torch.cat([to_facing(way, heading), to_facing(change, heading)], -1)


class PathControl:
    """Leads sampling (`kinmo_models.generation.sample.Control`), and what is decoded after it.

    Attributes:
        wanted: the paths.
        decodes: decoder passes so far.
    """

    def __init__(self, model: ControlModel, sight: Sight, wanted: Wanted, mask: int) -> None:
        self._model, self._sight, self.wanted, self._mask = model, sight, wanted, mask
        self.decodes = 0

    def base(self, tokens: Tensor, copies: int) -> Branch:
        """See `Control`."""
        written = tokens.masked_fill(tokens == self._mask, -1)[:, None]
        return self._model.base(self.wanted, self._way(written), copies)

    def residual(self, tokens: Tensor, copies: int) -> Branch | None:
        """See `Control`."""
        if self._model.residual is None:
            return None
        branch: Branch = self._model.residual(self.wanted, self._way(tokens), copies)
        return branch

    def settle(self, tokens: Tensor, editable: Tensor | None = None) -> Tensor:
        """Embed written tokens, and move the embedding towards the paths.

        Args:
            tokens: (N, L) of all levels.
            editable: (N,) whose embedding may move; None is all.

        Returns:
            (B, n, code width).
        """
        latents, branch = self._sight.embed(tokens, self.wanted), self._model.decoder
        if branch is None:
            return latents
        moving = self.wanted.tokens
        if editable is not None:
            moving = torch.zeros_like(moving).masked_scatter(moving, editable)
        for _ in range(branch.rounds):
            self.decodes += 1
            seen = self._sight.seen(self._sight.features(latents, self.wanted), self.wanted)
            latents = latents + branch(self.wanted, seen, latents) * moving[..., None]
        return latents

    def _way(self, tokens: Tensor) -> Tensor | None:
        if not self._model.feedback:
            return None
        self.decodes += 1
        rows = self._sight.features(self._sight.embed(tokens, self.wanted), self.wanted)
        return self._sight.way(rows, self.wanted)
