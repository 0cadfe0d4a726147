"""`kinmo evaluate tokenizer`: how much of a motion its tokens keep."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._common import JsonOption, console, print_json, warn
from ._evaluators import EvaluatorOption, Judge, StatisticsOption, TextsOption, VectorsOption
from ._progress import stages
from ._tables import add_row, new_table

if TYPE_CHECKING:
    from kinmo_models.data.motions import MotionStore
    from kinmo_models.tokenizer.evaluate import Rebuilt
    from kinmo_models.tokenizer.tokenizer import Tokenizer


def tokenizer(
    run: Annotated[Path, typer.Argument(help="A trained tokenizer.", show_default=False)],
    dataset: Annotated[Path, typer.Argument(help="An annotated dataset.", show_default=False)],
    split: Annotated[str, typer.Option(help="Which motions are encoded and decoded.")] = "test",
    evaluator: EvaluatorOption = None,
    vectors: VectorsOption = None,
    statistics: StatisticsOption = None,
    texts: TextsOption = None,
    cache: Annotated[
        Path | None, typer.Option("--cache", "--cache-dir", help="Where features are kept between runs.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Encode a split's motions and decode them again: joint errors in mm, codes in use, reconstruction FID.

    Example: kinmo evaluate tokenizer RUN D

    With the FID: kinmo evaluate tokenizer RUN D --evaluator EVALUATOR
    """
    from dataclasses import asdict

    from kinmo_models.data.motions import MotionStore
    from kinmo_models.tokenizer.evaluate import measure, rebuild
    from kinmo_models.tokenizer.tokenizer import Tokenizer

    model = Tokenizer.from_pretrained(run)
    with stages(as_json) as told:
        store = MotionStore.open(dataset, cache, lambda done, total: told("features", done, total))
    rebuilt = rebuild(model, [store.features(index) for index in store.select(split)])
    figures: dict[str, Any] = {**asdict(measure(model, rebuilt)), "codes": model.codes}
    if evaluator is not None:
        figures |= _fid(Judge(evaluator, vectors, statistics, texts), rebuilt)
    stamp = {
        "model": str(run),
        "dataset": str(dataset),
        "split": split,
        "split_fingerprint": store.split_fingerprint(split),
    }
    _warn_of_seen(model, store, split)
    if as_json:
        print_json({**stamp, **figures})
    else:
        _show(stamp, figures)


def _fid(judge: Judge, rebuilt: Rebuilt) -> dict[str, Any]:
    """Frechet distance between the embeddings of real and of decoded motions that are long enough."""
    from kinmo_models.evaluator.evaluator import LEAST_ROWS
    from kinmo_models.metrics.fidelity import frechet_distance

    evaluator = judge.open()
    real, decoded = (
        evaluator.encode_motions([one for one in motions if len(one) >= LEAST_ROWS])
        for motions in (rebuilt.real, rebuilt.decoded)
    )
    fid = float(frechet_distance(real, decoded))
    return {"reconstruction_fid": fid, "fid_motions": len(real), "evaluator": evaluator.name}


def _warn_of_seen(model: Tokenizer, store: MotionStore, split: str) -> None:
    """Tell that the model was trained on these motions, or chosen by them."""
    fingerprints = model.meta.get("split_fingerprints", {})
    if split in ("train", "val") and fingerprints.get(split) == store.split_fingerprint(split):
        used = "trained on" if split == "train" else "chosen by"
        warn(f"the tokenizer was {used} the motions of {split}.")


def _show(stamp: dict[str, str], figures: dict[str, Any]) -> None:
    table = new_table("Motions through their tokens", "figure", ">value")
    add_row(table, "joint error, in the world", f"{figures['joint_error_mm']:.1f} mm")
    add_row(table, "joint error, pelvis aligned", f"{figures['root_aligned_error_mm']:.1f} mm")
    add_row(table, "smooth L1 of normalised features", f"{figures['reconstruction']:.4f}")
    for level, value in enumerate(figures["perplexity"], 1):
        add_row(table, f"perplexity of level {level}", f"{value:.1f} of {figures['codes']}")
    if "reconstruction_fid" in figures:
        name = f"FID, {figures['fid_motions']} motions, {figures['evaluator']}"
        add_row(table, name, f"{figures['reconstruction_fid']:.4f}")
    console().print(table)
    counts = f"{figures['motions']} motions, {figures['frames']:,} frames"
    where = f"{stamp['split']} (fingerprint {stamp['split_fingerprint']}) of {stamp['dataset']}"
    console().print(f"{counts}: {where}, {stamp['model']}", markup=False)
