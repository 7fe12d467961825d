from __future__ import annotations

from pathlib import Path

import pytest

from clipdb.errors import ClipdbError
from clipdb.queries.named.parameters import Parameter, convert
from clipdb.queries.named.sql_files import find_query, query_names, read_query

GOOD = """\
-- Heads that vary most.
--
-- Two lines
-- of description.
--
-- $by choice(layer|head) = head: What a row is.
-- $most integer = 10: How many to list;
--     all where it is 0.
-- $above number optional: Only over this.
-- $text text required: A text with a colon: here.
-- needs: heads, labels
-- empty: run `clipdb label`
-- limit: 50

select $by, $most, $above, '$quoted', $text -- $comment
"""


def write(folder: Path, text: str, name: str = "mine") -> Path:
    path = folder / f"{name}.sql"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_header_is_read_whole(tmp_path: Path) -> None:
    query = read_query(write(tmp_path, GOOD))
    assert (query.name, query.title, query.description) == (
        "mine",
        "Heads that vary most",
        "Two lines\nof description.",
    )
    assert query.parameters == (
        Parameter("by", "choice(layer|head)", "What a row is.", default="head"),
        Parameter("most", "integer", "How many to list; all where it is 0.", default=10),
        Parameter("above", "number", "Only over this."),
        Parameter("text", "text", "A text with a colon: here.", required=True),
    )
    assert query.needs == ("heads", "labels") and query.limit == 50 and query.empty == "run `clipdb label`"
    assert query.sql.startswith("select $by")


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("select 1", 1, "a comment that is its title"),
        ("", 1, "a comment that is its title"),
        ("--\nselect 1", 1, "a comment that is its title"),
        ("-- T\n", 1, "there is no SQL"),
        ("-- T\n-- $k integer: Help.\nselect $k", 2, "is not a parameter"),
        ("-- T\n-- $k integer = 3\nselect $k", 2, "is not a parameter"),
        ("-- T\n-- $k whole = 3: Help.\nselect $k", 2, "unknown type 'whole'"),
        ("-- T\n-- $k integer = x: Help.\nselect $k", 2, "takes a whole number, not 'x'"),
        ("-- T\n-- $k choice(a|b) = c: Help.\nselect $k", 2, "takes a, b, not 'c'"),
        ("-- T\n-- $k text optional: A.\n-- $k text optional: B.\nselect $k", 3, "declared twice"),
        ("-- T\n-- $k text optional: A.\n-- stray\nselect $k", 3, "follows the parameters"),
        ("-- T\n-- limit: many\nselect 1", 2, "whole number"),
        ("-- T\n-- sheet: image_id\nselect 1", 2, "`sheet:` takes two columns"),
        ("-- T\n-- $k text optional: A.\nselect 1", 2, "not used"),
        ("-- T\n\nselect $k", 3, "not declared"),
    ],
)
def test_a_malformed_header_names_file_and_line(tmp_path: Path, text: str, line: int, problem: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ClipdbError) as caught:
        read_query(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line {line}: ") and problem in message and "\n" not in message


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.sql"
    path.write_bytes(b"-- \xff\xfe")
    with pytest.raises(ClipdbError, match=r"mine\.sql: can't be read"):
        read_query(path)


def test_folders_add_queries_and_take_no_shipped_name(tmp_path: Path) -> None:
    write(tmp_path, "-- Mine\nselect 1", "two_words")
    assert {"two_words", "heads", "properties"} <= set(query_names([tmp_path]))
    assert find_query("two-words", [tmp_path]).title == find_query("two_words", [tmp_path]).title == "Mine"
    own = write(tmp_path, "-- My heads\nselect 2", "heads")
    for ask in (lambda: query_names([tmp_path]), lambda: find_query("heads", [tmp_path])):
        with pytest.raises(ClipdbError, match=f"^{own} has the name of a query that ships with clipdb: choose another"):
            ask()
    assert find_query("heads").title != "My heads" and find_query("two-words", [tmp_path]).title == "Mine"


def test_a_folder_that_is_not_there_and_a_bad_name(tmp_path: Path) -> None:
    with pytest.raises(ClipdbError, match="is not a folder"):
        query_names([tmp_path / "none"])
    write(tmp_path, "-- T\nselect 1", "My-Query")
    with pytest.raises(ClipdbError, match="small letters"):
        query_names([tmp_path])


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(ClipdbError, match=r"'haeds': did you mean heads"):
        find_query("haeds")
    with pytest.raises(ClipdbError, match="--list"):
        find_query("zzzzzz")
    with pytest.raises(ClipdbError):
        find_query("../sql/heads")


@pytest.mark.parametrize("name", query_names())
def test_every_shipped_query_is_described(name: str) -> None:
    query = find_query(name)
    assert query.title and query.description
    assert all(parameter.help.endswith((".", "?")) for parameter in query.parameters)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("integer", "3", 3),
        ("integer", 3.0, 3),
        ("number", "0.5", 0.5),
        ("boolean", "yes", True),
        ("boolean", False, False),
        ("head", "l11h3", "L11.H3"),
        ("image", Path("a.png"), "a.png"),
        ("choice(a|b)", "b", "b"),
        ("text", "two words", "two words"),
        ("text", None, None),
    ],
)
def test_values_are_converted(kind: str, value: object, expected: object) -> None:
    assert convert(Parameter("p", kind, "Help."), value) == expected


@pytest.mark.parametrize(
    ("kind", "value"),
    [("integer", "3.5"), ("integer", 3.5), ("number", "x"), ("boolean", "maybe"), ("head", "3"), ("text", " ")],
)
def test_values_of_another_type_are_refused(kind: str, value: object) -> None:
    with pytest.raises(ClipdbError):
        convert(Parameter("p", kind, "Help."), value)


def test_a_parameter_may_ask_for_other_sql(tmp_path: Path) -> None:
    header = "-- Two.\n--\n-- $wide boolean = false: More.\n-- $k integer = 1: How many.\n\n"
    text = f"{header}select $k\n\n-- with $wide:\nselect $k, 2\n"
    query = read_query(write(tmp_path, text))
    assert query.statement({"wide": False, "k": 3}) == ("select $k", {"k": 3})
    assert query.statement({"wide": True, "k": 3}) == ("select $k, 2", {"k": 3})
    for change, problem in (("$k, 2", "$k, $n"), ("select $k, 2", "delete from t")):
        with pytest.raises(ClipdbError, match=r"\$n is not declared|a query is one SELECT, and this is DELETE"):
            read_query(write(tmp_path, text.replace(change, problem)))
