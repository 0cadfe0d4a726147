import asyncio
import json
import math
import time
from pathlib import Path

import pytest

from kinmo_annotate.describe.llm import batch as batches
from kinmo_annotate.describe.llm.answers import Answers, open_answers, read_archive
from kinmo_annotate.describe.llm.ask import Unanswered
from kinmo_annotate.describe.llm.batch.api import Api, BatchError
from kinmo_annotate.describe.llm.batch.chunks import ChunkWriter, keys_path, requests_path
from kinmo_annotate.describe.llm.batch.state import public_address
from kinmo_annotate.describe.llm.prices import load_prices
from kinmo_annotate.describe.llm.prompt import load_prompt
from kinmo_annotate.describe.llm.request import Asked, make_request
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.shards import DatasetError
from kinmo_annotate.settings import Asking, Settings

MODEL = "gpt-4o-mini"
PROMPT = load_prompt()
PRICE = load_prices().of(MODEL)
KEY = "sk-batch-secret-key"
FILES, BATCHES = "/v1/files", "/v1/batches"


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def requests(count, model=MODEL, first=0):
    asked = Asked(model, PROMPT, 2500, {"temperature": 0})
    names = ("length", "differences", "fps", "captions", "keyframes")
    return [
        make_request(f"m{n:04d}", {name: f"{name} of motion {n}." for name in names}, asked)
        for n in range(first, first + count)
    ]


class Dataset:
    """A dataset folder that is annotated by hand, pass by pass, as the pipeline would."""

    def __init__(self, out: Path, url: str, wanted, most_requests=10, **writer):
        self.out, self.url, self.wanted = out, url, wanted
        self.writer = {"most_requests": most_requests} | writer
        self.got, self.open = {}, None
        out.mkdir(parents=True, exist_ok=True)

    def answers(self) -> Answers:
        if self.open is None:
            self.open = open_answers(self.out, self.out / "cache")
        return self.open

    def close(self):
        if self.open is not None:
            self.open.close()
            self.open = None

    def look(self, plan=None, budget=None, retry_failures=False):
        """One pass over all motions, then submission."""
        state = batches.begin(self.out, self.url, plan, retry_failures=retry_failures)
        writer = ChunkWriter(state, PRICE, **self.writer)
        oracle = batches.BatchOracle(self.answers(), state, PROMPT, PRICE, budget_usd=budget, writer=writer)
        self.got = asyncio.run(ask_all(oracle, self.wanted))
        try:
            return batches.submit_wanted(state, oracle, self.url)
        finally:
            self.close()

    def round(self):
        """Refresh, collect, submit."""
        state = batches.open_state(self.out)
        api = quick(self.url)
        try:
            batches.refresh(state, api)
            report = batches.collect(
                state, api, self.answers, PROMPT, PRICE,
                new_writer=lambda s, p, **limits: ChunkWriter(s, p, **self.writer | limits),
            )  # fmt: skip
            if not state.paused:
                batches.submit(state, api, held=lambda chunk: bool(chunk.past) and not report.batches)
        finally:
            api.close()
            self.close()
        return report

    def finish(self, most_rounds=12):
        """Submit, and collect until nothing is outstanding."""
        total = batches.Report()
        self.look({})
        for _ in range(most_rounds):
            if not self.state().goes_on:
                self.look()
                if not self.state().goes_on:
                    return total
            total.add(self.round())
        raise AssertionError(f"not finished after {most_rounds} rounds")

    def state(self):
        return batches.load_state(self.out)

    def spent(self):
        self.close()
        answers = self.answers()
        self.close()
        return answers.spent_usd

    def texts(self):
        return {name: getattr(got, "text", got) for name, got in self.got.items()}


async def ask_all(oracle, wanted):
    got = {}
    for request in wanted:
        try:
            got[request.motion_id] = await oracle.ask(request)
        except Unanswered:
            got[request.motion_id] = None
        except MotionError as error:
            got[request.motion_id] = (error.reason, error.remedy)
    return got


def quick(url):
    """An API that does not wait between attempts."""
    return Api(url, pause=lambda seconds: None)


@pytest.fixture
def quick_batches(endpoint):
    """An endpoint whose batches end at once."""

    def start(**options):
        timing = {"run_s": 0.0, "cancel_s": 0.0}
        return endpoint(batch=timing | options.pop("batch", {}), **options)

    return start


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.setattr(Api, "wait_a_little", lambda self, attempt, advised_s=0.0: None)
    made = []

    def build(url, count=25, name="dataset", **limits):
        made.append(Dataset(tmp_path / name, url, requests(count), **limits))
        return made[-1]

    yield build
    for one in made:
        one.close()


# ---------------------------------------------------------------- the straight way


def test_every_request_is_answered_once_at_the_batch_price(quick_batches, make):
    one = quick_batches()
    data = make(one.url)
    submission = data.look({})
    assert (submission.requests, submission.batches, submission.outstanding) == (25, 3, 25)
    assert set(data.got.values()) == {None}
    report = data.round()
    assert (report.batches, report.answered, report.again) == (3, 25, 0)
    assert data.look().requests == 0
    answers = list(data.got.values())
    assert [a.motion_id for a in answers] == [r.motion_id for r in data.wanted]
    expected = [PRICE.cost(a.input_tokens, a.cached_tokens, a.output_tokens, batch=True) for a in answers]
    assert [a.cost_usd for a in answers] == pytest.approx(expected)
    assert data.spent() == pytest.approx(sum(expected))
    assert set(one.stats()["answered"].values()) == {1}
    assert [path.name for path in (data.out / "batches").iterdir()] == ["state.json"]


def test_a_second_run_submits_only_what_is_in_no_batch(quick_batches, make):
    data = make(quick_batches().url, count=5)
    data.look({})
    data.wanted = requests(8)
    assert data.look({}).requests == 3
    assert data.look({}).requests == 0
    assert data.state().outstanding == 8


@pytest.mark.parametrize(("limits", "sizes"), [({"most_requests": 4}, [4, 4, 2]), ({}, [5, 5])])
def test_files_are_cut_by_requests_and_by_bytes(tmp_path, limits, sizes):
    wanted = requests(10)
    state = batches.open_state(tmp_path)
    line = len(json.dumps(wanted[0].body)) + 200
    writer = ChunkWriter(state, PRICE, **(limits or {"most_bytes": 5 * line}))
    for request in wanted:
        writer.add(request.key, request.motion_id, request.prompt_version, request.body)
    chunks = writer.finish()
    assert [chunk.requests for chunk in chunks] == sizes
    keys = []
    for chunk in chunks:
        path = requests_path(state.folder, chunk.tag)
        assert limits or path.stat().st_size <= 5 * line
        lines = [json.loads(text) for text in path.read_text().splitlines()]
        assert {(one["method"], one["url"]) for one in lines} == {("POST", "/v1/chat/completions")}
        keys += [one["custom_id"] for one in lines]
        assert set(json.loads(keys_path(state.folder, chunk.tag).read_text())) == set(keys[-len(lines) :])
    assert keys == [request.key for request in wanted]


def test_a_chunk_holds_one_model(tmp_path):
    state = batches.open_state(tmp_path)
    writer = ChunkWriter(state, None)
    mixed = [one for pair in zip(requests(3), requests(3, "other"), strict=True) for one in pair]
    for request in mixed:
        writer.add(request.key, request.motion_id, "", request.body)
    assert sorted((chunk.model, chunk.requests) for chunk in writer.finish()) == [(MODEL, 3), ("other", 3)]


# ---------------------------------------------------------------- what goes wrong in a batch


def test_an_expired_batch_is_submitted_again_by_itself(quick_batches, make):
    one = quick_batches(batch={"expire": [2]})
    data = make(one.url)
    data.look({})
    report = data.round()
    assert (report.answered, report.again) == (15, 10)
    assert [chunk.requests for chunk in data.state().chunks] == [10, 10, 5, 10]
    assert data.round().answered == 10
    data.look()
    assert None not in data.got.values()
    assert set(one.stats()["answered"].values()) == {1}


def test_faults_of_lines_end_as_answers_or_as_failures_with_reasons(quick_batches, make):
    faults = {"refusal": 0.15, "error_500": 0.1, "rate_limit": 0.1, "length": 0.1, "no_choices": 0.05}
    script = [{"containing": "motion 3.", "fault": "context_length"}]
    script += [{"containing": "motion 4.", "fault": "missing_field"}]
    one = quick_batches(batch={"faults": faults, "expire_share": 0.1}, script=script)
    data = make(one.url, count=60)
    report = data.finish(20)
    texts = data.texts()
    failed = {name: got for name, got in texts.items() if isinstance(got, tuple)}
    assert "context_length_exceeded" in failed["m0003"][0]
    assert failed["m0004"][0].startswith("the model's answer cannot be used: field ")
    assert "--retry-failures" in failed["m0004"][1]
    assert report.given_up == len(failed)
    assert report.answered == 60 - len(failed)
    assert one.stats()["answered_again"] == {}
    # What an unusable first answer cost is in the cost of the motion.
    archive = list(read_archive(data.out / "answers"))
    paid = sum(record["paid_usd"] for record in archive)
    assert data.spent() == pytest.approx(paid)
    by_motion = sum(got.cost_usd for got in data.got.values() if not isinstance(got, tuple))
    lost = sum(r["paid_usd"] for r in archive if r["motion_id"] in failed)
    assert by_motion + lost == pytest.approx(paid)


def test_a_request_is_not_tried_for_ever(quick_batches, make):
    one = quick_batches(script=[{"containing": "motion 1.", "fault": "error_500"}])
    data = make(one.url, count=3)
    data.finish()
    assert data.got["m0001"][0].endswith(", 5 times")
    assert len(data.state().chunks) == 5
    one.control(script=[])
    assert data.look({}, retry_failures=True).requests == 1
    assert data.round().answered == 1


def test_a_value_that_the_model_does_not_take_is_left_out(quick_batches, make):
    data = make(quick_batches(refuse_parameters=["temperature"]).url, count=4)
    data.finish()
    assert all(got.text for got in data.got.values())
    assert data.state().left_out == ["temperature"]


def test_out_of_money_in_a_batch_stops_and_keeps_what_was_answered(quick_batches, make):
    one = quick_batches(script=[{"containing": "motion 2.", "fault": "quota", "times": 1}])
    data = make(one.url, count=5)
    data.look({})
    report = data.round()
    assert "insufficient_quota" in report.stop[0]
    assert (report.answered, report.dropped, data.state().goes_on) == (4, 1, False)
    assert data.look().paused == 1  # the pass after a collection submits nothing
    assert data.look({}).requests == 1  # the user's next run does
    assert data.round().answered == 1


def test_lines_that_nobody_asked_for_twice_told_missing_or_torn(quick_batches, make, monkeypatch):
    one = quick_batches()
    data = make(one.url, count=6)
    data.look({})
    download = Api.download

    def spoilt(self, file_id, path):
        download(self, file_id, path)
        lines = path.read_bytes().splitlines(keepends=True)
        strange = json.loads(lines[0]) | {"custom_id": "f" * 32}
        torn = lines[-1][: len(lines[-1]) // 2]
        noise = [
            b"\xff\xfe garbage\n",
            b"[1, 2]\n",
            b"\n",
            b'{"custom_id": 7}\n',
            json.dumps(strange).encode(),
        ]
        path.write_bytes(b"".join([lines[0], *lines[:-1], *noise, b"\n", torn]))

    monkeypatch.setattr(Api, "download", spoilt)
    report = data.round()
    assert (report.answered, report.missing, report.again) == (5, 1, 1)
    assert (report.doubled, report.unknown, report.garbage) == (1, 1, 4)
    monkeypatch.setattr(Api, "download", download)
    assert data.round().answered == 1
    assert data.spent() == pytest.approx(sum(r["paid_usd"] for r in read_archive(data.out / "answers")))


def test_a_file_that_is_gone_is_not_asked_again_before_its_time(quick_batches, make, monkeypatch):
    one = quick_batches()
    data = make(one.url, count=3)
    data.look({})
    state = batches.open_state(data.out)
    batches.refresh(state, quick(data.url))
    state.chunks[0].output_file_id = "file-gone"
    state.save()
    with pytest.raises(BatchError, match="same project"):
        data.round()
    later = time.time() + 31 * 86400
    monkeypatch.setattr(time, "time", lambda: later)
    assert data.round().again == 3
    assert data.round().answered == 3


def test_a_batch_that_fails_in_validation_shows_why_and_is_not_repeated(quick_batches, make):
    one = quick_batches(batch={"fail": {"1": "model_not_found"}})
    data = make(one.url, count=3)
    data.look({})
    report = data.round()
    assert "model_not_found" in next(iter(report.failed.values()))[0]
    assert not data.state().goes_on
    assert data.look().requests == 0
    assert data.look({}).requests == 3
    assert data.round().answered == 3


def test_an_account_with_little_room_gets_smaller_batches(quick_batches, make):
    data = make(quick_batches().url, count=20, most_requests=20)
    data.look({})
    data.round()
    size = sum(len(json.dumps(request.body)) for request in requests(1)) / 4
    limited = quick_batches(batch={"enqueued_tokens": int(6.5 * size)})
    data = make(limited.url, count=20, name="limited", most_requests=20)
    report = data.finish(30)
    assert report.cut >= 1
    assert all(got.text for got in data.got.values())
    assert limited.stats()["answered_again"] == {}


# ---------------------------------------------------------------- what goes wrong at submission


def test_a_cut_connection_makes_no_second_batch(quick_batches, make):
    script = [{"path": path, "method": "POST", "fault": "cut", "at": 1} for path in (FILES, BATCHES)]
    data = make(quick_batches(script=script).url, count=5)
    assert data.look({}).batches == 1
    api = quick(data.url)
    assert len(list(api._listed("/batches", {}))) == 1
    assert len(list(api._listed("/files", {"purpose": "batch"}))) == 1


def test_a_server_error_is_asked_again(quick_batches, make):
    script = [
        {"path": path, "method": "POST", "fault": "error_503", "at": [1, 2]} for path in (FILES, BATCHES)
    ]
    data = make(quick_batches(script=script).url, count=5)
    assert data.look({}).batches == 1
    assert data.round().answered == 5


@pytest.mark.parametrize(
    ("fault", "said"),
    [("quota", "credit"), ("unauthorized", "OPENAI_API_KEY"), ("rate_limit_bare", "in a while")],
)
def test_a_refusal_keeps_what_was_submitted(quick_batches, make, fault, said):
    one = quick_batches(script=[{"path": BATCHES, "method": "POST", "fault": fault, "after": 1}])
    data = make(one.url)
    with pytest.raises(BatchError, match=said):
        data.look({})
    steps = [chunk.step for chunk in data.state().chunks]
    assert steps == ["submitted", "uploaded", "written"]
    one.control(script=[])
    again = data.look({})
    assert (again.requests, again.batches) == (0, 2)
    assert data.round().answered == 25


def test_no_key_and_no_address_are_told(make, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    data = make("", count=1)
    data.url = None
    with pytest.raises(MotionError, match="OPENAI_API_KEY"):
        data.look({})
    assert data.state().outstanding == 1


def test_an_endpoint_without_batches_says_so(endpoint, make):
    data = make(endpoint().url.removesuffix("/v1"), count=1)
    with pytest.raises(BatchError, match="base-url"):
        data.look({})


def test_the_budget_bounds_what_is_submitted(quick_batches, make):
    data = make(quick_batches().url, count=20)
    data.look({})
    each = data.state().expected_usd / 20
    small = make(data.url, count=20, name="small")
    submission = small.look({}, budget=7.5 * each)
    assert (submission.requests, submission.over_budget) == (7, 13)


# ---------------------------------------------------------------- cancelling


def test_cancelling_keeps_what_was_answered_and_submits_nothing_new(quick_batches, make):
    one = quick_batches(batch={"run_s": 60.0})
    data = make(one.url)
    data.look({})
    state = batches.open_state(data.out)
    assert batches.cancel(state, quick(data.url)) == 3
    report = data.round()
    assert report.dropped + report.answered == 25
    assert (report.again, data.state().goes_on) == (0, False)
    assert data.look().requests == 0
    one.control(batch={"run_s": 0.0})
    assert data.look({}).requests == report.dropped
    assert data.round().answered == report.dropped


def test_what_is_not_submitted_is_dropped(quick_batches, make):
    one = quick_batches(script=[{"path": BATCHES, "method": "POST", "fault": "quota"}])
    data = make(one.url, count=3)
    with pytest.raises(BatchError):
        data.look({})
    assert batches.cancel(batches.open_state(data.out), quick(data.url)) == 0
    assert data.state().outstanding == 0


def test_a_batch_that_the_endpoint_does_not_know_can_be_given_up(quick_batches, make):
    data = make(quick_batches().url, count=3)
    data.look({})
    data.url = quick_batches().url
    with pytest.raises(BatchError, match="batch cancel"):
        data.round()
    batches.cancel(batches.open_state(data.out), quick(data.url))
    assert data.look({}).requests == 3


# ---------------------------------------------------------------- the state


def test_a_state_of_another_version_or_damaged_is_refused(tmp_path):
    state = batches.open_state(tmp_path)
    state.save()
    path = tmp_path / "batches/state.json"
    content = json.loads(path.read_text())
    for spoilt, said in (
        (json.dumps(content | {"version": 99}), "Upgrade"),
        ("{", "damaged"),
        (json.dumps(content | {"chunks": [{"tag": "../../x"}]}), "damaged"),
        (json.dumps([]), "damaged"),
    ):
        path.write_text(spoilt)
        with pytest.raises(DatasetError, match=said):
            batches.load_state(tmp_path)


def test_batches_under_way_at_another_endpoint_are_not_mixed(quick_batches, make):
    data = make(quick_batches().url, count=2)
    data.look({})
    data.url = "http://127.0.0.1:9/v1"
    with pytest.raises(DatasetError, match="Collect or cancel"):
        data.look({})


@pytest.mark.parametrize("address", ["http://", "http://user:pass-word@"])
def test_neither_key_nor_password_is_kept(quick_batches, make, address):
    script = [{"path": BATCHES, "method": "POST", "fault": "key_echo", "at": 1}]
    one = quick_batches(script=script, batch={"faults": {"refusal": 0.3}})
    data = make(one.url.replace("http://", address), count=9)
    with pytest.raises(BatchError) as caught:
        data.look({})
    assert KEY not in str(caught.value)
    assert ("[key]" in str(caught.value)) == (address == "http://")
    data.finish()
    for path in data.out.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert KEY.encode() not in content, path
        assert b"pass-word" not in content, path
    records = json.dumps(list(read_archive(data.out / "answers")))
    assert KEY not in records
    assert public_address("https://a:b@host:8/v1/?k=s") == "https://host:8/v1"


def test_a_plan_comes_back_as_it_was(tmp_path):
    asking = Asking(model="m", base_url="http://u:p@h/v1", prompt=tmp_path / "p.md", options=(("seed", 1),))
    settings = Settings(describer="openai", cache_dir=tmp_path / "c", limit=3, asking=asking)
    plan = json.loads(json.dumps(batches.plan_of(tmp_path / "src", "bvh", None, settings)))
    assert "u:p" not in json.dumps(plan)
    assert batches.settings_of(plan, tmp_path, "http://u:p@h/v1") == settings
    with pytest.raises(DatasetError, match="--batch"):
        batches.settings_of({}, tmp_path)


# ---------------------------------------------------------------- killed at every step


class Killed(BaseException):
    """What SIGKILL would do: nothing of ours runs after it."""


STEPS = (
    (Api, "upload"), (Api, "create"), (Api, "retrieve"), (Api, "download"), (Answers, "put"),
    (Answers, "put_unusable"), (batches.State, "save"), (ChunkWriter, "finish"),
)  # fmt: skip


def kill_at(monkeypatch, moment):
    """Let the program be killed before or after one of its steps; gives a count of the moments passed."""
    passed = [0]

    def count():
        passed[0] += 1
        if passed[0] == moment:
            raise Killed

    def killing(real):
        def step(self, *given, **named):
            count()
            result = real(self, *given, **named)
            count()
            return result

        return step

    for owner, name in STEPS:
        monkeypatch.setattr(owner, name, killing(getattr(owner, name)))
    return passed


def restarted(data, monkeypatch, moment):
    """Annotate, killed at a moment; then annotate to the end with a program started anew."""
    with monkeypatch.context() as patch:
        passed = kill_at(patch, moment)
        try:
            data.finish()
        except Killed:
            data.close()
    data.finish()
    return passed[0]


SCENARIO = {"batch": {"expire_share": 0.1, "faults": {"error_500": 0.08, "refusal": 0.25}}, "seed": 7}


@pytest.mark.parametrize("trials", [10, pytest.param(None, marks=pytest.mark.slow)])
def test_killed_at_any_step_nothing_is_lost_and_nothing_paid_twice(quick_batches, make, monkeypatch, trials):
    one = quick_batches(**SCENARIO)
    data = make(one.url, count=12, most_requests=7, name="whole")
    moments = restarted(data, monkeypatch, math.inf)
    texts, spent = data.texts(), data.spent()
    assert sum(isinstance(text, str) for text in texts.values()) >= 9
    assert moments > 60
    assert {"ok", "refusal", "error_500"} <= set(one.stats()["outcomes"])
    for moment in range(1, moments + 1, 1 if trials is None else moments // trials):
        one.reset()
        data = make(one.url, count=12, most_requests=7, name=f"killed-{moment}")
        restarted(data, monkeypatch, moment)
        assert data.texts() == texts, moment
        assert one.stats()["answered_again"] == {}, moment
        records = list(read_archive(data.out / "answers"))
        executed = one.stats()["outcomes"]
        assert len(records) == executed["ok"] + executed["refusal"], moment
        assert data.spent() == pytest.approx(spent), moment
