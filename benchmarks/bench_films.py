"""In how many films of docs/generate.md's twenty prompts the fact check finds the prompted side and action.

Run: make demo-train, then python benchmarks/bench_films.py [--model out/demo-train/generator] [--seeds 1]
     [--dataset out/demo-train/dataset] [--level G] [--out FOLDER]

Each prompt stands in the page's table beside a sentence that has to be true of the film, and one that must
not be. Both are judged by the fact check of `kinmo annotate`, from the joints alone. No prompt is among the
captions that the model was trained on; that is looked up in the dataset. With --out a contact sheet of each
film is kept. The exit code is 1 where fewer than 80 % of the films are right.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from kinmo_annotate.dataset import load_dataset
from kinmo_annotate.motion_out import MotionOut, write_motion
from kinmo_annotate.schema.records import Motion, Source
from kinmo_annotate.schema.skeleton import FPS
from kinmo_annotate.verify import SUPPORTED, check_motion
from kinmo_models.generation.generator import Generated, Generator, Prompt

PAGE = Path(__file__).resolve().parents[1] / "docs/generate.md"
HEAD = "| prompt | true of the film | not true of it |\n| --- | --- | --- |\n"
LEAST = 0.8


@dataclass(frozen=True)
class Asked:
    """A prompt with what its film is held against: sentences by field."""

    prompt: str
    true: dict[str, str]
    untrue: dict[str, str]


def read_page(page: str) -> Iterator[Asked]:
    """Read the page's table."""
    for line in page.partition(HEAD)[2].partition("\n\n")[0].splitlines():
        prompt, true, untrue = (cell.strip() for cell in line.strip("|").split("|"))
        yield Asked(prompt, _sentences(true), _sentences(untrue))


def _sentences(cell: str) -> dict[str, str]:
    """Read `left_arm: The left arm waves.; right_arm: ...`."""
    pairs = (one.split(": ", 1) for one in cell.split("; ") if one)
    return {field.strip("` "): sentence for field, sentence in pairs}


def is_right(asked: Asked, film: Generated) -> bool:
    """Tell whether the fact check finds all that is true, and nothing of what is not."""
    motion = Motion("film", film.joints, Source("generated", "film"))
    found = check_motion(motion, asked.true)
    if len(found) < len(asked.true) or any(one.verdict != SUPPORTED for one in found):
        return False
    return all(one.verdict != SUPPORTED for one in check_motion(motion, asked.untrue))


def main() -> int:
    """Write the films, check them, print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="out/demo-train/generator")
    parser.add_argument("--dataset", type=Path, default=Path("out/demo-train/dataset"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--level", default="G")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    asked = list(read_page(PAGE.read_text("utf-8")))
    captions = load_dataset(options.dataset).captions
    known = {one["text"].rstrip(".").lower() for said in captions for one in said}
    seen = [one.prompt for one in asked if one.prompt.rstrip(".").lower() in known]
    if seen:
        print(f"captions of the dataset, not held out: {', '.join(seen)}", file=sys.stderr)
        return 1
    generator = Generator.from_pretrained(options.model)
    right = total = 0
    for seed in range(options.seeds):
        prompts = [Prompt(one.prompt, seed=seed) for one in asked]
        for number, (one, film) in enumerate(
            zip(asked, generator.generate(prompts, level=options.level), strict=True)
        ):
            good = is_right(one, film)
            right, total = right + good, total + 1
            print(f"{'right' if good else 'WRONG':<6} {one.prompt} ({len(film.joints) / FPS:.1f} s)")
            if options.out:
                options.out.mkdir(parents=True, exist_ok=True)
                shown = MotionOut(film.joints, name="right" if good else "wrong", text=one.prompt)
                write_motion(shown, options.out / f"{number:02d}-{seed}.png")
    print(f"{right} of {total} films right ({right / total:.0%}), level {options.level}")
    return 0 if right >= LEAST * total else 1


if __name__ == "__main__":
    raise SystemExit(main())
