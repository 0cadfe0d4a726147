"""The dataset card: YAML for `datasets.load_dataset`, then what a person asks before using the data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

_COLUMNS: Final = (
    ("motion_id", "string", "unique in the dataset"),
    ("source", "struct", "dataset, path, start_s, end_s (0: to the end), license"),
    ("fps", "float32", "frames per second"),
    ("num_frames", "int32", "T, the number of frames"),
    (
        "joints",
        "T x 66 float32",
        "22 SMPL joints x 3, metres, y up, facing +z at frame 0; null where texts only",
    ),
    ("features", "T' x 263 float32", "HumanML3D vector, only where the source brought it, else null"),
    ("captions", "list of struct", "global action texts: text, start_s, end_s (0 and 0: the whole motion)"),
    ("groups", "struct of 6 strings", "what the torso, neck, arms and legs do"),
    ("interactions", "struct of 15 strings", "what each pair of groups does, named `<a>__<b>`"),
    ("keyframes", "list of struct", "frame, similarity to the keyframe before, pose caption"),
    ("checks", "list of struct", "fact check: field, claim, verdict"),
    ("provenance", "struct", "describer, model, versions, captioner, encoder, threshold, seed, tokens, cost"),
    ("review", "struct", "people's judgement: status, errors"),
)


def card_text(
    splits: Mapping[str, int],
    sources: Mapping[tuple[str, str], int],
    settings: Mapping[str, Any],
    texts_only: bool,
) -> str:
    """Write the card.

    Args:
        splits: motions per split, only splits that have shards.
        sources: motions per (dataset, license).
        settings: the manifest's settings.
        texts_only: the motions were left out.
    """
    parts = [
        _front_matter(splits),
        _opening(splits, texts_only),
        _reading(texts_only),
        _columns(),
        _made(settings),
    ]
    return "\n".join([*parts, _licences(sources)])


def _front_matter(splits: Mapping[str, int]) -> str:
    """YAML naming each split's files, so that failures.parquet and reviews.parquet are not taken for data."""
    lines = ["---", "pretty_name: KinMo motion texts", "license: other", "language:", "- en", "tags:"]
    lines += ["- human-motion", "- text-to-motion", "size_categories:", f"- {_size(sum(splits.values()))}"]
    if splits:
        lines += ["configs:", "- config_name: default", "  data_files:"]
    for split in splits:
        lines += [f"  - split: {split}", f'    path: "data/{split}-*.parquet"']
    return "\n".join([*lines, "---", ""])


def _size(rows: int) -> str:
    """Name a size as Hugging Face's cards do."""
    bounds = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    return next((name for bound, name in bounds if rows < bound), "n>1M")


def _opening(splits: Mapping[str, int], texts_only: bool) -> str:
    """Say what this is and how much."""
    counts = ", ".join(f"{rows} {split}" for split, rows in splits.items()) or "none"
    lines = [
        "# KinMo motion texts",
        "",
        "Each row is a human motion with a sentence for each of six joint groups (torso, neck, arms, legs)",
        "and for each of their fifteen pairs. Where one does nothing worth telling, the sentence says so.",
        "",
        f"Motions: {sum(splits.values())} ({counts}).",
    ]
    if texts_only:
        lines += [
            "",
            "**Texts only.** This copy carries no motion: `joints` and `features` are null. With your own",
            "licensed copy of the motions, `kinmo dataset join THIS_FOLDER YOUR_COPY --out NEW_FOLDER` puts",
            "them back by id.",
        ]
    return "\n".join([*lines, ""])


def _reading(texts_only: bool) -> str:
    """Show how to read it."""
    joints = "" if texts_only else '; each row\'s "joints" is a (T, 22, 3) array'
    return f"""## Reading it

```python
import kinmo_annotate
frame = kinmo_annotate.load_dataset("PATH")  # a pandas frame{joints}

import datasets
rows = datasets.load_dataset("PATH")
```

The shards in `data/` are plain Parquet: pandas, polars and DuckDB read them as they are. `failures.parquet`
lists what could not be annotated, with the reason; `kinmo.json` is the manifest.
"""


def _columns() -> str:
    """Explain the columns."""
    lines = ["## Columns", "", "| column | type | meaning |", "|---|---|---|"]
    lines += [f"| {name} | {kind} | {meaning} |" for name, kind, meaning in _COLUMNS]
    lines += [
        "",
        "Left and right are the body's own. Times are in seconds from the motion's first frame.",
        "",
    ]
    return "\n".join(lines)


def _made(settings: Mapping[str, Any]) -> str:
    """Tell how it was made."""
    lines = [
        "## How it was made",
        "",
        "`kinmo annotate run` words the pose of every frame, keeps the frames where the",
    ]
    lines += [
        "wording changes, and describes what each group and pair does between them. Its settings were:",
        "",
    ]
    lines += [f"- {name}: `{_code(value)}`" for name, value in sorted(settings.items())] or [
        "- none recorded"
    ]
    return "\n".join([*lines, ""])


def _licences(sources: Mapping[tuple[str, str], int]) -> str:
    """List where the motions come from and under which terms."""
    lines = ["## Licences of the motions", "", "| source | licence | motions |", "|---|---|---|"]
    for (dataset, terms), rows in sources.items():
        lines.append(
            f"| {_cell(dataset) or 'unnamed'} | {_cell(terms) or 'not stated: ask the source'} | {rows} |"
        )
    lines += [
        "",
        "The sentences carry no more rights than the motions they describe. AMASS and HumanML3D motions may",
        "not be passed on: share what `kinmo dataset export --texts-only` writes instead.",
        "",
    ]
    return "\n".join(lines)


def _code(value: Any) -> str:
    """Show a setting inside backticks, on one line."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True).replace("`", "'")


def _cell(text: str) -> str:
    """Keep a text inside one table cell."""
    return " ".join(text.split()).replace("|", "\\|")
