from __future__ import annotations

import datetime

import pytest

from clipdb.cli.table import render

TEXT = "a photo of a rather long description"


def test_columns_align_and_nulls_are_empty() -> None:
    drawn = render(("head", "n", "share"), [("L1.H0", 3, 0.12345), ("L11.H10", None, None)], 80)
    assert drawn == "head     n  share\n-------  -  -----\nL1.H0    3  0.123\nL11.H10\n"


@pytest.mark.parametrize("width", [20, 40, 60, 100, 200])
def test_no_line_is_wider_than_asked(width: int) -> None:
    rows = [(TEXT, 0.5, [TEXT, TEXT], "short", 10**9, "日本語の説明" * 5)] * 3
    lines = render(("first", "number", "list", "word", "count", "wide"), rows, width).splitlines()
    table = [line for line in lines if not line.startswith("(columns left out")]
    wide = [sum(2 if letter > "\u2e80" else 1 for letter in line) for line in table]
    assert max(wide) <= width and len(table) == 5
    assert all(len(line) > 0 for line in table)


def test_long_text_is_cut_and_numbers_are_whole() -> None:
    drawn = render(("text", "number"), [(TEXT * 3, 123456.75)], 40)
    assert "…" in drawn and "123456.8" in drawn


def test_names_stay_different_from_each_other() -> None:
    models = ["ViT-B-16/laion2b_s34b_b88k", "ViT-B-16/openai", "ViT-L-14/openai"]
    names, rows = ["model", *"abcdefgh"], [(model, *[TEXT] * 8) for model in models]
    shown = [line.split()[0] for line in render(names, rows, 110).splitlines()[2:5]]
    assert shown == ["ViT-B-16/laion2b_…", "ViT-B-16/openai", "ViT-L-14/openai"]
    rows = [(f"from-scratch/{model}", *[TEXT] * 8) for model in models]
    shown = [line.split()[0] for line in render(names, rows, 110).splitlines()[2:5]]
    assert shown == ["from-scratch/ViT-B-16/l…", "from-scratch/ViT-B-16/o…", "from-scratch/ViT-L-14/o…"]
    # Where that would take too much of the line they keep a sixth of it.
    rows = [(f"https://example.org/a/long/way/{model}", *[TEXT] * 8) for model in models]
    assert {line.split()[0] for line in render(names, rows, 110).splitlines()[2:5]} == {"https://example.o…"}


def test_columns_that_do_not_fit_are_counted() -> None:
    drawn = render([f"column_{number}" for number in range(30)], [tuple([TEXT] * 30)], 60)
    assert "(columns left out: 25; choose some, or use -f json)" in drawn


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
