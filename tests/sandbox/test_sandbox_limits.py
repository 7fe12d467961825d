"""Questions that would take all time or memory end, and those with too many rows are cut."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import alive

from clipdb.errors import ClipdbError
from clipdb.sandbox import Sandbox
from clipdb.sandbox.limits import TOO_LARGE, TOO_LONG
from clipdb.sandbox.worker import Worker

ENDLESS = [
    "with recursive r(n) as (select 1 union all select n + 1 from r) select count(*) from r",
    "select count(*) from range(100000000000) where hash(range) = 1",
    "select max(hash(a.range, b.range)) from range(10000000) as a, range(10000000) as b",
    # No interrupt stops this one.
    "select contains(a, b) from (select string_agg('a', '') || 'b' as a from range(1000000)), "
    "(select string_agg('a', '') || 'c' as b from range(500000))",
    "select count(*) from range(100000000) as r, lateral neighbours(null, 'L1.H0', 'none' || r.range)",
    "select count(*) from range(100000000) as r, lateral text_heads(null, ['two apples', 'a grey wall'][r.range % 2])",
]

LARGE = [
    "select list(range) from range(1000000000)",
    "select string_agg(image_id) over () from images, range(3000)",
    "select list_transform(range(1000000000), lambda x: x)",
    "select 1 from range(1000000000) order by hash(range)",
    "select format('{:>2000000000}', 'x')",
]


def test_endless_questions_end(one_index: Path) -> None:
    """All at once, each in a process that is open already."""
    workers = [Worker(one_index, None) for _ in ENDLESS]
    assert [worker.ask("select 1").rows for worker in workers] == [[(1,)]] * len(workers)

    def seconds(worker: Worker, sql: str) -> float:
        start = time.monotonic()
        with pytest.raises(ClipdbError) as error:
            worker.ask(sql)
        assert str(error.value) == TOO_LONG, sql
        return time.monotonic() - start

    with ThreadPoolExecutor(len(ENDLESS)) as threads:
        took = list(threads.map(seconds, workers, ENDLESS))
    assert min(took) >= 5 and max(took) < 9, took
    for worker in workers:
        assert not worker.usable
        worker.end()
        assert not alive(worker.pid)


def test_large_questions_end(one_index: Path) -> None:
    def problem(sql: str) -> str:
        with pytest.raises(ClipdbError) as error:
            sandbox.ask(sql)
        assert sandbox.ask("select 1").rows == [(1,)]
        return str(error.value)

    with Sandbox(one_index, at_once=2, spare=False) as sandbox, ThreadPoolExecutor(2) as threads:
        problems = list(threads.map(problem, LARGE))
    assert TOO_LARGE in problems and set(problems) <= {TOO_LARGE, TOO_LONG}, problems  # the clock may be first


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("from range(1000)", 1000),
        ("from range(1001)", 1000),
        ("from range(100000000000)", 1000),
        ("select (select string_agg('x', '') from range(100000)) from range(1000)", 49),
        ("select (select string_agg('\u00e9', '') from range(100000)) from range(1000)", 8),
        ("select string_agg('x', '') from range(6000000)", 0),
        ("select range(700000)", 0),
    ],
)
def test_answers_are_cut(sandbox: Sandbox, sql: str, rows: int) -> None:
    answer = sandbox.ask(sql)
    assert (len(answer.rows), answer.cut) == (rows, sql != "from range(1000)")
    assert sandbox.ask("select 1").rows == [(1,)]
