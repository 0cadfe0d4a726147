"""How many of the ten prompts of docs/search.md find the right action first, after the demo of that page.

Run: python benchmarks/bench_prompts.py [--work FOLDER]
Runs the demo's commands as they are written there (minutes on two cores), then each prompt of
search_prompts.json, two for each of 52 actions that were worded without a look at the captions, then the ten;
by the motions alone and with what is said of them. Prints what was found, and ends with exit code 1 where
fewer than nine of the ten are right with both. A folder named with --work is kept, and what is finished in it
is not done again. One thread each, so that the figures repeat.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

PAGE = Path(__file__).resolve().parents[1] / "docs/search.md"
OTHERS = Path(__file__).with_name("search_prompts.json")
LEAST = 9


def demo_commands(page: str) -> list[list[str]]:
    """The commands of the page's demo, without the program's name."""
    (block,) = (part for part in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "kinmo data demo" in part)
    return [shlex.split(line)[1:] for line in block.replace("\\\n", " ").splitlines()]


def prompts(page: str) -> dict[str, set[str]]:
    """Prompt -> kinds of demo motions that are right."""
    table = page.partition("| prompt | action |\n| --- | --- |\n")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    return {prompt: set(kinds.split(", ")) for prompt, kinds in rows}


def kinmo(work: Path, words: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    """Run the program in the folder of the demo."""
    command = [sys.executable, "-m", "kinmo_cli", *words]
    return subprocess.run(command, cwd=work, check=True, text=True, **options)  # type: ignore[call-overload,no-any-return]


def ask(work: Path, asked: dict[str, set[str]], *options: str) -> int:
    """Search the demo for each prompt; print what was found first, and give how many are of a right kind."""
    truth = (work / "motions/truth.jsonl").read_text("utf-8").splitlines()
    kinds = {row["motion_id"]: row["kind"] for row in map(json.loads, truth)}
    words = ["search", "-", "--model", "run", "--index", "demo", "--top", "1", "--json", *options]
    answer = kinmo(work, words, input="\n".join(asked), stdout=subprocess.PIPE)
    right = 0
    for one in json.loads(answer.stdout)["queries"]:
        found = kinds[one["hits"][0]["motion_id"]]
        right += found in asked[one["query"]]
        print(f"{'right' if found in asked[one['query']] else 'WRONG':<6} {one['query']}: {found}")
    print(f"{right} of {len(asked)} right {' '.join(options)}\n")
    return right


def main() -> int:
    """Run demo and prompts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    page = PAGE.read_text("utf-8")
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        for words in demo_commands(page):
            if words[:2] != ["data", "demo"] or not (work / words[2]).exists():
                kinmo(work, words)
        others = {prompt: {kind} for kind, said in json.loads(OTHERS.read_text()).items() for prompt in said}
        for asked in (others, prompts(page)):
            ask(work, asked, "--captions", "0")
            right = ask(work, asked)
    return 0 if right >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
