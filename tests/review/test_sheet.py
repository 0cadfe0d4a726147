"""A round by CSV: out and back without loss, harmless in a spreadsheet, bad rows told by line."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kinmo_annotate.review import sheet as sheets
from kinmo_annotate.review.rounds import ADJUDICATION, Round
from kinmo_annotate.review.sheet import SHEET_COLUMNS, export_sheet, import_sheet
from kinmo_annotate.review.store import Judgement, open_store
from kinmo_annotate.schema import shards
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.shards import DatasetError

FIELDS = ("left_arm", "left_leg__right_leg")
IDS = ("000003", "000000", "000010")
NASTY = (
    *('=HYPERLINK("http://x")', "+1", "-1", "@x", "'=1", "''=1", "＝1"),
    *("'tis", "a\nb", '"quoted", ;x', "<script>"),
)


@pytest.fixture
def store(make_dataset):
    with open_store(make_dataset()) as opened:
        opened.add_round(Round("r1", opened.dataset, IDS, FIELDS))
        yield opened


@pytest.fixture
def sheet(store, tmp_path):
    return export_sheet(store, "r1", "a", tmp_path / "sheet", films=False)


def rows_of(path):
    return list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline="")))


def write_rows(path, rows, separator=",", encoding="utf-8-sig", newline="\r\n"):
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [*rows[0]], delimiter=separator, lineterminator=newline)
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))


def fill(path, verdict="correct", **more):
    rows = [row | {"verdict": verdict} | more for row in rows_of(path)]
    write_rows(path, rows)
    return rows


def test_a_row_a_sentence(store, sheet):
    rows = rows_of(sheet)
    assert sheet.name == "r1-a.csv"
    assert [*rows[0]] == [*SHEET_COLUMNS]
    assert [row["item"] for row in rows[:3]] == ["m01.left_arm", "m01.left_leg__right_leg", "m02.left_arm"]
    assert [row["motion_id"] for row in rows[::2]] == [*IDS]
    assert rows[0]["sentence"] == "The left arm rises and comes down again."
    assert rows[1]["field"] == "left leg and right leg"
    assert rows[0]["caption"] == "a person lifts the left arm [slowly] / stands"


def test_a_film_a_motion(store, tmp_path):
    seen = []
    folder = tmp_path / "films"
    store.add_round(Round("r2", store.dataset, IDS[:2], FIELDS))
    export_sheet(store, "r2", "b", folder, progress=seen.append)
    assert sorted(path.name for path in folder.iterdir()) == ["m01.gif", "m02.gif", "r2-b.csv"]
    assert seen == [1, 1]
    with Image.open(folder / "m01.gif") as film:
        assert film.n_frames > 20


def test_out_and_back(store, sheet):
    rows = rows_of(sheet)
    said = [("wrong", "side", "it is the right arm"), ("Correct ", "", ""), ("UNSURE", "", "?")] * 2
    for row, (verdict, category, note) in zip(rows, said, strict=True):
        row |= {"verdict": verdict, "category": category, "note": note}
    write_rows(sheet, rows)
    imported = import_sheet(store, sheet)
    assert (imported.saved, imported.unchanged, imported.left, imported.problems) == (6, 0, 0, ())
    assert imported.finished
    assert store.finished("r1") == {"a"}
    found = store.current("r1", "a")["000003", "left_arm"]
    assert (found.verdict, found.category, found.note) == ("wrong", "side", "it is the right arm")
    assert found.sentence == "The left arm rises and comes down again."
    again = import_sheet(store, sheet)
    assert (again.saved, again.unchanged, again.problems) == (0, 6, ())
    assert len(store.history("r1", "a")) == 6


@pytest.mark.parametrize("note", NASTY)
def test_no_text_is_a_formula_and_none_is_changed(store, tmp_path, note):
    store.save(Judgement("r1", "a", "000000", "left_arm", "wrong", "wording", note))
    path = export_sheet(store, "r1", "a", tmp_path, films=False)
    cells = [cell for row in rows_of(path) for cell in row.values()]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "＝")) for cell in cells)
    assert import_sheet(store, path).unchanged == 6
    store.save(Judgement("r1", "a", "000000", "left_arm", "wrong", "wording", "other"))
    assert import_sheet(store, path).saved == 1
    assert store.current("r1", "a")["000000", "left_arm"].note == note


@given(st.text("'=+-@|%＝\t\r\n a", max_size=6))
def test_every_text_is_made_safe_and_comes_back(text):
    made = sheets._safe(text)
    assert not made.startswith(tuple("=+-@|%＝\t\r\n"))
    assert sheets._plain(made) == text


def test_half_a_sheet_leaves_the_round_open(store, sheet):
    rows = rows_of(sheet)
    rows[0] |= {"verdict": "correct"}
    write_rows(sheet, rows)
    imported = import_sheet(store, sheet)
    assert (imported.saved, imported.unchanged, imported.left, imported.finished) == (1, 5, 5, False)
    rows[0] |= {"verdict": ""}
    write_rows(sheet, rows)
    assert import_sheet(store, sheet).left == 5  # an empty row withdraws nothing
    fill(sheet)
    assert not import_sheet(store, sheet, finish=False).finished
    assert import_sheet(store, sheet).finished


@pytest.mark.parametrize(
    ("separator", "encoding", "newline"),
    [(";", "utf-8-sig", "\r\n"), ("\t", "utf-8", "\n"), (",", "utf-8", "\r\n")],
)
def test_what_spreadsheets_make_of_it(store, sheet, separator, encoding, newline):
    """Other separators, no mark of byte order, other columns beside, ids without their zeros."""
    rows = [row | {"motion_id": str(int(row["motion_id"])), "mine": "x"} for row in fill(sheet, note="ü")]
    write_rows(sheet, rows[::-1], separator, encoding, newline)
    imported = import_sheet(store, sheet)
    assert (imported.saved, imported.finished, imported.problems) == (6, True, ())
    assert {one.note for one in store.current("r1", "a").values()} == {"ü"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"verdict": "right"}, "its verdict is 'right'"),
        ({"category": "colour"}, "its category is 'colour'"),
        ({"verdict": "correct", "category": "side"}, "judged correct and has an error"),
        ({"item": "m99.left_arm"}, "no such item"),
        ({"item": "../../etc"}, "no such item"),
        ({"item": ""}, "no such item"),
        ({"item": "m02.left_arm"}, "second time"),
        ({"sentence": "Another sentence."}, "not the one in the dataset"),
        ({"note": "x" * 5000}, "note of 5000 letters"),
    ],
)
def test_a_bad_row_is_told_by_its_line_and_the_others_are_saved(store, sheet, change, reason):
    rows = fill(sheet, "wrong", note="two\nlines")
    rows[3] |= change
    write_rows(sheet, rows)
    imported = import_sheet(store, sheet)
    (problem,) = imported.problems
    assert problem.line == 1 + 3 * 2 + 1  # notes of two lines
    assert reason in problem.reason
    assert problem.remedy.endswith(".")
    assert (imported.saved, imported.left, imported.finished) == (5, 1, False)


def test_nothing_is_taken_after_the_end(store, sheet):
    fill(sheet)
    import_sheet(store, sheet)
    fill(sheet, "wrong")
    imported = import_sheet(store, sheet)
    assert imported.saved == 0
    assert all("has finished it" in problem.reason for problem in imported.problems)
    assert len(imported.problems) == 6


# ------------------------------------------------------------ the adjudication


@pytest.fixture
def disputed(store):
    """Judged by both: they differ about two sentences, are both unsure of one, and agree about the rest."""
    said = {"a": "cwcuwc", "b": "cccuww"}
    words = {"c": ("correct", ""), "w": ("wrong", "timing"), "u": ("unsure", "")}
    for name, letters in said.items():
        for item, letter in zip(store.round("r1").items, letters, strict=True):
            note = f"={name} says {letter}"
            store.save(Judgement("r1", name, *item, *words[letter], note, "The left arm rises."))
        store.finish("r1", name)
    items = store.round("r1").items
    return items[1], items[3], items[5]


def test_disagreements_are_settled_on_a_sheet(store, disputed, tmp_path):
    path = export_sheet(store, "r1", ADJUDICATION, tmp_path, films=False)
    assert path.name == "r1-adjudication.csv"
    rows = rows_of(path)
    assert [*rows[0]] == [*SHEET_COLUMNS, "a said", "b said"]
    assert [(row["motion_id"], row["field"].replace(" and ", "__").replace(" ", "_")) for row in rows] == [
        *disputed
    ]
    assert (rows[0]["a said"], rows[0]["b said"]) == ("wrong, timing: =a says w", "correct: =b says c")
    assert {row["verdict"] for row in rows} == {""}
    rows[0] |= {"verdict": "wrong", "category": "side", "note": "look at 1.2 s"}
    write_rows(path, rows)
    imported = import_sheet(store, path)
    assert (imported.saved, imported.left, imported.finished, imported.problems) == (1, 2, False, ())
    final = store.final("r1")
    assert [*final] == [disputed[0]]
    assert (final[disputed[0]].category, final[disputed[0]].note) == ("side", "look at 1.2 s")
    path = export_sheet(store, "r1", ADJUDICATION, tmp_path, films=False)  # what is settled is filled in
    fill(path, "correct", category="")
    imported = import_sheet(store, path)
    assert (imported.saved, imported.left, imported.finished) == (3, 0, True)
    assert {one.verdict for one in store.final("r1").values()} == {"correct"}, "the later sheet overrules"
    assert store.current("r1", "a")[disputed[0]].verdict == "wrong", "what they said themselves stays"


def test_only_what_is_disputed_is_settled(store, disputed, tmp_path):
    path = export_sheet(store, "r1", ADJUDICATION, tmp_path, films=False)
    rows = rows_of(path)
    write_rows(path, [rows[0] | {"item": "m01.left_arm", "verdict": "wrong"}])
    (problem,) = import_sheet(store, path).problems
    assert "no such item is asked for" in problem.reason
    assert store.final("r1") == {}


def test_films_of_the_disputed_motions_alone(store, tmp_path):
    seen = []
    store.add_round(Round("r2", store.dataset, IDS[:2], ("left_arm",)))
    for name, verdicts in (("a", ("correct", "correct")), ("b", ("correct", "wrong"))):
        for motion_id, verdict in zip(IDS[:2], verdicts, strict=True):
            store.save(Judgement("r2", name, motion_id, "left_arm", verdict))
        store.finish("r2", name)
    export_sheet(store, "r2", ADJUDICATION, tmp_path / "films", progress=seen.append)
    assert sorted(path.name for path in (tmp_path / "films").iterdir()) == ["m02.gif", "r2-adjudication.csv"]
    assert seen == [1, 1]


def test_nobody_learns_what_others_said_from_a_sheet_before_all_have_finished(store, sheet, tmp_path):
    with pytest.raises(MotionError, match="a, b not finished yet"):
        export_sheet(store, "r1", ADJUDICATION, tmp_path, films=False)
    rows = [row | {"evaluator": ADJUDICATION, "verdict": "wrong"} for row in rows_of(sheet)]
    write_rows(sheet, rows)
    with pytest.raises(MotionError, match="not finished yet"):
        import_sheet(store, sheet)
    assert store.final("r1") == {}


def test_nothing_to_settle_is_told(store, tmp_path):
    for name in ("a", "b"):
        for motion_id, field in store.round("r1").items:
            store.save(Judgement("r1", name, motion_id, field, "correct"))
        store.finish("r1", name)
    with pytest.raises(MotionError, match=r"no disagreement to settle.*kinmo annotate agreement"):
        export_sheet(store, "r1", ADJUDICATION, tmp_path, films=False)


# ------------------------------------------------------------ what is no sheet


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "lacks the columns"),
        (b"a,b\n1,2\n", "lacks the columns round, evaluator"),
        (b"\xff\xfer\x00", "not text in UTF-8"),
        (b"round,evaluator,item,sentence,verdict,category,note\n", "has no row"),
        (b'round,evaluator,item,sentence,verdict,category,note\nr1,a,"' + b"x" * 200_000, "is no CSV"),
    ],
)
def test_what_is_no_sheet_is_told(store, tmp_path, content, reason):
    path = tmp_path / "some.csv"
    path.write_bytes(content)
    with pytest.raises(MotionError, match=reason):
        import_sheet(store, path)


def test_no_such_file_round_or_evaluator(store, sheet, tmp_path):
    with pytest.raises(MotionError, match="no such file"):
        import_sheet(store, tmp_path / "none.csv")
    with pytest.raises(MotionError, match=r"no evaluator named '\.\./x'"):
        export_sheet(store, "r1", "../x", tmp_path)
    with pytest.raises(MotionError, match="no round named"):
        export_sheet(store, "../r1", "a", tmp_path)
    rows = rows_of(sheet)
    for change, reason in (({"round": "r9"}, "no round"), ({"evaluator": "z"}, "evaluator named 'z'")):
        write_rows(sheet, [row | change for row in rows])
        with pytest.raises(MotionError, match=reason):
            import_sheet(store, sheet)
    write_rows(sheet, [rows[0] | {"evaluator": "b"}, *rows[1:]])
    with pytest.raises(MotionError, match="mixes"):
        import_sheet(store, sheet)


def test_a_path_in_an_id_and_an_overlong_sentence_are_harmless(make_rows, tmp_path):
    folder = tmp_path / "deep/er/dataset"
    (row,) = make_rows(1)
    evil = "../../x"
    long = "<script>alert(1)</script> " + "The left arm rises. " * 5000
    object.__setattr__(row.motion, "motion_id", evil)
    row.descriptions["left_arm"] = long
    info = shards.write_shard(shards.rows_to_table([row]), folder / "data/train-00000.parquet")
    shards.Manifest({}, "1", [info]).save(folder)
    before = set(tmp_path.rglob("*"))
    with open_store(folder) as store:
        store.add_round(Round("r1", folder, (evil,), FIELDS, evaluators=("a",)))
        path = export_sheet(store, "r1", "a", tmp_path / "out")
        new = {file.relative_to(tmp_path) for file in set(tmp_path.rglob("*")) - before}
        assert {file.parts[0] for file in new} == {"out", "deep"}
        assert {file.name for file in new if file.parts[0] == "out"} == {"out", "m01.gif", "r1-a.csv"}
        assert max(len(cell) for one in rows_of(path) for cell in one.values()) < 32_767
        fill(path)
        assert import_sheet(store, path).saved == 2
        assert store.current("r1", "a")[evil, "left_arm"].sentence == long


def test_a_dataset_without_motions_says_so(store, tmp_path):
    from kinmo_annotate.dataset.derive import export_texts

    export_texts(store.dataset, tmp_path / "texts")
    with open_store(tmp_path / "texts") as texts:
        texts.add_round(Round("r1", texts.dataset, IDS, FIELDS))
        with pytest.raises(MotionError, match=r"no motion to film.*--no-films"):
            export_sheet(texts, "r1", "a", tmp_path / "out")
        assert export_sheet(texts, "r1", "a", tmp_path / "out", films=False).is_file()


def test_a_motion_that_is_gone_is_told(store, tmp_path):
    store.add_round(Round("r2", store.dataset, ("gone",), FIELDS))
    with pytest.raises(DatasetError, match="no motion with the id gone"):
        export_sheet(store, "r2", "a", tmp_path)


def test_the_sentences_of_a_round_lie_where_the_round_says(store, make_dataset, tmp_path):
    """A sample that was annotated again lies in a folder of its own, below the dataset."""
    again = store.dataset / "rounds/r2"
    make_dataset(name="dataset/rounds/r2")
    store.add_round(Round("r2", again, ("000001",), FIELDS, parent="r1"))
    for shard in (store.dataset / "data").iterdir():
        shard.unlink()
    path = export_sheet(store, "r2", "a", tmp_path / "out", films=False)
    fill(path)
    assert import_sheet(store, path).saved == 2
