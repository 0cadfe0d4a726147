"""`kinmo search`: find motions by what is said of them, or by a motion like them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._common import WRONG_USAGE, JsonOption, console, fail, print_json, warn
from ._searching import CacheOption, Place

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kinmo_models.retrieval.index import Hit, MotionIndex

    from ._queries import Query

app = typer.Typer(add_completion=False)


@app.command()
def search(
    query: Annotated[
        str,
        typer.Argument(metavar="QUERY", help="A text; a .bvh, .npy or .npz motion; - for texts on stdin."),
    ],
    model: Annotated[str, typer.Option("--model", help="Folder that train retrieval wrote, or a hub name.")],
    index: Annotated[
        Path, typer.Option("--index", help="Dataset to search, or a folder that kinmo index wrote.")
    ],
    top: Annotated[int, typer.Option("--top", min=1, max=10_000, help="How many motions to show.")] = 10,
    level: Annotated[
        str | None,
        typer.Option(help="G: the text alone; GJ, GJI: with sentences of groups, of pairs (--fields)."),
    ] = None,
    fields: Annotated[
        Path | None, typer.Option(help="YAML or JSON: sentences of any of the 21 fields, by their names.")
    ] = None,
    reasoner: Annotated[
        str | None,
        typer.Option(help="What train reasoner wrote: writes the sentences that --fields does not give."),
    ] = None,
    captions: Annotated[
        float | None,
        typer.Option(min=0, help="How much it counts what is said of a motion; 0: the motion alone. Else 2."),
    ] = None,
    split: Annotated[list[str] | None, typer.Option(help="Of this split alone; may be repeated.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="Of this source alone; may be repeated.")] = None,
    min_seconds: Annotated[float | None, typer.Option(min=0, help="Motions at least so long.")] = None,
    max_seconds: Annotated[float | None, typer.Option(min=0, help="Motions at most so long.")] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Draw what was found as a .png, .jpg or .webp.")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="For a BVH query: YAML from its joint names to ours.")
    ] = None,
    cache_dir: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the motions that a text describes, or that are like a motion; the most similar first.

    A text is compared with the motions themselves and, where they have captions, with these (--captions).

    The index of a dataset is made when it is first searched, and made again when model or dataset changed.

    Example: [bold]kinmo search "a person waves with the left hand" --model run --index dataset[/bold]
    """
    from kinmo_models.retrieval.captions import WEIGHT
    from kinmo_models.retrieval.index import Where

    from ._queries import doubts, read_queries

    queries = read_queries(query, mapping)
    _check_usage(queries, fields or reasoner, level, picture)
    for text in dict.fromkeys(doubt for one in queries for doubt in doubts(one.text)):
        warn(text)
    place = Place(model, index, cache_dir, as_json)
    found = _open(place)
    if found.note:
        warn(found.note)
    where = Where(tuple(split or ()), tuple(source or ()), min_seconds, max_seconds)
    vectors = _encode(place, queries, _sentences(queries, fields, reasoner, as_json), level)
    weight = WEIGHT if captions is None else captions
    sentences = _captions_asked(place, found, queries, weight)
    hits = found.search(vectors, top, where, sentences, weight)
    if picture is not None:
        _draw(place, found, queries[0], hits[0], picture)
    if as_json:
        print_json(_as_json(found, model, queries, hits, picture))
        return
    for one, lines in zip(queries, hits, strict=True):
        _show(one, lines)
    note = f"of {len(found):,} motions; similarity is the cosine of the embeddings, -1 to 1"
    more = f"; ordered by similarity + {weight:g} x captions, the cosine of the text and what is said of them"
    console().print(note + (more if sentences is not None else ""), style="dim")
    if picture is not None:
        console().print(f"wrote {picture}", markup=False, soft_wrap=True)


def _check_usage(
    queries: Sequence[Query], fields: Path | str | None, level: str | None, picture: Path | None
) -> None:
    """Refuse options that do not go together, before anything slow is done."""
    by_motion = queries[0].joints is not None
    if by_motion and (fields or level):
        reason = "--fields, --reasoner and --level are for texts, and the query is a motion"
        fail(reason, "Leave them out.", WRONG_USAGE)
    if len(queries) > 1 and (isinstance(fields, Path) or picture):
        fail("--fields and --picture are for one query", "Give that query alone.", WRONG_USAGE)
    if picture is not None:
        from kinmo_annotate.render.paper import check_suffix
        from kinmo_annotate.render.sheet import SHEET_SUFFIXES

        check_suffix(picture, SHEET_SUFFIXES, "a picture")


def _open(place: Place) -> MotionIndex:
    """Open the index: the folder that was named, or that of the dataset, made anew where it is not current.

    Raises:
        DatasetError: the folder named is the index of another model, or of an earlier state of its dataset.
    """
    from kinmo_models.retrieval.index import MotionIndex, is_index

    if not is_index(place.dataset):
        folder = place.folder
        return MotionIndex.open(folder) if place.is_current(folder) else place.build(folder)
    folder = place.dataset
    found = MotionIndex.open(folder)
    place.dataset = Path(found.meta["dataset_path"])
    found.check_current(place.model_fingerprint, place.fingerprint if place.dataset.is_dir() else None)
    return found


def _sentences(
    queries: Sequence[Query], fields: Path | None, reasoner: str | None, silent: bool
) -> list[dict[str, str]] | None:
    """Give the finer texts of the queries: as given, and from a reasoner; None where there are none."""
    from ._prompts import Prompt, read_fields

    said = {} if fields is None else read_fields(fields)
    if reasoner is None:
        return [said] if said else None
    from ._reasoning import complete

    asked = [Prompt(query.text, said) for query in queries]
    return [one.fields for one in complete(asked, reasoner, 0, silent)]


def _encode(
    place: Place, queries: Sequence[Query], said: list[dict[str, str]] | None, level: str | None
) -> NDArray[np.float32]:
    retriever = place.retriever
    if level is not None and level not in retriever.levels:
        known = ", ".join(retriever.levels)
        fail(f"the model has no level {level!r}", f"Its levels are {known}.", WRONG_USAGE)
    joints = [query.joints for query in queries if query.joints is not None]
    if joints:
        return retriever.encode_motions(joints)
    return retriever.encode_texts([query.text for query in queries], said, level)


def _captions_asked(
    place: Place, found: MotionIndex, queries: Sequence[Query], weight: float
) -> NDArray[np.float32] | None:
    """Give the texts' sentence embeddings, which the index compares with captions; None where none count."""
    if not weight or found.captions is None or queries[0].joints is not None:
        return None
    return place.retriever.encode_sentences([query.text for query in queries])


def _draw(place: Place, found: MotionIndex, query: Query, hits: Sequence[Hit], picture: Path) -> None:
    """Draw what was found; the poses come from the dataset's features."""
    from kinmo_annotate.render import Result, results_sheet
    from kinmo_annotate.render.results import MAX_RESULTS
    from kinmo_annotate.schema.features import features_to_joints

    if place.store.fingerprint != found.meta["dataset"]:
        fail(f"{place.dataset}: has changed since it was indexed", "Run kinmo index again.")
    results = [
        Result(
            hit.motion_id,
            features_to_joints(place.store.features(hit.row)),
            f"{_grounds(hit)}   {hit.seconds:.1f} s   {hit.split}",
            hit.caption,
        )
        for hit in hits[:MAX_RESULTS]
    ]
    subtitle = f"the {len(results)} most similar of {len(found):,} motions"
    results_sheet(results, picture, query.label, subtitle)


def _grounds(hit: Hit) -> str:
    """Say what a motion was found for."""
    said = "" if hit.caption_similarity is None else f"   captions {hit.caption_similarity:.3f}"
    return f"similarity {hit.similarity:.3f}{said}"


def _show(query: Query, hits: Sequence[Hit]) -> None:
    """Print a table of what was found."""
    from ._tables import add_row, new_table

    told = any(hit.caption_similarity is not None for hit in hits)
    columns = ("similarity", "captions", "seconds") if told else ("similarity", "seconds")
    table = new_table(query.label, ">", "motion", *(f">{name}" for name in columns), "split", "caption")
    for rank, hit in enumerate(hits, 1):
        said = "" if hit.caption_similarity is None else f"{hit.caption_similarity:.3f}"
        facts = (f"{hit.similarity:.3f}", *([said] if told else []), f"{hit.seconds:.1f}", hit.split)
        add_row(table, str(rank), hit.motion_id, *facts, hit.caption)
    console().print(table)


def _as_json(
    found: MotionIndex,
    model: str,
    queries: Sequence[Query],
    hits: Sequence[Sequence[Hit]],
    picture: Path | None,
) -> dict[str, Any]:
    """Give everything that was found, query by query."""
    return {
        "model": model,
        "index": str(found.folder),
        "motions": len(found),
        "picture": None if picture is None else str(picture),
        "queries": [
            {
                "query": query.label,
                "hits": [{"rank": rank} | asdict(hit) for rank, hit in enumerate(lines, 1)],
            }
            for query, lines in zip(queries, hits, strict=True)
        ],
    }
