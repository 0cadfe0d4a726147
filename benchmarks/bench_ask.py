"""How much of the speed that an endpoint's latency allows is reached, with faults and without.

Run: python benchmarks/bench_ask.py [FOLDER] [--requests 1000] [--in-flight 64] [--latency 0.2] [--runs 3]
Requests are composed from the motions of FOLDER; without it, from the real motions of ../shared/data/mocap
where they are, else from demo motions made on the spot. The endpoint is that of the tests, a process of its
own; both want a core. `--profile` prints where the time of the asking process goes.

The latency allows `attempts x latency / in flight` seconds; the share is that over the seconds it took. While
the last requests are asked again and again there is less to do than may be in flight; the second share leaves
that out: it ends when the last motion is first asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import importlib.util
import os
import pstats
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["OPENAI_API_KEY"] = "sk-benchmark-0123456789"

from motions import source_or

from kinmo_annotate.describe.llm.answers import open_answers
from kinmo_annotate.describe.llm.ask import Asker, Client, Pace
from kinmo_annotate.describe.llm.payload import motions_fields
from kinmo_annotate.describe.llm.prices import load_prices
from kinmo_annotate.describe.llm.prompt import load_prompt
from kinmo_annotate.describe.llm.request import Asked, Request, make_request
from kinmo_annotate.posecodes import caption_motions
from kinmo_annotate.schema.records import Keyframe, MotionError
from kinmo_annotate.sources import open_source

RUNNING = Path(__file__).resolve().parents[1] / "tests/endpoint/running.py"
FAULTS = {
    "rate_limit": 0.05,
    "rate_limit_ms": 0.04,
    "rate_limit_reset": 0.03,
    "rate_limit_bare": 0.03,
    "error_500": 0.03,
    "cut": 0.01,
    "cut_body": 0.01,
    "invalid_json": 0.02,
}
MODEL = "gpt-4o-mini"


@dataclass(frozen=True)
class Run:
    """What one run gave; `busy_share` while there were motions that had not been asked for yet."""

    share: float
    busy_share: float
    wall_s: float
    cpu_ms: float
    failures: int
    counts: dict[str, Any]


def compose(folder: Path, most: int) -> list[Request]:
    """Requests for the motions of a folder, over again under other names where there are too few."""
    source = open_source(folder)
    motions = [source.load(entry) for entry in source.entries()[:most]]
    asked = Asked(MODEL, load_prompt(), 2500, {"temperature": 0})
    requests: list[Request] = []
    for start in range(0, len(motions), 32):
        some = motions[start : start + 32]
        captions = caption_motions([motion.joints for motion in some], seed=0)
        keys = [
            [Keyframe(f, 1.0, one.frame_caption(f)) for f in (0, len(m.joints) // 2, len(m.joints) - 1)]
            for m, one in zip(some, captions, strict=True)
        ]
        fields = motions_fields(some, keys, seed=0)
        requests += [make_request(m.motion_id, f, asked) for m, f in zip(some, fields, strict=True)]
    while len(requests) < most:
        again = requests[len(requests) % len(motions)]
        body = again.body | {"user": str(len(requests))}
        requests.append(Request(f"{again.key}-{len(requests)}", again.motion_id, again.prompt_version, body))
    return requests


async def while_busy(asker: Asker, last: Request, least_s: float) -> float:
    """Share of what the latency allows until the last motion was first asked for."""
    started = time.perf_counter()
    await asyncio.sleep(0)
    while any(job.request is last for job in asker._ready):
        await asyncio.sleep(0.01)
    under_way = asker._pace.in_flight  # what was sent but is not answered has not taken its time yet
    return (asker.tally.requests - under_way) * least_s / (time.perf_counter() - started)


async def ask_all(url: str, requests: Sequence[Request], in_flight: int, latency_s: float) -> Run:
    with tempfile.TemporaryDirectory(prefix="kinmo-bench-") as folder:
        answers = open_answers(Path(folder) / "out", Path(folder) / "cache")
        client = Client(url, in_flight, 60.0)
        asked = Asked(MODEL, load_prompt(), 2500, {"temperature": 0})
        asker = Asker(client, answers, Pace(in_flight), asked, load_prices().of(MODEL))
        sending = asyncio.create_task(asker.run())
        started, cpu = time.perf_counter(), time.process_time()
        busy = asyncio.create_task(while_busy(asker, requests[-1], latency_s / in_flight))
        found = await asyncio.gather(*(asker.ask(request) for request in requests), return_exceptions=True)
        wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
        sending.cancel()
        await client.close()
        answers.close()
    strange = [one for one in found if isinstance(one, BaseException) and not isinstance(one, MotionError)]
    if strange:
        raise SystemExit(f"the run ended early: {asker.halted or strange[0]!r}")
    counts = asker.tally.as_json()
    sent = counts["requests"]
    failures = sum(isinstance(one, MotionError) for one in found)
    share = sent * latency_s / in_flight / wall_s
    return Run(share, busy.result(), wall_s, 1000 * cpu_s / sent, failures, counts)


def measure(
    name: str, faults: dict[str, float], requests: list[Request], options: argparse.Namespace
) -> None:
    """Run some times and print the best."""
    spec = importlib.util.spec_from_file_location("running", RUNNING)
    assert spec is not None
    assert spec.loader is not None
    running = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(running)
    runs = []
    for seed in range(options.runs):
        with running.serve(seed=seed, latency_s=options.latency, retry_after_s=0.1, faults=faults) as server:
            work = ask_all(server.url, requests, options.in_flight, options.latency)
            if options.profile:
                profile = cProfile.Profile()
                runs.append(profile.runcall(asyncio.run, work))
                pstats.Stats(profile).sort_stats("tottime").print_stats(40)
            else:
                runs.append(asyncio.run(work))
    best = max(runs, key=lambda run: run.busy_share)
    c = best.counts
    lines = [
        f"{best.share:.1%} of what the latency allows (runs: {listed([run.share for run in runs])})",
        f"{best.busy_share:.1%} until the last motion was first asked for (runs:"
        f" {listed([run.busy_share for run in runs])})",
        f"{best.wall_s:.2f} s, {c['mean_in_flight']} in flight on average, {best.cpu_ms:.2f} CPU ms a"
        f" request, load {os.getloadavg()[0]:.1f}",
        f"{c['requests']} attempts: {c['answered']} answered, {c['rate_limited']} x 429, {c['broken']}"
        f" broken, {c['unusable']} unusable; {best.failures} motions failed",
    ]
    print(f"{name:<10} " + f"\n{'':<11}".join(lines))


def listed(shares: Sequence[float]) -> str:
    return ", ".join(f"{share:.1%}" for share in shares)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.2, help="of the endpoint, seconds")
    parser.add_argument("--runs", type=int, default=3, help="the best counts: others use the machine too")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        requests = compose(options.folder or source_or(Path(made) / "demo"), options.requests)
    characters = sum(request.characters for request in requests) / len(requests)
    print(f"{len(requests)} requests of {characters:.0f} characters, {options.in_flight} in flight,"
          f" {options.latency:g} s latency")  # fmt: skip
    measure("no faults", {}, requests, options)
    measure("faults", FAULTS, requests, options)


if __name__ == "__main__":
    main()
