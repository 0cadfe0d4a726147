"""Prices: what is in our file, what a user's may change, and what is said of models that go."""

from __future__ import annotations

import datetime as dt

import pytest
from pydantic import ValidationError

from kinmo_annotate.describe.llm.prices import Caching, ModelPrice, load_prices
from kinmo_annotate.schema.records import MotionError

DAY = dt.date(2026, 11, 22)
PRICE = ModelPrice(
    name="m", input=2.0, cached_input=0.5, output=8.0, batch=0.5, source="a page", as_of=DAY, shutdown=None
)


@pytest.fixture
def write(tmp_path):
    def text(content: str):
        path = tmp_path / "prices.yaml"
        path.write_text(content, "utf-8")
        return path

    return text


class TestOurs:
    def test_it_covers_the_models_that_people_name(self):
        prices = load_prices()
        for name in ("gpt-4o-mini", "gpt-4o", "gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano", "gpt-5",
                     "gpt-5-mini", "gpt-5-nano", "gpt-6-luna"):  # fmt: skip
            assert prices.of(name) is not None, name

    def test_every_model_costs_something_and_has_a_tokenizer(self):
        prices = load_prices()
        for name, entry in prices.models.items():
            assert 0 < entry.input < entry.output, name
            assert entry.cached_input is None or entry.cached_input < entry.input, name
            assert entry.tokenizer in prices.tokenizers, name
            assert entry.as_of == prices.as_of, name

    def test_what_takes_the_place_of_a_model_goes_later(self):
        prices = load_prices()
        for name, entry in prices.models.items():
            following = prices.of(entry.substitute) if entry.substitute else None
            if following and following.shutdown and entry.shutdown:
                assert following.shutdown > entry.shutdown, name

    def test_models_that_reason_by_default_are_asked_not_to(self):
        for name, entry in load_prices().models.items():
            if name.startswith(("gpt-5", "gpt-6")):
                assert entry.options["reasoning_effort"] in ("minimal", "none"), name
                assert "temperature" in entry.refuses, name
            else:
                assert not entry.options, name


class TestOf:
    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            ("gpt-4o-mini", "gpt-4o-mini"),
            ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
            ("gpt-4o-2024-11-20", "gpt-4o"),
            ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ],
    )
    def test_a_snapshot_is_found_under_its_family(self, asked, found):
        assert load_prices().of(asked).name == found

    @pytest.mark.parametrize(
        "name",
        ["gpt-4o-mini-audio", "ft:gpt-4o-mini:me", "openai/gpt-4o-mini", "SmolLM2", "", "gpt-4o-mini-2024"],
    )
    def test_nothing_else_is_guessed(self, name):
        assert load_prices().of(name) is None


class TestCost:
    def test_cached_tokens_are_part_of_the_input(self):
        assert PRICE.cost(1_000_000, 400_000, 100_000) == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 0.1 * 8)

    def test_a_batch_takes_its_part_of_all_of_it(self):
        assert PRICE.cost(1000, 400, 100, batch=True) == pytest.approx(PRICE.cost(1000, 400, 100) / 2)

    def test_a_batch_without_caching_pays_for_cached_input_in_full(self):
        plain = PRICE.model_copy(update={"batch_caching": False})
        assert plain.cost(1000, 400, 0, batch=True) == pytest.approx(PRICE.cost(1000, 0, 0, batch=True))
        assert plain.cost(1000, 400, 0) == PRICE.cost(1000, 400, 0)

    def test_without_a_cached_price_all_input_costs_the_same(self):
        plain = PRICE.model_copy(update={"cached_input": None})
        assert plain.cost(1000, 400, 0) == plain.cost(1000, 0, 0)

    def test_writing_into_the_cache_costs_extra_where_it_does(self):
        dear = PRICE.model_copy(update={"cache_write": 2.5})
        assert dear.cost(1e6, 4e5, 0, written_tokens=6e5) == pytest.approx(0.4 * 0.5 + 0.6 * 2.5)
        assert PRICE.cost(1e6, 4e5, 0, written_tokens=6e5) == PRICE.cost(1e6, 4e5, 0)

    def test_nothing_costs_nothing(self):
        assert PRICE.cost(0, 0, 0) == 0


class TestWarning:
    def test_a_model_that_stays_is_not_warned_of(self):
        assert PRICE.warning(DAY) is None

    def test_a_model_that_goes_names_the_day_and_what_to_take(self):
        said = load_prices().of("gpt-4o-mini").warning(DAY)
        assert "2027-01-14" in said
        assert "53 days" in said
        assert "--model gpt-6-luna" in said

    @pytest.mark.parametrize(
        ("days", "words"), [(1, "in 1 day."), (0, "was announced"), (-30, "was announced")]
    )
    def test_the_last_day_and_later(self, days, words):
        going = PRICE.model_copy(update={"shutdown": DAY + dt.timedelta(days)})
        assert words in going.warning(DAY)
        assert "another --model" in going.warning(DAY)


class TestNote:
    def test_old_prices_send_to_the_page(self):
        prices = load_prices()
        assert prices.note(prices.as_of + dt.timedelta(120)) is None
        said = prices.note(prices.as_of + dt.timedelta(121))
        assert "121 days" in said
        assert prices.source in said

    def test_newer_prices_of_one_model_are_not_old(self, write):
        day = load_prices().as_of + dt.timedelta(200)
        prices = load_prices(write(f"as_of: {day}\nmodels: {{gpt-4o-mini: {{input: 9.0}}}}"))
        assert prices.note(day, "gpt-4o-mini") is None
        assert prices.note(day, "gpt-4o")


class TestCaching:
    @pytest.mark.parametrize(
        ("static", "cached"), [(0, 0), (1023, 0), (1024, 1024), (1151.9, 1024), (1152, 1152), (2805, 2688)]
    )
    def test_it_begins_at_1024_and_goes_in_steps_of_128(self, static, cached):
        assert Caching().cached(static) == cached


class TestOverride:
    def test_one_key_replaces_ours_and_the_others_stay(self, write):
        prices = load_prices(write("models:\n  gpt-4o-mini:\n    input: 9.5\n"))
        assert prices.of("gpt-4o-mini").input == 9.5
        assert prices.of("gpt-4o-mini").output == load_prices().of("gpt-4o-mini").output
        assert prices.of("gpt-4o") == load_prices().of("gpt-4o")

    def test_a_model_of_ones_own(self, write):
        text = "as_of: 2026-12-01\nsource: my contract\nmodels: {mine: {input: 1.0, output: 2.0}}"
        mine = load_prices(write(text)).of("mine")
        assert (mine.input, mine.output, mine.cached_input) == (1, 2, None)
        assert (mine.source, mine.as_of) == ("my contract", dt.date(2026, 12, 1))

    def test_a_file_may_bring_nothing_but_a_date(self, write):
        assert load_prices(write("as_of: 2027-01-01")).as_of == dt.date(2027, 1, 1)

    @pytest.mark.parametrize(
        ("text", "named"),
        [
            ("models:\n  m: {input: -1.0, output: 1.0}", "models.m.input"),
            ("models:\n  m: {input: .nan, output: 1.0}", "models.m.input"),
            ("models:\n  m: {input: yes, output: 1.0}", "models.m.input"),
            ("models:\n  m: {input: '1', output: 1.0}", "models.m.input"),
            ("models:\n  m: {input: 1.0}", "models.m.output"),
            ("models:\n  m: {input: 1.0, output: 1.0, batch: 2.0}", "models.m.batch"),
            ("models:\n  m: {input: 1.0, output: 1.0, ouptut: 1.0}", "models.m.ouptut"),
            ("models:\n  gpt-4o: {shutdown: soon}", "models.gpt-4o.shutdown"),
            ("models: {gpt-4o: 3}", "models"),
            ("models:\n  gpt-4o:\n   - 1\n  x: [", "line"),
            ("models: {gpt-4o: {shutdown: 2027-02-31}}", "2027-01-14"),
            ("- 1", "no keys"),
            ("", "no keys"),
            ("modles: {}", "modles"),
        ],
    )
    def test_a_wrong_file_names_the_place(self, write, text, named):
        path = write(text)
        with pytest.raises(MotionError) as caught:
            load_prices(path)
        assert str(path) == caught.value.where
        assert named in str(caught.value)
        assert caught.value.remedy

    def test_no_code_is_run(self, write, tmp_path):
        with pytest.raises(MotionError):
            load_prices(write(f"models: !!python/object/apply:os.mkdir ['{tmp_path / 'made'}']"))
        assert not (tmp_path / "made").exists()

    def test_a_file_that_is_not_there(self, tmp_path):
        with pytest.raises(MotionError, match="--prices"):
            load_prices(tmp_path / "none.yaml")

    def test_a_file_that_is_no_text(self, tmp_path):
        (tmp_path / "p.yaml").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(MotionError, match="UTF-8"):
            load_prices(tmp_path / "p.yaml")

    def test_entries_do_not_change_under_the_hand(self):
        with pytest.raises(ValidationError):
            PRICE.input = 0.0
