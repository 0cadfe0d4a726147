"""Write motion tokens from text latents, coarse to fine (KinMo, 3.4).

Level G writes all tokens, mask by mask, the surest first (MoMask). At GJ, and then at GJI, the tokens that
the model was least sure of are masked again and written anew, now told by the finer texts. Then the residual
transformer writes the other token levels, one pass each.

One forward serves the texts and the absence of text that guidance needs. Of each motion all chance comes from
its own seed, so that a motion does not depend on those beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from kinmo_models.generation.config import SamplingConfig
from kinmo_models.generation.masking import cosine_share, lowest, owners
from kinmo_models.generation.model import (
    LEVELS,
    PLACES,
    BaseTransformer,
    Branch,
    GeneratorModel,
    Layout,
    ResidualTransformer,
    TextTokens,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be written for B motions.

    Attributes:
        latents: (B, C, w) of the text encoder.
        present: (B, C) which of them there are.
        lengths: (B,) motion tokens of each, on the CPU.
        seeds: B numbers.
        tokens: (N, L) tokens that are known already; None where everything is to be written.
        editable: (N,) which tokens are to be written; None is all.
    """

    latents: Tensor
    present: Tensor
    lengths: Tensor
    seeds: Sequence[int]
    tokens: Tensor | None = None
    editable: Tensor | None = None


class Control(Protocol):
    """Stands beside the transformers while motions are written, and leads them."""

    def base(self, tokens: Tensor, copies: int) -> Branch:
        """Give the branch of a pass of the base transformer.

        Args:
            tokens: (N,) of the first level as the passes before have them; the mask where there is none yet.
            copies: so many times the motions stand in the pass, one after the other.
        """

    def residual(self, tokens: Tensor, copies: int) -> Branch | None:
        """Give the branch of a pass of the residual transformer; None leaves it alone.

        Args:
            tokens: (N, q) of the levels that are written.
            copies: as in `base`.
        """


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass of the base transformer.

    Attributes:
        depth: of its level of text, 0 for G.
        first: whether it is the level's first.
        share: of the tokens that may be written, those that are masked in it.
    """

    depth: int
    first: bool
    share: float


def plan_passes(config: SamplingConfig, depth: int) -> list[Pass]:
    """List the passes of the base transformer down to a level of text.

    At each level the share of masked tokens falls by the cosine schedule, from all at level G and from the
    share that is masked again at the finer levels. Passes of levels that are not asked for go to level G.

    Args:
        config: passes and shares.
        depth: 0 for level G, 1 for GJ, 2 for GJI.
    """
    counts = [sum(config.passes) - sum(config.passes[1 : depth + 1]), *config.passes[1 : depth + 1]]
    begins = [1.0, *config.remask[:depth]]
    plan = []
    for level, (count, begin) in enumerate(zip(counts, begins, strict=True)):
        shares = begin * cosine_share(torch.arange(count) / count)
        plan += [Pass(level, place == 0, float(share)) for place, share in enumerate(shares)]
    return plan


@torch.inference_mode()
def sample(
    model: GeneratorModel, asked: Asked, config: SamplingConfig, level: str, control: Control | None = None
) -> Tensor:
    """Write the tokens of B motions.

    Args:
        model: in eval mode.
        asked: texts, lengths, seeds, and what is to stay.
        config: passes, guidance, ...
        level: of text, "G", "GJ" or "GJI".
        control: leads the transformers; None leaves them alone.

    Returns:
        (N, L) int64 tokens, the motions one after the other. Known tokens that are not editable are as
        given, at all levels.
    """
    depth, chance = LEVELS.index(level), _Chance(asked)
    first = _write_base(model.base, asked, config, depth, chance, control)
    tokens = first[:, None]
    if model.residual is not None:
        tokens = _write_residual(model.residual, asked, config, depth, first, chance, control)
    if asked.tokens is None or asked.editable is None:
        return tokens
    return torch.where(asked.editable[:, None], tokens, asked.tokens)


class _Chance:
    """Numbers between 0 and 1, of each motion from a generator of its own."""

    def __init__(self, asked: Asked) -> None:
        self._lengths, self._device = asked.lengths.tolist(), asked.latents.device
        self._generators = [np.random.Generator(np.random.Philox(seed)) for seed in asked.seeds]

    def draw(self) -> Tensor:
        """Draw one number (N,) a token."""
        drawn = [g.random(n) for g, n in zip(self._generators, self._lengths, strict=True)]
        return torch.from_numpy(np.concatenate(drawn)).to(self._device)


class _Guided:
    """Texts in front of a motion's tokens, with and without, ready for many forwards.

    With `scale` alone the logits are led from those without text to those with it. With `finer_scale` too:
    from none to the caption's by the one, and on from there to those of all texts by the other.
    """

    def __init__(self, asked: Asked, depth: int, scale: float, finer_scale: float | None) -> None:
        levels = torch.arange(asked.latents.shape[1], device=asked.present.device)
        whole = asked.present & (levels < PLACES[depth])
        caption = asked.present & (levels < PLACES[0])
        if finer_scale is None or depth == 0:
            parts = [(whole, scale), (whole & False, 1 - scale)]
        else:
            parts = [(whole, finer_scale), (caption, scale - finer_scale), (whole & False, 1 - scale)]
        parts = [part for part in parts if part[1] != 0]
        self._scales = [weight for _, weight in parts]
        self.copies = len(parts)
        self.latents = asked.latents.repeat(self.copies, 1, 1)
        self.present = torch.cat([there for there, _ in parts])
        self._lengths = asked.lengths.repeat(self.copies)

    def layout(self, text: TextTokens) -> Layout:
        """Plan the forward."""
        return Layout.of(text.counts, self._lengths, self.latents.device)

    def mix(self, logits: Tensor) -> Tensor:
        """Lead logits (copies * n, codes) to (n, codes)."""
        parts = logits.float().chunk(self.copies)
        mixed = parts[0] * self._scales[0]
        for part, weight in zip(parts[1:], self._scales[1:], strict=True):
            mixed = mixed + part * weight
        return mixed


def _write_base(
    model: BaseTransformer,
    asked: Asked,
    config: SamplingConfig,
    depth: int,
    chance: _Chance,
    control: Control | None,
) -> Tensor:
    """Write the tokens (N,) of the first level."""
    lengths = asked.lengths.to(asked.latents.device)
    owner = owners(lengths)
    editable = asked.editable if asked.editable is not None else torch.ones_like(owner, dtype=torch.bool)
    counts = torch.zeros_like(lengths).index_add_(0, owner, editable.long())
    tokens = torch.full_like(owner, model.mask)
    if asked.tokens is not None:
        tokens = torch.where(editable, tokens, asked.tokens[:, 0])
    sure = torch.zeros(len(owner), device=owner.device)
    masked = editable
    for step, guided, text, layout in _passes(model, asked, config, depth):
        # Within a level what was unmasked stays so (MoMask); a finer level looks at all of them again.
        candidates = editable if step.first else masked
        wanted = (counts * step.share).round().long().clamp(min=1).minimum(counts)
        masked = lowest(sure.masked_fill(~candidates, torch.inf), owner, wanted)
        shown = tokens.masked_fill(masked, model.mask).repeat(guided.copies)
        branch = None if control is None else control.base(tokens, guided.copies)
        logits = guided.mix(model(text, shown, layout, masked.repeat(guided.copies), branch))
        drawn, probability = _draw(logits, chance.draw()[masked], config)
        tokens = tokens.masked_scatter(masked, drawn)
        sure = sure.masked_scatter(masked, probability)
    return tokens


def _passes(
    model: BaseTransformer, asked: Asked, config: SamplingConfig, depth: int
) -> Iterator[tuple[Pass, _Guided, TextTokens, Layout]]:
    """Give each pass with what it needs; text is encoded once a level."""
    for step in plan_passes(config, depth):
        if step.first:
            guided = _Guided(asked, step.depth, config.guidance, config.finer_guidance)
            text = model.trunk.text(guided.latents, guided.present)
            layout = guided.layout(text)
        yield step, guided, text, layout


def _write_residual(
    model: ResidualTransformer,
    asked: Asked,
    config: SamplingConfig,
    depth: int,
    first: Tensor,
    chance: _Chance,
    control: Control | None,
) -> Tensor:
    """Write the tokens of the other levels: (N, L) with the first."""
    guided = _Guided(asked, depth, config.residual_guidance, None)
    tokens, embedded = [first], torch.zeros((), device=first.device)
    before: list[Tensor] = []  # the levels that are written, as they stay
    text = model.text(guided.latents, guided.present, torch.ones_like(guided.latents[:, 0, 0]).long())
    layout = guided.layout(text)
    for level in range(1, model.levels):
        text = model.other_level(text, level)
        last = tokens[-1]
        if asked.tokens is not None and asked.editable is not None:
            last = torch.where(asked.editable, last, asked.tokens[:, level - 1])
        before.append(last)
        embedded = embedded + model.read(last, level - 1)
        branch = None if control is None else control.residual(torch.stack(before, 1), guided.copies)
        features = model(text, embedded.repeat(guided.copies, 1), layout, branch)
        drawn, _ = _draw(guided.mix(model.logits(features, level)), chance.draw(), config)
        tokens.append(drawn)
    return torch.stack(tokens, 1)


def _draw(logits: Tensor, chance: Tensor, config: SamplingConfig) -> tuple[Tensor, Tensor]:
    """Draw a token of each row of logits (n, codes) among the likeliest.

    Returns:
        (n,) tokens, and (n,) how sure the model is of each: its probability among all codes.
    """
    logits = logits / config.temperature
    kept = max(1, round(config.top_share * logits.shape[1]))
    best, codes = logits.topk(kept, dim=1)
    rising = best.softmax(1).cumsum(1).double()
    place = torch.searchsorted(rising, (chance * rising[:, -1])[:, None]).clamp(max=kept - 1)
    sure = (best.gather(1, place) - logits.logsumexp(1, keepdim=True)).exp()
    return codes.gather(1, place)[:, 0], sure[:, 0]
