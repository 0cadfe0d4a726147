"""What an edit in time is written on: the rows and tokens that there are, and which tokens are to be written.

Symbols: T rows of features, n tokens of four rows each; up to three rows at the end of a motion fill no
    token.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.schema.features import NUM_FEATURES
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.skeleton import FPS
from kinmo_models.tokenizer.coder import Coder, Features
from kinmo_models.tokenizer.config import UNIT

TOKEN_S: Final = UNIT / FPS  # seconds of a token


@dataclass(frozen=True)
class Canvas:
    """A motion with what is to be written of it.

    Attributes:
        rows: (T, 263) features, not normalised; 0 where there is no motion yet.
        decoded: (T, 263) of the tokens as they are; 0 where there is no motion yet.
        tokens: (n, L) at n = T // 4; 0 where there is no motion yet.
        editable: (n,) which tokens are to be written.
        where: what to call the motion in errors.
    """

    rows: Features
    decoded: Features
    tokens: NDArray[np.int16]
    editable: NDArray[np.bool_]
    where: str = "motion"

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.rows) / FPS

    @property
    def edited(self) -> NDArray[np.bool_]:
        """Which rows (T,) the editable tokens stand for."""
        rows = np.zeros(len(self.rows), bool)
        rows[: len(self.editable) * UNIT] = np.repeat(self.editable, UNIT)
        return rows


def open_canvas(coder: Coder, features: Features, where: str = "motion") -> Canvas:
    """Encode a motion of which nothing is to be written yet.

    Args:
        coder: the tokenizer of the generator that is to write.
        features: (T, 263), not normalised.
        where: what to call the motion in errors.

    Raises:
        MotionError: it is shorter than a token.
    """
    if len(features) < UNIT:
        reason = f"has {len(features)} rows of features, and a motion token stands for {UNIT}"
        raise MotionError(where, reason, f"Give a motion of at least {UNIT + 1} frames.")
    tokens = coder.encode([features])[0]
    decoded = coder.decode([tokens])[0]
    # where no token stands, the tokens are taken to leave out what they do in the last row that one stands
    # for
    rest = np.asarray(features[len(decoded) :] - (features[len(decoded) - 1] - decoded[-1]), np.float32)
    rows = np.asarray(features, np.float32)
    return Canvas(rows, np.concatenate([decoded, rest]), tokens, np.zeros(len(tokens), bool), where)


def all_of(canvas: Canvas) -> Canvas:
    """Have everything written anew."""
    return replace(_whole(canvas), editable=np.ones(len(canvas.tokens), bool))


def within(canvas: Canvas, start_s: float, end_s: float) -> Canvas:
    """Have a span written anew: all tokens that it touches.

    Args:
        canvas: the motion.
        start_s: where the span begins, seconds.
        end_s: where it ends.

    Raises:
        MotionError: the span is empty, or not inside the motion.
    """
    if not 0 <= start_s < end_s:
        reason = f"a span from {start_s:g} s to {end_s:g} s holds nothing"
        raise MotionError(canvas.where, reason, "Begin it at 0 s or later, and end it after its beginning.")
    if end_s > canvas.seconds + 1e-6:
        reason = f"a span from {start_s:g} s to {end_s:g} s does not lie in its {canvas.seconds:g} s"
        raise MotionError(canvas.where, reason, f"End it at {canvas.seconds:g} s or before.")
    count = len(canvas.tokens)
    first = min(int(start_s / TOKEN_S + 1e-6), count - 1)
    stop = max(first + 1, int(np.ceil(end_s / TOKEN_S - 1e-6)))
    places = np.arange(count)
    editable = (first <= places) & (places < stop)
    return replace(_whole(canvas) if stop >= count else canvas, editable=editable)


def before(canvas: Canvas, seconds: float) -> Canvas:
    """Have something written in front of a motion."""
    return _joined(_empty(canvas, seconds), canvas)


def after(canvas: Canvas, seconds: float) -> Canvas:
    """Have something written behind a motion; its rows that fill no token go."""
    return _joined(canvas, _empty(canvas, seconds))


def between(first: Canvas, second: Canvas, seconds: float) -> Canvas:
    """Have the way from one motion to another written; rows of the first that fill no token go."""
    return _joined(_joined(first, _empty(first, seconds)), second)


def _empty(like: Canvas, seconds: float) -> Canvas:
    """Give room for a number of seconds, one token at least."""
    if not seconds > 0:
        raise MotionError(like.where, f"{seconds:g} s are to be written", "Ask for 0.2 seconds or more.")
    count = max(1, round(seconds / TOKEN_S))
    rows = np.zeros((count * UNIT, NUM_FEATURES), np.float32)
    tokens = np.zeros((count, like.tokens.shape[1]), like.tokens.dtype)
    return Canvas(rows, rows, tokens, np.ones(count, bool), like.where)


def _whole(canvas: Canvas) -> Canvas:
    """Leave out the rows at the end that fill no token."""
    stop = len(canvas.tokens) * UNIT
    return replace(canvas, rows=canvas.rows[:stop], decoded=canvas.decoded[:stop])


def _joined(first: Canvas, second: Canvas) -> Canvas:
    """Put one behind the other."""
    first = _whole(first)
    return Canvas(
        np.concatenate([first.rows, second.rows]),
        np.concatenate([first.decoded, second.decoded]),
        np.concatenate([first.tokens, second.tokens]),
        np.concatenate([first.editable, second.editable]),
        first.where,
    )
