"""How fast is asked: a made-up clock, no endpoint."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinmo_annotate.describe.llm.pace import Pace, retry_after_s

NOTHING: dict[str, str] = {}


def send_all(pace: Pace, seconds: float, tokens: float = 100.0) -> list[float]:
    """Send whenever the pace allows it, answers coming at once; give the times."""
    now, sent = 1000.0, []
    while now < 1000.0 + seconds:
        wait = pace.wait(tokens, now)
        assert math.isfinite(wait)
        if wait > 0:
            now += wait
            continue
        pace.start(tokens, now)
        sent.append(now)
        pace.answered(NOTHING, tokens, now)
    return sent


def most_in_a_minute(times: list[float]) -> int:
    return max(sum(start <= one < start + 60 for one in times) for start in times)


# ---------------------------------------------------------------- limits that the user gave


@pytest.mark.parametrize("per_minute", [1, 3, 20, 60, 61, 500, 3000])
def test_no_minute_sees_more_requests_than_allowed(per_minute):
    times = send_all(Pace(64, requests_per_minute=per_minute), 150)
    assert most_in_a_minute(times[:4000]) <= per_minute
    assert len(times) >= 0.97 * 2.5 * per_minute - 1  # and no fewer


@pytest.mark.parametrize("per_minute", [1000, 30_000, 2_000_000])
def test_no_minute_sees_more_tokens_than_allowed(per_minute):
    tokens = 3_500.0
    times = send_all(Pace(64, tokens_per_minute=per_minute), 150, tokens)
    assert most_in_a_minute(times) * tokens <= per_minute + tokens
    assert len(times) * tokens >= 0.95 * 2.5 * per_minute - tokens


def test_the_first_second_is_no_burst():
    times = send_all(Pace(64, requests_per_minute=600), 1)
    assert len(times) <= 21


def test_both_limits_hold_together():
    times = send_all(Pace(64, requests_per_minute=100, tokens_per_minute=5000), 120, 100.0)
    assert most_in_a_minute(times) <= 51


def test_a_pause_of_the_sender_is_not_made_up_for():
    pace = Pace(64, requests_per_minute=60)
    send_all(pace, 10)
    later = [pace.wait(1, 5000.0)]
    for _ in range(3):
        pace.start(1, 5000.0)
        pace.answered(NOTHING, 1, 5000.0)
        later.append(pace.wait(1, 5000.0))
    assert later[0] == 0
    assert all(wait > 0 for wait in later[1:])


# ---------------------------------------------------------------- how many at once


def test_no_more_than_asked_for_are_in_flight():
    pace = Pace(3)
    for _ in range(3):
        assert pace.wait(1, 0.0) == 0
        pace.start(1, 0.0)
    assert pace.wait(1, 0.0) == math.inf
    pace.answered(NOTHING, 1, 1.0)
    assert pace.wait(1, 1.0) == 0


def outcomes(pace: Pace, refused: str, headers: dict[str, str] = NOTHING, now: float = 0.0) -> float:
    """Let the endpoint take ('.') or refuse ('x') requests, ten a second."""
    for sign in refused:
        now += 0.1
        pace.start(1, now)
        if sign == "x":
            pace.refused(headers, 0, now)
        else:
            pace.answered(NOTHING, 1, now)
    return now


def test_a_few_429_concern_their_requests_alone():
    pace = Pace(64)
    now = outcomes(pace, "...x.....x" * 30)
    assert pace.limit == 64
    assert pace.wait(1, now) == 0


def test_a_storm_of_429_slows_the_run_down_and_holds_it_back():
    pace = Pace(64)
    now = outcomes(pace, "x" * 100, {"retry-after": "7"})
    assert pace.limit < 10
    assert 6 < pace.wait(1, now) <= 7


def test_there_is_always_room_for_one():
    pace = Pace(4)
    now = outcomes(pace, "x" * 1000, {"retry-after": "0"})
    assert pace.limit >= 1
    assert pace.wait(1, now + 60) == 0


def test_the_limit_grows_back_after_a_storm():
    pace = Pace(64)
    now = outcomes(pace, "x" * 300, {"retry-after": "0"})
    low = pace.limit
    now = outcomes(pace, "." * 20, now=now)
    assert low < pace.limit < 20  # one more a round, at first
    now = outcomes(pace, "." * 700, now=now)
    assert pace.limit == 64


def test_an_endpoint_with_too_much_to_do_is_asked_less():
    pace = Pace(64)
    for second in range(5):
        pace.start(1, second * 1.0)
        pace.failed(second * 1.0, overrun=True)
    assert pace.limit < 16
    limit = pace.limit
    pace.start(1, 10.0)
    pace.failed(10.0, overrun=False)
    assert pace.limit == limit


def test_one_burst_of_failures_counts_once():
    pace = Pace(64)
    for _ in range(64):
        pace.start(1, 5.0)
    for _ in range(64):
        pace.failed(5.1, overrun=True)
    assert pace.limit == 32
    assert pace.in_flight == 0


def test_replies_to_what_was_asked_before_the_limit_shrank_do_not_count():
    pace = Pace(64)
    for _ in range(64):
        pace.start(1, 0.0)
    for _ in range(64):
        pace.refused({"retry-after": "1"}, 0, 0.1)
    assert pace.limit == 32
    for _ in range(32):
        pace.start(1, 1.2)
    for _ in range(32):
        pace.refused({"retry-after": "1"}, 0, 1.3)
    assert pace.limit == 16


# ---------------------------------------------------------------- what the endpoint says


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "3", "retry-after-ms": "120"}, 0.12),
        ({"retry-after-ms": "-5"}, 0),
        ({"retry-after": "-5"}, 0),
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Mon, 99 Foo 2020 99:99:99 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2),
    ],
)
def test_retry_after_is_read(headers, seconds):
    assert retry_after_s(headers) == (None if seconds is None else pytest.approx(seconds))


def test_retry_after_may_be_a_date():
    moment = datetime.now(UTC) + timedelta(seconds=30)
    assert retry_after_s({"retry-after": format_datetime(moment, usegmt=True)}) == pytest.approx(30, abs=2)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m0.5s"}, 60.5),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "120ms"}, 0.12),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "2"}, 2),
        ({"retry-after": "100000"}, 600),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "99h"}, 600),
    ],
)
def test_a_429_waits_as_long_as_it_was_told(headers, seconds):
    pace = Pace(8)
    pace.start(1, 0.0)
    assert pace.refused(headers, 0, 0.0) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "headers", [{}, {"x-ratelimit-remaining-requests": "7", "x-ratelimit-reset-requests": "50s"}]
)
def test_a_429_that_tells_nothing_waits_longer_each_time(headers):
    pace = Pace(8)
    waits = []
    for attempt in range(12):
        pace.start(1, 0.0)
        waits.append(pace.refused(headers, attempt, 0.0))
    assert 0.04 < waits[0] < 0.3
    assert all(2 * waits[n] < waits[n + 3] for n in range(6))
    assert max(waits) <= 60
    assert waits[-1] >= 30


def test_requests_are_not_sent_back_all_at_one_moment():
    pace = Pace(8)
    assert len({pace.backoff(3) for _ in range(50)}) == 50


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "3s"}, 3),
        ({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "3s"}, 0),
        ({"x-ratelimit-remaining-tokens": "900", "x-ratelimit-reset-tokens": "2.5s"}, 2.5),
        ({"x-ratelimit-remaining-tokens": "1100", "x-ratelimit-reset-tokens": "2.5s"}, 0),
        ({"x-ratelimit-remaining-requests": "0"}, 0),
        ({"x-ratelimit-remaining-requests": "none", "x-ratelimit-reset-requests": "3s"}, 0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "whenever"}, 0),
    ],
)
def test_the_run_pauses_when_the_endpoint_says_that_nothing_is_left(headers, pause):
    pace = Pace(8)
    pace.start(1000, 10.0)
    pace.answered(headers, 1000, 10.0)
    assert pace.wait(1000, 10.0) == pytest.approx(pause)
    assert pace.wait(1000, 10.0 + pause) == 0


_ODD = st.one_of(
    st.text(max_size=30),
    st.from_regex(r"[0-9]{1,400}(\.[0-9]+)?(ms|s|m|h)?", fullmatch=True),
    st.from_regex(r"(Mon|Sun), [0-9]{1,2} (Jan|Feb) [0-9]{1,6} [0-9:]{1,9} ?[GMT+0-9-]{0,8}", fullmatch=True),
)
_NAMES = ["retry-after", "retry-after-ms"] + [
    f"x-ratelimit-{what}-{unit}" for what in ("remaining", "reset") for unit in ("requests", "tokens")
]


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(_NAMES), _ODD))
def test_headers_are_data(headers):
    pace = Pace(2)
    pace.start(1, 0.0)
    assert 0 <= pace.refused(headers, 0, 0.0) <= 600
    pace.start(1, 0.0)
    pace.answered(headers, 1, 0.0)
    assert 0 <= pace.wait(1, 0.0) <= 600
