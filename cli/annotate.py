"""`kinmo annotate`: sentences by rule or by a language model, checked, and judged by people."""

from __future__ import annotations

import typer

from .annotate_agreement import agreement
from .annotate_batch import app as batch
from .annotate_edits import edits
from .annotate_estimate import estimate
from .annotate_loop import loop
from .annotate_prompt import prompt
from .annotate_refine import refine
from .annotate_review import review
from .annotate_run import run
from .annotate_sample import reviews, sample, sheet

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Write the sentences, and let people judge them."
)
for command in (run, estimate, prompt, sample, review, agreement, reviews, refine, loop, edits):
    app.command()(command)
app.add_typer(batch, name="batch")
app.add_typer(sheet, name="sheet")


@app.callback()
def _group() -> None:
    """Write the sentences, and let people judge them."""
