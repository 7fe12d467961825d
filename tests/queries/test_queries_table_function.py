"""What SQL knows of a function follows from its Python signature and docstring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from built_index import Built

import clipdb
from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.table_function import Rows, table_function


@table_function(said="VARCHAR")
def say(
    context: Any, model: str | None, like: Sequence[str], times: int = 2, end: str = "it's", loud: bool | None = None
) -> list[Rows]:
    """Say something.

    More than once.
    """
    return [[(f"{one} of {len(like)}{end}",)] * times for one in like]


def test_types_defaults_and_help() -> None:
    assert dict(say.parameters) == {
        "model": "VARCHAR", "like": "VARCHAR", "times": "BIGINT", "end": "VARCHAR", "loud": "BOOLEAN"
    }  # fmt: skip
    assert say.needed == ["like", "times", "end"]
    assert say.signature == "say(model, like, times := 2, end := 'it''s', loud := null)"
    assert say.title == "Say something." and say.description.endswith("More than once.")


def test_calls_that_differ_in_one_argument_are_answered_together() -> None:
    calls = [("a", "x", 1, "", None), ("b", "x", 1, "", None), ("a", "y", 1, "", None), ("a", "z", 2, "", None)]
    answers = say.compute(None, calls)  # type: ignore[arg-type]
    assert answers == [[("x of 2",)], [("x of 1",)], [("y of 2",)], [("z of 1",)] * 2]


def test_a_batch_of_its_own_may_have_a_default() -> None:
    @table_function(n="BIGINT")
    def count(context: Any, head: Sequence[str | None] = (None,)) -> list[Rows]:
        return [[(0 if one is None else 1,)] for one in head]

    assert count.signature == "count(head := null)" and count.needed == []
    assert count.rows(None, {}) == [{"n": 0}]  # type: ignore[arg-type]


def test_sql_has_the_help(built: Built) -> None:
    with clipdb.open(built.path) as db:
        (comment,) = db.sql("select comment from duckdb_functions() where function_name = 'outliers'").fetchall()
    assert comment == (
        "outliers(model, head, k := 10): Find the images whose vectors are farthest from the head's mean, in "
        "Mahalanobis distance.",
    )


@pytest.mark.parametrize("kind", [list, None])
def test_other_types_are_refused_by_name(kind: type | None) -> None:
    def wrong(context: Any, model: str | None, k: Any) -> Rows:
        return []

    wrong.__annotations__["k"] = kind
    if kind is None:
        del wrong.__annotations__["k"]
    with pytest.raises(ClipdbError, match=r"^wrong: k has to be annotated as str, int, float or bool"):
        table_function(n="BIGINT")(wrong)
