"""Answers in the form: the names of the lines are given, only what stands after them is written by the model.

Every row of a batch is at a place of its own: it takes the next token of a name that is given, or the
likeliest one of those that may stand there. So any answer is as many lines as were asked for, none of them
empty, and nothing a model writes can begin a line or look like a name.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from kinmo_models.reasoner.config import SamplingConfig
from kinmo_models.reasoner.form import Piece
from kinmo_models.reasoner.tokens import TextTokens


@dataclass(frozen=True)
class Line:
    """One line of an answer.

    Attributes:
        name: what it is given under.
        text: what stands there already; None lets the model write.
        may_stay: whether the model may say that the field stays as it was.
    """

    name: str
    text: str | None = None
    may_stay: bool = False


@dataclass(frozen=True)
class Question:
    """What is asked, and the lines of the answer.

    Attributes:
        pieces: the question.
        lines: of the answer, in order.
        seed: of all chance, where any is asked for.
    """

    pieces: Sequence[Piece]
    lines: Sequence[Line]
    seed: int = 0


@dataclass
class _Row:
    """Where the answer of one question is.

    Attributes:
        question: what is asked.
        random: source of chance.
        given: tokens that come next, whatever the model says.
        number: of the line that is written, from 0.
        written: tokens of its text so far.
        answers: tokens of the lines before it; () is that the field stays.
    """

    question: Question
    random: torch.Generator
    given: deque[int] = field(default_factory=deque)
    number: int = -1
    written: list[int] = field(default_factory=list)
    answers: list[str | None] = field(default_factory=list)

    @property
    def done(self) -> bool:
        return self.number >= len(self.question.lines)


class Writer:
    """Writes answers with a language model."""

    def __init__(self, model: Any, tokens: TextTokens, device: str) -> None:
        self._model, self._tokens, self._device = model, tokens, device
        starts, inside = tokens.allowed()
        staying = starts.clone()
        staying[tokens.keep[0]] = True
        going = inside.clone()
        going[tokens.end[0]] = True
        # By what may come: a first token, a first one or "it stays", a later one or the end.
        self._allowed = torch.stack([starts, staying, going])

    def write(self, questions: Sequence[Question], sampling: SamplingConfig) -> list[list[str | None]]:
        """Answer questions together.

        Args:
            questions: what is asked.
            sampling: temperature, longest sentence.

        Returns:
            For each question the text of each of its lines; None where the field stays as it was.
        """
        rows = [_Row(one, torch.Generator().manual_seed(one.seed)) for one in questions]
        for row in rows:
            self._next_line(row)
        asked = [self._tokens.encode(one.pieces)[0] for one in questions]
        longest = max(len(tokens) for tokens in asked)
        fed = torch.full((len(rows), longest), self._tokens.pad)
        there = torch.zeros((len(rows), longest), dtype=torch.int64)
        for number, tokens in enumerate(asked):  # filled up on the left: all questions end together
            fed[number, longest - len(tokens) :] = torch.tensor(tokens)
            there[number, longest - len(tokens) :] = 1
        past: Any = None
        with torch.inference_mode():
            while not all(row.done for row in rows):
                logits, past = self._forward(fed, there, past)
                fed = self._chosen(rows, logits, sampling)[:, None]
                there = torch.cat([there, torch.ones_like(fed)], dim=1)
        return [row.answers for row in rows]

    def _forward(self, fed: Tensor, there: Tensor, past: Any) -> tuple[Tensor, Any]:
        """Read tokens (B, n) behind those that were read; logits (B, V) of the next ones."""
        places = (there.cumsum(1) - 1).clamp(min=0)[:, -fed.shape[1] :]
        found = self._model(
            input_ids=fed.to(self._device),
            attention_mask=there.to(self._device),
            position_ids=places.to(self._device),
            past_key_values=past,
            use_cache=True,
            logits_to_keep=1,
        )
        return found.logits[:, -1].float().cpu(), found.past_key_values

    def _chosen(self, rows: Sequence[_Row], logits: Tensor, sampling: SamplingConfig) -> Tensor:
        """Give the next token of each row (B,)."""
        kinds = torch.tensor([self._kind(row) for row in rows])
        masked = logits[:, : self._tokens.size].masked_fill(~self._allowed[kinds], -torch.inf)
        best = masked.argmax(1).tolist()
        found = []
        for number, row in enumerate(rows):
            if row.done:
                found.append(self._tokens.pad)
            elif row.given:
                found.append(row.given.popleft())
            else:
                token = best[number]
                if sampling.temperature > 0:
                    chances = (masked[number] / sampling.temperature).softmax(0)
                    token = int(torch.multinomial(chances, 1, generator=row.random))
                found.append(self._take(row, token, sampling.sentence_tokens))
        return torch.tensor(found)

    @staticmethod
    def _kind(row: _Row) -> int:
        """Tell what may come: see `_allowed`."""
        if row.written or row.done:
            return 2
        return int(row.question.lines[row.number].may_stay)

    def _take(self, row: _Row, token: int, most: int) -> int:
        """Note a token that was chosen; give the one that stands there in the end."""
        end, keep = self._tokens.end, self._tokens.keep
        if not row.written and row.question.lines[row.number].may_stay and token == keep[0]:
            row.given.extend([*keep[1:], *end])
            self._finish(row, None)
            return token
        if token == end[0] or len(row.written) >= most:
            row.given.extend(end[1:])
            self._finish(row, self._tokens.decode(row.written))
            return end[0]
        row.written.append(token)
        return token

    def _finish(self, row: _Row, text: str | None) -> None:
        row.answers.append(text)
        row.written = []
        self._next_line(row)

    def _next_line(self, row: _Row) -> None:
        """Go on to the next line that is to be written; those whose text is known are given whole."""
        lines = row.question.lines
        row.number += 1
        while row.number < len(lines):
            line = lines[row.number]
            row.given.extend(self._tokens.piece(f"{line.name}:"))
            if line.text is None:
                return
            row.given.extend([*self._tokens.piece(f" {line.text}"), *self._tokens.end])
            row.answers.append(line.text)
            row.number += 1
