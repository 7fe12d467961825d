from __future__ import annotations

import datetime

import pytest

from clipdb.cli.show.shortened import shorten
from clipdb.cli.show.table import render

TEXT = "a photo of a rather long description"


def test_columns_align_and_nulls_are_empty() -> None:
    drawn = render(("head", "n", "share"), [("L1.H0", 3, 0.12345), ("L11.H10", None, None)], 80)
    assert drawn == "head     n  share\n-------  -  -----\nL1.H0    3  0.123\nL11.H10\n"


@pytest.mark.parametrize("width", [20, 40, 60, 100, 200])
def test_no_line_is_wider_than_asked(width: int) -> None:
    rows = [(TEXT, 0.5, [TEXT, TEXT], "short", 10**9, "日本語の説明" * 5)] * 3
    lines = render(("first", "number", "list", "word", "count", "wide"), rows, width).splitlines()
    wide = [sum(2 if letter > "\u2e80" else 1 for letter in line) for line in lines]
    assert max(wide) <= width
    table = "\n".join(lines).partition("\n(no room for:")[0].splitlines()
    assert len(table) == 5
    assert all(len(line) > 0 for line in table)


def test_long_text_is_cut_and_numbers_are_whole() -> None:
    drawn = render(("text", "number"), [(TEXT * 3, 123456.75)], 40)
    assert "…" in drawn and "123456.8" in drawn


def test_names_stay_different_from_each_other() -> None:
    models = ["ViT-B-16/laion2b_s34b_b88k", "ViT-B-16/openai", "ViT-L-14/openai"]
    names, rows = ["base", *"abcdefgh"], [(model, *[TEXT] * 8) for model in models]
    shown = [line.split()[0] for line in render(names, rows, 110).splitlines()[2:5]]
    assert shown == ["ViT-B-16/laion2b_…", "ViT-B-16/openai", "ViT-L-14/openai"]
    shown = [line.split()[0] for line in render(["model", *"abcdefgh"], rows, 110).splitlines()[2:5]]
    assert shown == models  # which the next command takes
    rows = [(f"from-scratch/{model}", *[TEXT] * 8) for model in models]
    shown = [line.split()[0] for line in render(names, rows, 115).splitlines()[2:5]]
    assert shown == ["from-scratch/ViT-B-16/l…", "from-scratch/ViT-B-16/o…", "from-scratch/ViT-L-14/o…"]
    # Where that would take too much of the line they keep a sixth of it.
    rows = [(f"https://example.org/a/long/way/{model}", *[TEXT] * 8) for model in models]
    assert {line.split()[0] for line in render(names, rows, 110).splitlines()[2:5]} == {"https://example.o…"}


def test_columns_that_do_not_fit_are_counted() -> None:
    drawn = render([f"column_{number}" for number in range(30)], [tuple([TEXT] * 30)], 60)
    lines = drawn.splitlines()
    assert lines[0].split() == ["column_0", "column_1", "column_2"]  # a quarter of the line each
    assert " ".join(lines[3:]) == (
        "(no room for: column_3, column_4, column_5, column_6, column_7, column_8, column_9, column_10 and 19 more; "
        "choose with --columns, or use -f csv)"
    )
    assert max(map(len, lines)) <= 60


def test_names_and_paths_give_way_before_sentences() -> None:
    path, reason = "/home/ada/My Photos/summer/" + "deep/" * 12 + "photo.jpeg", "the file ends in the middle of a block"
    lines = render(("uri", "error", "started_at"), [(path, reason, "2026-01-02 03:04:05")], 100).splitlines()
    assert reason in lines[2] and lines[2].startswith("…") and "photo.jpeg  the file" in lines[2]


def test_what_is_left_out_already_is_said_below() -> None:
    drawn = render(("n",), [(1,)], 80, ["in all rows: model_id a/b", "empty: label"])
    assert drawn == "n\n-\n1\n(in all rows: model_id a/b; empty: label; -f csv has all)\n"


NAMES = ("model_id", "labeller", "label", "n", "share", "low", "high", "note")
INTERVAL = [("share", "low", "high")]


def test_what_all_rows_say_is_said_once_and_what_none_says_is_left_out() -> None:
    rows = [("a/b", "vote", None, 1, 0.5, 0.25, 0.75, None), ("a/b", "vote", None, 1, None, None, None, "late")]
    names, shorter, left_out = shorten(NAMES, rows, INTERVAL)
    assert names == ["n", "share", "note"]
    assert shorter == [(1, "0.500 [0.250, 0.750]", None), (1, None, "late")]
    assert left_out == ["in all rows: model_id a/b, labeller vote", "empty: label"]


def test_other_names_and_a_single_rows_facts_stay() -> None:
    two = [("a/b", "vote"), ("c/d", "human:ada")]
    assert shorten(("model_id", "labeller"), two) == (["model_id", "labeller"], two, [])
    assert shorten(("model_id", "labeller"), two[:1]) == (["labeller"], [("vote",)], ["in all rows: model_id a/b"])
    # Never the whole table, and nothing of one without rows.
    for rows in ([("a/b", None)], []):
        assert shorten(("model_id", "label"), rows) == (["model_id", "label"], rows, [])


def test_an_interval_needs_its_three_columns() -> None:
    assert shorten(("share", "low"), [(0.5, 0.25)], INTERVAL) == (["share", "low"], [(0.5, 0.25)], [])
    assert shorten(("share", "low", "high"), [(0.5, 0.0, 0.001)], INTERVAL)[1] == [("0.500 [0.000, 0.001]",)]
    assert shorten(("high", "share", "low"), [(0.9, 0.5, None)], INTERVAL)[1] == [("0.500",)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1e-7, "1.0e-07"),
        (0.5, "0.500"),
        (1234.5, "1234.5"),
        (float("nan"), "nan"),
        (True, "true"),
        (["red", "blue"], "red, blue"),
        (["a red thing", "blue"], "a red thing; blue"),
        ([0.5] * 64, "0.500, 0.500, 0.500, ... (64 numbers)"),
        ({"a": 1, "b": None}, "a: 1, b: "),
        ("two\nlines", "two lines"),
        (["\x1b[31mred\x07", "\u202eblue"], "[31mred, blue"),
        (datetime.datetime(2026, 1, 2, 3, 4, 5, 678), "2026-01-02 03:04:05"),
        (b"\x01\xff", "01ff"),
    ],
)
def test_values_are_readable(value: object, expected: str) -> None:
    assert render(("v",), [(value,)], 80).splitlines()[2] == expected.rstrip()


def test_no_rows_leave_the_header() -> None:
    assert render(("a", "b"), [], 80) == "a  b\n-  -\n"
    assert render(("a" * 30, "b" * 30), [], 40).splitlines()[1] == f"{'-' * 19}  {'-' * 19}"


def test_a_command_in_a_note_that_is_cut_stands_whole_below() -> None:
    advice = "older than the images: run `clipdb span --pool general -i somewhere/far/away.clipdb`"
    drawn = render(("what", "note"), [("spans", advice), ("labels", "no clear name: " + "x" * 90)], 50)
    assert drawn.splitlines()[4:] == [advice]
    assert max(map(len, drawn.splitlines()[:4])) <= 50
