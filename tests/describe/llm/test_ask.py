"""Many requests at once, of an endpoint that goes wrong on purpose: what is answered, given up and paid."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from kinmo_annotate.describe.llm import answers as answers_module
from kinmo_annotate.describe.llm import ask as ask_module
from kinmo_annotate.describe.llm.answers import ARCHIVE_DIR, Answer, open_answers, read_archive
from kinmo_annotate.describe.llm.ask import Asker, Halt, Unanswered
from kinmo_annotate.describe.llm.client import Client, Outcome, Reply
from kinmo_annotate.describe.llm.form import parse_answer
from kinmo_annotate.describe.llm.pace import Pace
from kinmo_annotate.describe.llm.prices import load_prices
from kinmo_annotate.describe.llm.prompt import load_prompt
from kinmo_annotate.describe.llm.request import Asked, Request, make_request
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.skeleton import FIELDS

KEY = "sk-kinmo-ask-0123456789abcdef"
MODEL = "gpt-4o-mini"
PROMPT = load_prompt()
PRICE = load_prices().of(MODEL)
ASKED = Asked(MODEL, PROMPT, 2500, {"temperature": 0})
NAMES = ("length", "differences", "fps", "captions", "keyframes")


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def requests(count: int, first: int = 0) -> list[Request]:
    numbers = range(first, first + count)
    return [make_request(f"m{n}", {x: f"{x} of motion m{n}." for x in NAMES}, ASKED) for n in numbers]


@dataclass
class Done:
    """What a run gave: for each request its answer, MotionError or Unanswered."""

    asker: Asker
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    found: list[Answer | BaseException] = field(default_factory=list)

    @property
    def answered(self) -> list[Answer]:
        return [one for one in self.found if isinstance(one, Answer)]

    @property
    def failed(self) -> list[MotionError]:
        return [one for one in self.found if isinstance(one, MotionError)]

    @property
    def open(self) -> int:
        return sum(isinstance(one, Unanswered) for one in self.found)

    @property
    def halted(self) -> Halt | None:
        return self.asker.halted


@pytest.fixture
def ask(tmp_path) -> Callable[..., Done]:
    """Ask an endpoint for all of some requests; `during(asker)` runs beside. Nothing may hang."""

    def go(
        url: str, wanted: Sequence[Request], in_flight: int = 8, *, name: str = "d", cache: str = "cache",
        pace: Pace | None = None, budget_usd: float | None = None, timeout_s: float = 20.0, price=PRICE,
        during=None, client=None,
    ) -> Done:  # fmt: skip
        async def all_of_it() -> Done:
            answers = open_answers(tmp_path / name, tmp_path / cache)
            sender = client or Client(url, in_flight, timeout_s)
            asker = Asker(sender, answers, pace or Pace(in_flight), ASKED, price, budget_usd)
            done = Done(asker)
            tasks = [asyncio.create_task(asker.run())]
            tasks += [asyncio.create_task(during(asker))] if during else []
            started, cpu = time.monotonic(), time.process_time()
            try:
                asking = asyncio.gather(*(asker.ask(one) for one in wanted), return_exceptions=True)
                done.found = await asyncio.wait_for(asking, 50)
                done.seconds, done.cpu_seconds = time.monotonic() - started, time.process_time() - cpu
                await asyncio.wait_for(asker.close(), 5)
            finally:
                for task in tasks:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task
                await sender.close()
                answers.close()
            return done

        return asyncio.run(all_of_it())

    return go


def archive(tmp_path: Path, name: str = "d") -> list[dict]:
    return list(read_archive(tmp_path / name / ARCHIVE_DIR))


# ---------------------------------------------------------------- answers


def test_every_request_gets_its_own_answer(ask, endpoint):
    server = endpoint(latency_s=0.02)
    wanted = requests(40)
    done = ask(server.url, wanted)
    assert [one.motion_id for one in done.answered] == [one.motion_id for one in wanted]
    assert len({one.text for one in done.answered}) == 40
    assert all(parse_answer(one.text) for one in done.answered)
    stats = server.stats()
    assert stats["requests"] == 40
    tally = done.asker.tally
    assert tally.usd == pytest.approx(stats["cost_usd"])
    assert sum(one.cost_usd for one in done.answered) == pytest.approx(stats["cost_usd"])
    assert tally.input_tokens == stats["usage"]["prompt_tokens"]
    assert (tally.requests, tally.answered, tally.wall_s > 0) == (40, 40, True)


def test_what_the_cache_has_is_not_asked(ask, endpoint):
    server = endpoint()
    first = ask(server.url, requests(10))
    again = ask(server.url, requests(12))
    other = ask(server.url, requests(10), name="another dataset")
    assert server.stats()["requests"] == 12
    assert again.answered[:10] == other.answered == first.answered


def test_equal_requests_are_asked_once(ask, endpoint):
    server = endpoint(latency_s=0.05)
    done = ask(server.url, requests(3) * 20)
    assert len(done.answered) == 60
    assert server.stats()["requests"] == 3


def test_equal_requests_fail_together(ask, endpoint):
    server = endpoint(faults={"refusal": 1.0}, latency_s=0.05)
    done = ask(server.url, requests(1) * 5)
    assert len(done.failed) == 5
    assert server.stats()["requests"] == 2


def test_no_more_than_asked_for_are_in_flight(ask, endpoint):
    server = endpoint(latency_s=0.05, faults={"error_500": 0.1, "rate_limit_bare": 0.1, "invalid_json": 0.1})
    done = ask(server.url, requests(60), 7)
    assert server.stats()["peak_in_flight"] == done.asker.tally.most_in_flight == 7


@pytest.mark.parametrize("given_up", [False, True])
def test_who_no_longer_waits_changes_nothing_for_the_others(endpoint, tmp_path, given_up):
    server = endpoint(latency_s=0.2)

    async def go() -> Answer:
        answers = open_answers(tmp_path / "d", tmp_path / "cache")
        client = Client(server.url, 2, 10)
        asker = Asker(client, answers, Pace(2), ASKED, PRICE)
        sending = asyncio.create_task(asker.run())
        (request,) = requests(1)
        one, other = (asyncio.create_task(asker.ask(request)) for _ in range(2))
        await asyncio.sleep(0.05)
        if given_up:
            one.cancel()
        answer = await asyncio.wait_for(other, 5)
        sending.cancel()
        await client.close()
        answers.close()
        return answer

    assert asyncio.run(go()).motion_id == "m0"
    assert server.stats()["requests"] == 1


# ---------------------------------------------------------------- answers that cannot be used

SPOILT = {
    "invalid_json": "not JSON",
    "missing_field": "missing",
    "extra_field": "none of the 21",
    "not_text": "not a text",
    "blank_field": "empty",
    "refusal": "the model refused",
    "content_filter": "content filter",
    "length": "cut off",
    "empty_content": "empty",
    "null_content": "empty",
}


def test_an_answer_that_cannot_be_used_is_asked_for_again_with_the_reason(ask, endpoint, tmp_path):
    server = endpoint()
    for number, (fault, reason) in enumerate(SPOILT.items()):
        told = {"containing": reason, "at": 2, "answers": {"torso": "The torso follows the reason."}}
        server.control(script=[{"fault": fault, "at": 1}, told])
        server.reset()
        done = ask(server.url, requests(1, first=number))
        assert len(done.answered) == 1, fault
        assert "follows the reason" in done.answered[0].text, fault
        assert server.stats()["requests"] == 2
        assert done.answered[0].cost_usd == pytest.approx(server.stats()["cost_usd"]), fault
        bad, good = archive(tmp_path)[-2:]
        assert reason in bad["outcome"]
        assert good["outcome"] == "accepted"


def test_twice_unusable_is_a_failure_of_that_motion(ask, endpoint, tmp_path):
    script = [{"fault": "missing_field", "containing": "motion m3.", "times": 9}]
    server = endpoint(script=script)
    done = ask(server.url, requests(10))
    (failure,) = done.failed
    assert (failure.where, len(done.answered)) == ("m3", 9)
    assert "missing" in failure.reason
    assert "--retry-failures" in failure.remedy
    assert server.stats()["requests"] == 11
    assert sum(record["paid_usd"] for record in archive(tmp_path)) == pytest.approx(
        server.stats()["cost_usd"]
    )


def test_an_answer_that_was_cut_off_gets_more_room(ask, endpoint):
    tight = replace(ASKED, output_tokens=320)
    server = endpoint()
    (probe,) = ask(server.url, requests(1)).answered
    assert 320 < probe.output_tokens < 640
    wanted = [make_request("a", {x: f"{x} of another motion." for x in NAMES}, tight)]
    done = ask(server.url, wanted)
    assert len(done.answered) == 1
    assert server.stats()["outcomes"] == {"ok": 2, "length": 1}


def test_a_fence_around_the_answer_does_no_harm(ask, endpoint):
    server = endpoint(faults={"fenced": 1.0})
    assert len(ask(server.url, requests(5)).answered) == 5
    assert server.stats()["requests"] == 5


# ---------------------------------------------------------------- the endpoint's rates


@pytest.mark.parametrize("fault", ["rate_limit", "rate_limit_ms", "rate_limit_reset", "rate_limit_bare"])
def test_a_429_is_asked_again_after_as_long_as_it_says(ask, endpoint, fault):
    server = endpoint(retry_after_s=0.4, script=[{"fault": fault, "containing": "motion m1.", "times": 1}])
    done = ask(server.url, requests(3))
    assert len(done.answered) == 3
    times = [record["time_in"] for record in server.records() if record["attempt"] == 2]
    first = next(record for record in server.records() if record["outcome"] == fault)
    waited = times[0] - first["time_out"]
    assert waited >= (0.04 if fault == "rate_limit_bare" else 0.39)
    assert waited < 1.0
    assert done.asker.tally.rate_limited == 1


@pytest.mark.slow
def test_a_limit_of_the_endpoint_is_found_and_kept_without_failures(ask, endpoint):
    server = endpoint(rpm=3000, burst=5, latency_s=0.1)  # 50 a second; 64 in flight would be 640
    done = ask(server.url, requests(200), 64)
    assert (len(done.answered), done.halted) == (200, None)
    assert server.stats()["outcomes"]["over_limit"] < 1.5 * 200  # the first 64 are 120 too many already
    assert done.seconds < 2 * 200 / 50


@pytest.mark.slow
def test_what_the_headers_say_makes_429_rare(ask, endpoint):
    server = endpoint(rpm=3000, burst=20, latency_s=0.02, rate_headers=True)
    done = ask(server.url, requests(120), 4)
    assert len(done.answered) == 120
    assert server.stats()["outcomes"].get("over_limit", 0) < 0.4 * 120
    assert done.seconds < 2 * 120 / 50


def test_requests_a_minute_are_kept(ask, endpoint):
    server = endpoint()
    done = ask(server.url, requests(30), 64, pace=Pace(64, requests_per_minute=600))
    assert len(done.answered) == 30
    times = [record["time_in"] for record in server.records()]
    assert max(sum(start <= one < start + 1 for one in times) for start in times) <= 22
    assert done.seconds == pytest.approx(2.0, abs=0.8)


def test_tokens_a_minute_are_kept(ask, endpoint):
    server = endpoint(usage={"prompt_tokens": 3000, "completion_tokens": 500})
    limit = 3500 * 600  # ten requests a second
    done = ask(server.url, requests(30), 64, pace=Pace(64, tokens_per_minute=limit))
    assert len(done.answered) == 30
    assert 1.2 < done.seconds < 4


@pytest.mark.slow
def test_the_run_pauses_while_nothing_is_left(ask, endpoint):
    server = endpoint(rpm=60, burst=3, rate_headers=True, latency_s=0.02)
    done = ask(server.url, requests(4), 1)
    assert server.stats()["outcomes"] == {"ok": 4}
    assert done.seconds > 0.8


def test_waiting_takes_no_work(ask, endpoint, monkeypatch):
    calls = 0
    real = Asker._next

    def counted(self, now):
        nonlocal calls
        calls += 1
        return real(self, now)

    monkeypatch.setattr(Asker, "_next", counted)
    server = endpoint(retry_after_s=1.0, script=[{"fault": "rate_limit", "times": 3}])
    done = ask(server.url, requests(6), 3, pace=Pace(3, requests_per_minute=240))
    assert len(done.answered) == 6
    assert calls < 120
    assert done.cpu_seconds < 0.6 * done.seconds


def test_the_pace_recovers_after_a_storm(ask, endpoint):
    server = endpoint(latency_s=0.02, retry_after_s=0.05, faults={"rate_limit": 1.0})
    limits = []

    async def storm(asker: Asker) -> None:
        while asker.tally.rate_limited < 60:
            await asyncio.sleep(0.02)
        limits.append(asker._pace.limit)
        await asyncio.to_thread(server.control, faults={})

    done = ask(server.url, requests(200), 32, during=storm)
    assert len(done.answered) == 200
    assert limits[0] < 32
    assert done.asker._pace.limit > limits[0]
    assert done.seconds < 15


# ---------------------------------------------------------------- answers that do not come

BROKEN = ["error_500", "error_502", "error_503", "error_529", "cut", "cut_body", "html", "no_choices"]


def test_whatever_breaks_now_and_then_is_asked_again(ask, endpoint):
    server = endpoint(faults=dict.fromkeys(BROKEN, 0.03))
    done = ask(server.url, requests(100))
    assert len(done.answered) == 100
    assert done.asker.tally.broken > 5
    assert done.asker.tally.broken == sum(server.stats()["outcomes"].get(fault, 0) for fault in BROKEN)


def test_a_stall_ends_with_the_time_and_is_asked_again(ask, endpoint):
    server = endpoint(script=[{"fault": "stall", "at": [2, 3]}])
    done = ask(server.url, requests(6), timeout_s=0.6)
    assert len(done.answered) == 6
    assert server.stats()["requests"] == 8
    assert done.seconds < 4


@pytest.fixture
def quick(monkeypatch):
    """No patience, so that tests of it are quick."""
    monkeypatch.setattr(ask_module, "_MOST_BROKEN", 3)
    monkeypatch.setattr(ask_module, "_PATIENCE_S", 0.6)
    monkeypatch.setattr(ask_module, "_FIRST_PATIENCE_S", 0.4)
    monkeypatch.setattr(ask_module, "_RATE_PATIENCE_S", 0.6)


def test_a_motion_that_breaks_the_endpoint_is_given_up_alone(ask, endpoint, quick):
    script = [{"fault": "error_500", "containing": "motion m3.", "times": 1000}]
    server = endpoint(script=script, latency_s=0.05)
    done = ask(server.url, requests(60), 2)
    (failure,) = done.failed
    assert (failure.where, len(done.answered), done.halted) == ("m3", 59, None)
    assert "HTTP 500" in failure.reason
    assert "--retry-failures" in failure.remedy


@pytest.mark.parametrize("fault", ["error_500", "cut"])
def test_the_last_motions_do_not_halt_a_run_whose_others_were_answered(ask, endpoint, quick, fault):
    server = endpoint(script=[{"fault": fault, "containing": "motion m29.", "times": 1000}])
    done = ask(server.url, requests(30), 8)
    assert (len(done.answered), len(done.failed), done.halted) == (29, 1, None)


def test_an_endpoint_that_is_not_there_halts_the_run(ask, quick):
    done = ask("http://127.0.0.1:9/v1", requests(100), 8)
    assert (done.open, done.failed, done.halted.kind) == (100, [], "refused")
    assert done.seconds < 4


@pytest.mark.slow
def test_an_endpoint_that_is_not_there_ends_the_run_in_ten_seconds(ask):
    done = ask("http://127.0.0.1:9/v1", requests(200), 64)
    assert (done.open, done.failed) == (200, [])
    assert done.halted.kind == "refused"
    assert "--base-url" in done.halted.remedy
    assert "no connection" in done.halted.reason
    assert 5 < done.seconds < 20


def test_an_endpoint_that_dies_halts_the_run_without_failures(ask, endpoint, quick):
    server = endpoint(latency_s=0.05)

    async def die(asker: Asker) -> None:
        while asker.tally.answered < 20:
            await asyncio.sleep(0.01)
        server.process.kill()

    done = ask(server.url, requests(300), 8, during=die)
    assert done.halted.kind == "refused"
    assert (done.failed, done.open) == ([], 300 - len(done.answered))
    assert len(done.answered) >= 20
    assert done.seconds < 10


def test_an_endpoint_that_comes_back_is_asked_on(ask, endpoint):
    server = endpoint(latency_s=0.02)

    async def trouble(asker: Asker) -> None:
        while asker.tally.answered < 20:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(server.control, faults={"error_503": 1.0})
        await asyncio.sleep(1.0)
        await asyncio.to_thread(server.control, faults={})

    done = ask(server.url, requests(150), 8, during=trouble)
    assert (len(done.answered), done.halted) == (150, None)
    assert done.seconds < 15


def test_nothing_but_429_ends_in_a_halt_too(ask, endpoint, quick):
    server = endpoint(faults={"rate_limit_bare": 1.0})
    done = ask(server.url, requests(20), 4)
    assert (done.halted.kind, done.open) == ("refused", 20)
    assert "429" in done.halted.reason


# ---------------------------------------------------------------- what stops the run

STOP = {
    "quota": "credit",
    "billing": "credit",
    "hard_limit": "credit",
    "unauthorized": "OPENAI_API_KEY",
    "forbidden": "OPENAI_API_KEY",
    "no_balance": "balance",
    "model_not_found": "--model",
}


def test_where_nothing_will_be_answered_the_run_ends_at_once(ask, endpoint, tmp_path):
    server = endpoint(latency_s=0.02)
    for number, (fault, remedy) in enumerate(STOP.items()):
        server.control(script=[{"fault": fault, "after": 15, "times": 10**6}])
        server.reset()
        done = ask(server.url, requests(100, first=100 * number), name=fault)
        assert done.halted.kind == "refused", fault
        assert remedy in done.halted.remedy, fault
        assert done.failed == [], fault
        assert len(done.answered) == len(archive(tmp_path, fault)) == 15, fault
        assert done.open == 85
        assert server.stats()["requests"] <= 15 + 8
        assert done.seconds < 5


@pytest.mark.slow
def test_a_stop_does_not_wait_for_what_hangs(ask, endpoint):
    script = [{"fault": "stall", "at": 1}, {"fault": "quota", "after": 10, "times": 10**6}]
    server = endpoint(script=script, latency_s=0.02)
    done = ask(server.url, requests(50), timeout_s=600)
    assert (done.halted.kind, len(done.answered), done.open) == ("refused", 9, 41)
    assert done.seconds < 5


def test_a_stop_takes_what_is_on_its_way(ask, endpoint):
    server = endpoint(latency_s=0.5, script=[{"fault": "unauthorized", "at": 5}])
    done = ask(server.url, requests(8), 8)
    assert (len(done.answered), done.open) == (7, 1)


def test_after_a_halt_nothing_is_sent_and_the_cache_still_answers(ask, endpoint):
    server = endpoint()
    ask(server.url, requests(3))

    async def halt(asker: Asker) -> None:
        asker.halt(Halt("stopped", "stopped", "go on"))
        asker.halt(Halt("refused", "another", "too late"))

    done = ask(server.url, requests(6), during=halt)
    later = ask(server.url, requests(6))
    assert done.halted.kind == "stopped"
    assert len(done.answered) >= 3
    assert len(later.answered) == 6
    assert server.stats()["answered_again"] == {}


def test_a_motion_that_is_too_long_fails_alone(ask, endpoint):
    script = [
        {"fault": "context_length", "containing": "motion m3.", "times": 9},
        {"fault": "context_size", "containing": "motion m0.", "times": 9},
    ]
    server = endpoint(script=script)
    done = ask(server.url, requests(10))
    assert [one.where for one in done.failed] == ["m0", "m3"]
    assert (len(done.answered), done.halted) == (8, None)
    assert server.stats()["requests"] == 10


class Scripted:
    """A client that gives replies one after the other; an exception is raised."""

    def __init__(self, replies: Sequence[Reply | BaseException]) -> None:
        self.replies = list(replies)
        self.sent: list[dict] = []

    async def send(self, body: dict) -> Reply:
        self.sent.append(body)
        await asyncio.sleep(0.001)
        reply = self.replies.pop(0)
        if isinstance(reply, BaseException):
            raise reply
        return reply

    def scrub(self, text: str) -> str:
        return text.replace(KEY, "[key]")

    async def close(self) -> None:
        pass


def good_reply(**usage) -> Reply:
    text = json.dumps(dict.fromkeys(FIELDS, "The body part rises and falls again."))
    message = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": usage or None}
    return Reply(Outcome.ANSWERED, body=message)


REFUSED = Reply(Outcome.STOP, reason="HTTP 400: no", remedy="Check.", status=400)


def test_a_request_that_is_refused_among_others_fails_alone(ask):
    done = ask(
        "", requests(5), 1, client=Scripted([good_reply(), REFUSED, good_reply(), REFUSED, good_reply()])
    )
    assert (len(done.answered), len(done.failed), done.halted) == (3, 2, None)


def test_when_the_first_is_refused_so_are_all(ask):
    client = Scripted([REFUSED] * 9)
    done = ask("", requests(5), 1, client=client)
    assert (len(client.sent), done.open, done.halted.kind) == (1, 5, "refused")


def test_an_endpoint_that_refuses_everything_from_some_moment_on_does_not_make_thousands_of_failures(ask):
    client = Scripted([good_reply(), *[REFUSED] * 999])
    done = ask("", requests(500), 1, client=client)
    assert done.halted.kind == "refused"
    assert len(done.failed) <= 20


# ---------------------------------------------------------------- values that an endpoint does not take


@pytest.mark.parametrize(
    "refused",
    [["temperature"], ["max_completion_tokens"], ["max_completion_tokens", "max_tokens", "temperature"]],
)
def test_a_value_that_is_refused_is_left_out_for_all_later_requests(ask, endpoint, refused):
    server = endpoint(refuse_parameters=refused, latency_s=0.02)
    done = ask(server.url, requests(60), 4)
    assert (len(done.answered), done.halted) == (60, None)
    assert server.stats()["outcomes"]["bad_request"] <= 4 * len(refused)


def test_a_value_that_is_refused_though_it_is_not_sent_ends_the_run(ask, endpoint):
    server = endpoint(faults={"unsupported_parameter": 1.0})
    done = ask(server.url, requests(20), 4)
    assert done.halted.kind == "refused"
    assert server.stats()["requests"] <= 12


def test_the_schema_is_never_left_out(ask, endpoint):
    server = endpoint(refuse_parameters=["response_format"])
    done = ask(server.url, requests(5), 4)
    assert (done.halted.kind, done.open) == ("refused", 5)


# ---------------------------------------------------------------- the budget


@pytest.mark.parametrize("in_flight", [1, 8, 64])
def test_a_budget_is_not_overrun(ask, endpoint, in_flight):
    server = endpoint(latency_s=0.02)
    budget = 0.008
    done = ask(server.url, requests(100), in_flight, budget_usd=budget)
    spent = server.stats()["cost_usd"]
    assert done.halted.kind == "budget"
    assert "--budget" in done.halted.remedy
    assert 0.5 * budget < spent <= budget
    assert len(done.answered) + done.open == 100
    assert len(done.answered) == server.stats()["outcomes"]["ok"]


def test_a_budget_that_one_request_exceeds_asks_nothing(ask, endpoint):
    server = endpoint()
    done = ask(server.url, requests(5), budget_usd=0.0001)
    assert (done.halted.kind, done.open) == ("budget", 5)
    assert server.stats()["requests"] == 0


def test_a_budget_is_the_datasets_and_unusable_answers_count(ask, endpoint):
    server = endpoint(faults={"refusal": 1.0})
    budget = 0.008
    for first in range(0, 200, 50):
        done = ask(server.url, requests(50, first=first), budget_usd=budget)
    assert done.halted.kind == "budget"
    assert 0.5 * budget < server.stats()["cost_usd"] <= budget


def test_a_budget_that_suffices_is_no_matter(ask, endpoint):
    server = endpoint()
    done = ask(server.url, requests(20), 8, budget_usd=1.0)
    assert (len(done.answered), done.halted) == (20, None)


@pytest.mark.parametrize(
    "usage",
    [{}, {"prompt_tokens": -5}, {"prompt_tokens": "many", "completion_tokens": "1"}, {"prompt_tokens": 3000}],
)
def test_an_endpoint_that_does_not_count_is_budgeted_by_estimate(ask, usage):
    client = Scripted([good_reply(**usage) for _ in range(100)])
    done = ask("", requests(100), 4, client=client, budget_usd=0.01)
    assert done.halted.kind == "budget"
    assert 5 < len(client.sent) < 25
    assert done.asker.tally.usd <= 0.01


def test_an_endpoint_that_counts_absurdly_ends_in_the_budget_and_not_in_a_mistake(ask):
    client = Scripted([good_reply(prompt_tokens=10**11, completion_tokens=5) for _ in range(9)])
    done = ask("", requests(9), 1, client=client, budget_usd=1.0)
    assert (done.halted.kind, len(client.sent), len(done.answered)) == ("budget", 1, 1)


def test_without_a_price_nothing_is_summed_up(ask, endpoint):
    done = ask(endpoint().url, requests(2), price=None)
    assert done.asker.tally.usd is None
    assert {one.cost_usd for one in done.answered} == {None}


# ---------------------------------------------------------------- mishaps on our side


def test_a_full_disk_halts_and_what_was_paid_is_kept(ask, endpoint, monkeypatch):
    server = endpoint(latency_s=0.05)
    write = os.write
    written = 0

    def limited(file: int, data: bytes) -> int:
        nonlocal written
        written += 1
        if written > 10:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data)

    monkeypatch.setattr(answers_module.os, "write", limited)
    done = ask(server.url, requests(60))
    monkeypatch.undo()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert done.halted.kind == "refused"
    assert "no space" in done.halted.reason
    assert done.failed == []
    assert len(done.answered) == 10
    assert done.asker.tally.usd == pytest.approx(server.stats()["cost_usd"])
    again = ask(server.url, requests(60))
    assert len(again.answered) == 60
    assert server.stats()["answered_again"] == {}


def test_a_full_disk_halts_a_run_that_finds_all_in_the_cache(ask, endpoint, monkeypatch):
    server = endpoint()
    ask(server.url, requests(5))

    def full(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(answers_module.os, "write", full)
    done = ask(server.url, requests(5), name="another dataset")
    assert (done.halted.kind, done.open) == ("refused", 5)


def test_a_mistake_of_ours_costs_its_motion_and_no_place_in_flight(ask):
    client = Scripted([good_reply(), *[LookupError(f"with {KEY}")] * 6, *[good_reply()] * 13])
    done = ask("", requests(20), 2, client=client, budget_usd=1.0)
    assert (len(done.answered), len(done.failed), done.halted) == (14, 6, None)
    assert done.asker._pace.in_flight == 0
    assert "LookupError" in done.failed[0].reason
    assert KEY not in repr(done.failed)


# ---------------------------------------------------------------- the key


def test_the_key_is_nowhere(ask, endpoint, tmp_path, caplog):
    server = endpoint(faults={"error_500": 0.1, "invalid_json": 0.1, "refusal": 0.1}, key=KEY)
    first = ask(server.url, requests(20))
    server.control(faults={"key_echo": 1.0})
    refused = ask(server.url, requests(20, first=20))
    assert server.stats()["authorization"] == {"as expected": server.stats()["requests"]}
    assert "[key]" in refused.halted.reason
    said = repr([first.found, refused.found, refused.halted, caplog.text])
    assert KEY not in said
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 2  # cache and archive
    assert not any(KEY.encode() in path.read_bytes() for path in files)
    assert not any(KEY in repr(record) for record in archive(tmp_path))
