"""What a run would take: its own requests, totals that hold, money by every way of paying."""

from __future__ import annotations

import datetime as dt
import json
import urllib.request

import numpy as np
import pytest

from kinmo_annotate.asking import terms_of
from kinmo_annotate.describe.kinematic import describe_motion
from kinmo_annotate.describe.llm.answers import Answer
from kinmo_annotate.describe.llm.prices import load_prices
from kinmo_annotate.describe.llm.tokens import RequestTokens, open_counter
from kinmo_annotate.estimate import _Scale, compose, estimate, estimate_run, spread
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.settings import Asking, Settings
from kinmo_annotate.sources import open_source

DAY = dt.date(2026, 11, 22)
MINI = Asking(model="gpt-4o-mini")


class Fixed:
    """Counts 3,000 static tokens, 100 for the schema, a token per letter of the motion, 10 per answer."""

    way, exact = "fixed", True

    def text(self, text, part):
        return 10.0

    def request(self, body):
        return RequestTokens(3000.0, 100.0, float(len(body["messages"][1]["content"])))


@pytest.fixture
def settings(tmp_path, quick_encoder):
    return Settings(describer="openai", encoder="sentence", workers=1, cache_dir=tmp_path / "c", asking=MINI)


@pytest.fixture
def look(settings):
    """Estimate a source with the `Fixed` counter."""

    def run(source, counter=None, model="gpt-4o-mini", prices=None, **options):
        asked = terms_of(Asking(model=model)).asked
        return estimate(
            source, settings, asked, prices or load_prices(), counter or Fixed(), **{"today": DAY, **options}
        )

    return run


class TestSpread:
    @pytest.mark.parametrize(("count", "sample"), [(10, 0), (10, 10), (10, 11), (0, 5), (1, 1)])
    def test_all(self, count, sample):
        assert spread(count, sample) == list(range(count))

    @pytest.mark.parametrize(("count", "sample"), [(10, 3), (2868, 200), (100, 99), (7, 1)])
    def test_even_and_without_repeats(self, count, sample):
        places = spread(count, sample)
        assert len(set(places)) == sample
        assert 0 <= places[0] <= places[-1] < count
        assert np.ptp(np.diff(places)) <= 1 if sample > 1 else places == [count // 2]


class TestScale:
    def test_the_interval_holds_the_truth_as_often_as_it_says(self):
        random = np.random.default_rng(0)
        every = random.gamma(2.0, 400.0, size=3000)
        held = 0
        for _ in range(400):
            values = random.choice(every, 200, replace=False)
            amount = _Scale(3000, 200, 3000).amount(values)
            held += amount.low <= every.sum() <= amount.high
        assert 0.92 <= held / 400 <= 0.98

    def test_a_look_at_all_leaves_nothing_open(self):
        amount = _Scale(5, 5, 5).amount(np.array([1.0, 2, 3, 4, 5]))
        assert amount.value == amount.low == amount.high == pytest.approx(15)

    def test_another_dataset_is_never_known_exactly(self):
        amount = _Scale(50, 5, 5).amount(np.array([1.0, 2, 3, 4, 5]))
        assert amount.low < amount.value < amount.high
        assert amount.value == pytest.approx(150)

    def test_one_motion_gives_no_interval(self):
        amount = _Scale(10, 1, 10).amount(np.array([7.0]))
        assert (amount.value, amount.low, amount.high) == (70, None, None)

    def test_a_motion_that_cannot_be_used_takes_nothing(self):
        assert _Scale(100, 4, 100).amount(np.array([4.0, 4.0])).value == pytest.approx(200)


class TestEstimate:
    def test_requests_are_those_of_the_run(self, make_folder, settings):
        source = open_source(make_folder(3))
        terms = terms_of(MINI)
        found = list(compose(source, source.entries(), settings, terms.asked))
        for one, entry in zip(found, source.entries(), strict=True):
            motion = source.load(entry)
            assert one.request.motion_id == entry.motion_id
            assert one.request.body["messages"][0]["content"] == terms.prompt.system
            assert f"{motion.duration_s:.1f} s" in one.request.body["messages"][1]["content"]
            assert json.loads(one.answer) == describe_motion(motion, seed=0)

    def test_tokens_and_money_add_up(self, make_folder, look, settings):
        source = open_source(make_folder(6))
        found = look(source, sample=0)
        bodies = compose(source, source.entries(), settings, terms_of(MINI).asked)
        letters = sum(len(one.request.body["messages"][1]["content"]) for one in bodies)
        assert (found.motions, found.listed, found.sampled, found.requests) == (6, 6, 6, 6)
        assert found.motion_tokens.value == pytest.approx(letters)
        assert found.input_tokens.value == pytest.approx(letters + 6 * 3100)
        assert found.input_tokens.low == found.input_tokens.high
        assert found.output_tokens.value == pytest.approx(60)
        assert (found.static_tokens, found.cached_tokens) == (3100, 3072)
        sent = (letters + 6 * 3100) * 0.15 / 1e6
        standard = sent + 60 * 0.6 / 1e6
        assert found.costs["standard"].value == pytest.approx(standard)
        assert found.costs["batch"].value == pytest.approx(standard / 2)
        assert found.costs["cached"].value == pytest.approx(standard - 6 * 3072 * 0.075 / 1e6)
        assert found.costs["batch_cached"].value == pytest.approx(
            standard / 2
        )  # 4o caches nothing in batches

    def test_caching_and_batch_go_together_where_they_do(self, make_folder, look):
        found = look(open_source(make_folder(3)), model="gpt-5-nano")
        assert found.costs["batch_cached"].value == pytest.approx(found.costs["cached"].value / 2)

    def test_writing_into_the_cache_is_billed_where_it_is(self, make_folder, look):
        found = look(open_source(make_folder(3)), model="gpt-6-luna")
        extra = (found.input_tokens.value - 3 * 3072) * 0.125 + 3 * 3072 * 0.01 + 30 * 0.5
        assert found.costs["cached"].value == pytest.approx(extra / 1e6)
        assert "writing" in " ".join(found.notes)

    def test_scaled_to_another_dataset(self, make_folder, look):
        source = open_source(make_folder(6))
        small, large = look(source, sample=0), look(source, sample=0, motions=14616)
        assert (large.motions, large.requests, large.listed) == (14616, 14616, 6)
        assert large.output_tokens.value == pytest.approx(small.output_tokens.value / 6 * 14616)
        assert large.input_tokens.low < large.input_tokens.value
        assert any("14616" in note for note in large.notes)

    def test_answers_at_hand_cost_nothing(self, make_folder, look, settings):
        source = open_source(make_folder(4))
        keys = [one.request.key for one in compose(source, source.entries(), settings, terms_of(MINI).asked)]
        found = look(source, answered=set(keys[:3]).__contains__)
        assert (found.answered, found.requests) == (3, 1)
        assert found.output_tokens.value == pytest.approx(10)
        nothing = look(source, answered=set(keys).__contains__)
        assert nothing.requests == nothing.costs["standard"].value == 0

    def test_an_unknown_model_has_no_cost_rather_than_none(self, make_folder, look):
        found = look(open_source(make_folder(3)), model="SmolLM2")
        assert found.costs == {}
        assert found.prices_as_of is None
        assert "not known" in " ".join(found.warnings)

    def test_motions_that_cannot_be_used_are_counted_as_such(self, make_folder, look):
        folder = make_folder(4)
        (folder / "new_joints" / "000001.npy").write_bytes(b"no numbers")
        found = look(open_source(folder))
        assert (found.unusable, found.requests) == (1, 3)

    def test_nothing_usable_says_what_to_do(self, make_folder, look):
        folder = make_folder(2)
        for file in (folder / "new_joints").iterdir():
            file.write_bytes(b"no numbers")
        with pytest.raises(MotionError, match="--limit"):
            look(open_source(folder))

    def test_a_limit_counts(self, make_folder, look, settings):
        limited = Settings(**{**{k: getattr(settings, k) for k in ("encoder", "cache_dir")}, "limit": 2})
        found = estimate(
            open_source(make_folder(5)), limited, terms_of(MINI).asked, load_prices(), Fixed(), today=DAY
        )
        assert (found.motions, found.sampled) == (2, 2)

    def test_a_model_that_goes_is_warned_of(self, make_folder, look):
        assert "2027-01-14" in look(open_source(make_folder(1))).warnings[0]

    def test_old_prices_are_warned_of(self, make_folder, look):
        found = look(open_source(make_folder(1)), model="gpt-6-luna", today=dt.date(2028, 1, 1))
        assert "--prices" in found.warnings[0]

    def test_a_request_too_long_for_the_model_is_warned_of(self, make_folder, look, tmp_path):
        (tmp_path / "p.yaml").write_text("models: {gpt-6-luna: {context: 3000}}")
        found = look(open_source(make_folder(1)), model="gpt-6-luna", prices=load_prices(tmp_path / "p.yaml"))
        assert "do not fit" in found.warnings[0]


class TestProbe:
    def test_counts_are_corrected_by_what_was_reported(self, make_folder, look):
        source, asked = open_source(make_folder(5)), []

        def sent(request):
            return 3100 + len(request.body["messages"][1]["content"])

        def probe(requests):
            asked.extend(requests)
            answers = [Answer(one.key, "", "", "", "", 2 * sent(one), 40) for one in requests]
            return [*answers[:-1], None]

        plain, found = look(source), look(source, probe=probe, probes=3)
        assert len(asked) == 3
        assert found.probed == 2
        assert found.input_tokens.value == pytest.approx(2 * plain.input_tokens.value)
        assert found.output_tokens.value == pytest.approx(4 * plain.output_tokens.value)

    def test_without_answers_nothing_is_corrected(self, make_folder, look):
        source = open_source(make_folder(3))
        found = look(source, probe=lambda requests: [None] * len(requests), probes=2)
        assert (found.probed, found.input_tokens) == (0, look(source).input_tokens)

    def test_it_asks_for_real_and_keeps_the_answers(self, make_folder, settings, endpoint, monkeypatch):
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        server = endpoint()
        settings = Settings(
            encoder="sentence", cache_dir=settings.cache_dir,
            asking=Asking(model="gpt-4o-mini", base_url=server.url),
        )  # fmt: skip
        source = open_source(make_folder(4))
        found = estimate_run(source, settings, probes=2)
        assert found.probed == 2
        again = estimate_run(source, settings)
        assert (again.answered, again.requests, again.probed) == (2, 2, 0)
        assert len(server.records()) == 2

    def test_an_endpoint_that_refuses_says_why(self, make_folder, settings, endpoint, monkeypatch):
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        server = endpoint(faults={"quota": 1.0})
        asking = Asking(model="gpt-4o-mini", base_url=server.url)
        settings = Settings(encoder="sentence", cache_dir=settings.cache_dir, asking=asking)
        with pytest.raises(MotionError, match="--probe") as caught:
            estimate_run(open_source(make_folder(2)), settings, probes=1)
        assert "quota" in caught.value.reason
        assert caught.value.remedy


class TestRun:
    def test_it_needs_no_key_and_no_network(self, make_folder, settings, monkeypatch):
        def connect(*_: object, **__: object):
            raise AssertionError("reaches for the network")

        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        monkeypatch.setattr("socket.socket.connect", connect)
        found = estimate_run(open_source(make_folder(2)), settings)
        assert found.requests == 2
        assert found.costs["standard"].value > 0

    def test_it_leaves_the_answers_alone(self, make_folder, settings, tmp_path):
        estimate_run(open_source(make_folder(1)), settings)
        assert not list(tmp_path.rglob("*.jsonl.zst"))

    def test_prices_of_another_endpoint_are_said_to_be_others(self, make_folder, settings):
        asking = Asking(model="gpt-4o-mini", base_url="http://127.0.0.1:9/v1")
        settings = Settings(encoder="sentence", cache_dir=settings.cache_dir, asking=asking)
        notes = estimate_run(open_source(make_folder(1)), settings).notes
        assert any("127.0.0.1:9" in note and "not of" in note for note in notes)


@pytest.mark.slow
class TestRealMotions:
    @pytest.mark.usefixtures("quick_encoder")
    def test_a_local_model_counts_as_estimated(self, shared_data, tmp_path, local_llm):
        """Within 10 % is asked for; with the endpoint's tokenizer it is exact, without it near."""
        source = open_source(shared_data / "mocap")
        entries = [source.entries()[place] for place in spread(len(source.entries()), 5)]
        settings = Settings(encoder="sentence", cache_dir=tmp_path)
        asked = terms_of(Asking(model=local_llm.model)).asked
        exact, _ = open_counter(local_llm.model, load_prices(), base_url=local_llm.url)
        near, _ = open_counter(local_llm.model, load_prices())
        assert exact.exact
        counted, guessed, told = [], [], []
        for one in compose(source, entries, settings, asked):
            counted.append(exact.request(one.request.body).total)
            guessed.append(near.request(one.request.body).total)
            told.append(reported(local_llm.url, one.request.body))
        assert len(told) == 5
        assert max(abs(np.array(counted) / told - 1)) < 0.005
        assert abs(sum(guessed) / sum(told) - 1) < 0.1

    def test_pieces_stand_for_tokens_of_other_motions(self, shared_data, tmp_path):
        """An estimate from few motions holds what all of others take."""
        source = open_source(shared_data / "mocap")
        settings = Settings(encoder="sentence", cache_dir=tmp_path, asking=MINI)
        few = estimate_run(source, settings, sample=100)
        more = estimate_run(source, settings, sample=400)
        assert few.input_tokens.low < more.input_tokens.value < few.input_tokens.high
        assert few.output_tokens.low < more.output_tokens.value < few.output_tokens.high


def reported(url: str, body: dict) -> int:
    """Ask for one token of an answer, and give the tokens of the request as the endpoint counts them."""
    text = json.dumps(body | {"max_completion_tokens": 1}).encode()
    request = urllib.request.Request(f"{url}/chat/completions", text, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as response:
        return json.loads(response.read())["usage"]["prompt_tokens"]
