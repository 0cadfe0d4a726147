from hypothesis import given
from hypothesis import strategies as st

from kinmo_annotate.render.paper import length, shortened, wrap


@given(st.text(alphabet="abc wi-MW.", max_size=200), st.integers(60, 400))
def test_lines_fit_and_no_letter_is_lost(text, width):
    lines = wrap(text, width, 16)
    assert all(length(line, 16) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_whole_words_stay_whole():
    assert wrap("one two three four", 90, 16) == ["one two", "three four"]


def test_a_number_stays_with_its_unit():
    assert wrap("rises from 1.2 to 6.4 s, then", 130, 16) == ["rises from 1.2 to", "6.4 s, then"]
    assert wrap("rises from 1.2 to 6.4 steps", 165, 16) == ["rises from 1.2 to 6.4", "steps"]


def test_a_long_title_is_cut_visibly():
    assert shortened("short", 20, 300) == "short"
    cut = shortened("long " * 40, 20, 300)
    assert cut.endswith("...")
    assert length(cut, 20) <= 300
