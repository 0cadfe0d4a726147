"""What control learns from: hidden tokens, and how far joints are from the path (KinMo, Eq. 6)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinmo_models.control.batches import PathBatch, draw_held
from kinmo_models.control.config import LossConfig
from kinmo_models.control.distance import path_error
from kinmo_models.control.model import ControlModel, DecoderBranch, PathBranch, Sight, Wanted
from kinmo_models.generation.loss import draw_levels, draw_text, residual_logits
from kinmo_models.generation.masking import cosine_share, hide, lowest, owners
from kinmo_models.generation.model import GeneratorModel, Layout, ResidualTransformer, TextTokens
from kinmo_models.motion.recovery import features_to_joints
from kinmo_models.tokenizer.coder import Coder
from kinmo_models.training.distributed import mean_count


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a pass of the base transformer sees.

    Attributes:
        tokens: (N,) with the mask where one is to be guessed.
        hidden: (N,) where that is.
        written: (N,) what the branch is told of: all that is written so far, -1 where there is nothing.
    """

    tokens: Tensor
    hidden: Tensor
    written: Tensor


class ControlLoss(nn.Module):
    """The branches with their losses: what the training loop runs. Generator and tokenizer are frozen.

    Positions of Eq. 6 come from the codes of the tokens that are known and, of those that are guessed, from
    the mean code by their probabilities. The base transformer is held to what its own level decodes to,
    without those after it: these mend what it leaves. The mean distance is minimised, not its square.
    """

    def __init__(
        self, model: ControlModel, generator: GeneratorModel, coder: Coder, config: LossConfig
    ) -> None:
        super().__init__()
        self.model, self.config, self._sight = model, config, Sight(coder)
        self.generator = generator.requires_grad_(False)
        self.tokenizer = coder.model.requires_grad_(False)  # to be moved to the device with the others
        self._books = coder

    def train(self, mode: bool = True) -> ControlLoss:
        """Put the branches into training; what is frozen stays as it is used later."""
        super().train(mode)
        self.generator.eval()
        self.tokenizer.eval()
        return self

    def forward(self, batch: PathBatch) -> dict[str, Tensor]:
        """Give the weighted loss terms of a batch, and mean distances from the path in metres."""
        present = draw_text(self.generator, batch, self.config.text_drop)
        wanted = Wanted(batch.joints, draw_held(batch.lengths), batch.lengths)
        terms = self._base_terms(batch, present, wanted)
        if self.model.residual is not None and self.generator.residual is not None:
            residual, branch = self.generator.residual, self.model.residual
            terms |= self._residual_terms(residual, branch, batch, present, wanted)
        if self.model.decoder is not None:
            terms |= self._decoder_terms(self.model.decoder, batch, wanted)
        return terms

    def _base_terms(self, batch: PathBatch, present: Tensor, wanted: Wanted) -> dict[str, Tensor]:
        """Guess hidden tokens of the first level."""
        base = self.generator.base
        text = base.trunk.text(batch.latents, present)
        layout = Layout.of(text.counts, batch.lengths.cpu(), batch.tokens.device)
        tokens, hidden = hide(batch.tokens[:, 0], batch.lengths, base.mask, 0.0, 0.0)
        shown = _Shown(tokens, hidden, tokens.masked_fill(hidden, -1))
        if float(torch.rand(())) < self.config.draft:
            shown = self._drafted(text, layout, shown, wanted)
        logits = self._base_logits(text, layout, shown, wanted)
        target = batch.tokens[shown.hidden, 0]
        loss = F.cross_entropy(logits, target, reduction="sum") / mean_count(len(target))
        book = self._books.codebooks[0]
        codes = book[shown.tokens.clamp(max=base.codes - 1)]
        codes = codes.index_put((shown.hidden,), _mean_code(logits, book))
        return self._terms("base", loss, self._sight.padded(codes, wanted), wanted)

    def _base_logits(self, text: TextTokens, layout: Layout, shown: _Shown, wanted: Wanted) -> Tensor:
        way = self._way(shown.written[:, None], wanted)
        branch = self.model.base(wanted, way)
        logits: Tensor = self.generator.base(text, shown.tokens, layout, shown.hidden, branch)
        return logits.float()

    @torch.no_grad()
    def _drafted(self, text: TextTokens, layout: Layout, shown: _Shown, wanted: Wanted) -> _Shown:
        """Write the hidden tokens, then hide some of them again: what all passes but the first see."""
        logits = self._base_logits(text, layout, shown, wanted)
        drawn = torch.multinomial(logits.softmax(1), 1)[:, 0]
        written = shown.tokens.masked_scatter(shown.hidden, drawn)
        owner = owners(wanted.lengths)
        counts = torch.zeros_like(wanted.lengths).index_add_(0, owner, shown.hidden.long())
        left = (counts * cosine_share(torch.rand(len(counts), device=counts.device))).round().long()
        chance = torch.rand(len(owner), device=owner.device).masked_fill(~shown.hidden, torch.inf)
        hidden = lowest(chance, owner, left.clamp(min=1))
        return _Shown(written.masked_fill(hidden, self.generator.base.mask), hidden, written)

    def _residual_terms(
        self,
        model: ResidualTransformer,
        branches: PathBranch,
        batch: PathBatch,
        present: Tensor,
        wanted: Wanted,
    ) -> dict[str, Tensor]:
        """Guess the tokens of one level of each motion."""
        level = draw_levels(model, batch)
        later = torch.arange(model.levels, device=level.device) >= level[owners(batch.lengths)][:, None]
        known = batch.tokens.masked_fill(later, -1)
        way = self._way(known, wanted)
        books, loss = self._books.codebooks, batch.latents.new_zeros(())
        said = books.new_zeros(len(known), books.shape[2])
        for k, rows, logits in residual_logits(model, batch, present, level, branches(wanted, way)):
            loss = loss + F.cross_entropy(logits, batch.tokens[rows, k], reduction="sum")
            said = said.index_put((rows,), _mean_code(logits, books[k]))
        latents = self._sight.embed(known, wanted) + self._sight.padded(said, wanted)
        return self._terms("residual", loss / mean_count(len(known)), latents, wanted)

    def _decoder_terms(self, branch: DecoderBranch, batch: PathBatch, wanted: Wanted) -> dict[str, Tensor]:
        """Bring embeddings to the paths that are in part those of other motions, round by round."""
        start = strayed(self._sight.embed(batch.tokens, wanted), wanted.tokens)
        latents, path = start, start.new_zeros(())
        rows = self._sight.features(start, wanted)
        for _ in range(self.config.rounds):
            before = latents.detach()
            latents = before + branch(wanted, self._sight.seen(rows, wanted), before)
            rows = self._sight.features(latents, wanted)
            error = _error(rows, wanted)
            path = path + error.sum() / mean_count(len(error)) / self.config.rounds
        moved = (latents - start).square().sum() / start.square().sum().clamp(min=1e-6)
        return {
            "decoder/path": self.config.path * path,
            "decoder/offset": self.config.offset * moved,
            "_decoder/error_m": error.detach().mean(),
        }

    def _way(self, tokens: Tensor, wanted: Wanted) -> Tensor | None:
        """Tell a branch what tokens (N, q) lack, if it is to know."""
        if not self.model.feedback:
            return None
        rows = self._sight.features(self._sight.embed(tokens, wanted), wanted)
        return self._sight.way(rows, wanted)

    def _terms(self, name: str, loss: Tensor, latents: Tensor, wanted: Wanted) -> dict[str, Tensor]:
        """Weigh the cross-entropy and Eq. 6 of one transformer."""
        error = _error(self._sight.features(latents, wanted), wanted)
        path = error.sum() / mean_count(len(error))
        return {
            f"{name}/tokens": self.config.tokens * loss,
            f"{name}/path": self.config.path * path,
            f"_{name}/error_m": error.detach().mean(),
        }


def _mean_code(logits: Tensor, book: Tensor) -> Tensor:
    """Average the codes (codes, width) by the probabilities of logits (n, codes), in their own precision."""
    return (logits.float().softmax(1) @ book).to(book.dtype)


def _error(rows: Tensor, wanted: Wanted) -> Tensor:
    """Give the mean distance (B,) of features (B, T, 263) from the paths."""
    return path_error(features_to_joints(rows), wanted.positions, wanted.held, squared=False)


def strayed(latents: Tensor, tokens: Tensor) -> Tensor:
    """Put stretches of the next motion of the batch into each: what is to be led back to a path.

    A quarter of the motions are another one's whole, half of them in a stretch of any length, a quarter stay.

    Args:
        latents: (B, n, code width) embeddings.
        tokens: (B, n) where a motion has a token.
    """
    count, places = len(latents), torch.arange(latents.shape[1], device=latents.device)
    kind, share, start = torch.rand(3, count, 1, device=latents.device)
    lengths = tokens.sum(1, keepdim=True)
    share = torch.where(kind < 0.25, 1.0, torch.where(kind < 0.75, share, 0.0))
    long = (share * lengths).round()
    first = (start * (lengths - long + 1)).floor()
    inside = (places >= first) & (places < first + long)
    swapped = inside & tokens & tokens.roll(1, 0)
    return torch.where(swapped[..., None], latents.roll(1, 0), latents)
