from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from built_index import SPANS
from task_index import Head, Task, build_task

import clipdb
from clipdb.errors import ClipdbError
from clipdb.queries.functions.reconstruct import orthonormal
from clipdb.schema import catalog

ROWS = list(range(3, 58))  # the first three have no label, the last two no vectors of layer 1


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return build_task(tmp_path_factory.mktemp("task") / "task.clipdb")


@pytest.fixture(scope="module", params=[None, 1], ids=["kept", "streamed"])
def db(task: Task, request: pytest.FixtureRequest) -> Iterator[clipdb.Index]:
    with clipdb.open(task.path) as opened:
        opened.cache_bytes = request.param or opened.cache_bytes
        yield opened


def ask(db: clipdb.Index, **given: Any) -> list[dict[str, Any]]:
    answer = db.query.reconstruct(**{"template": "{}", **given})
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]


def projected(task: Task, head: Head, m: int) -> np.ndarray:
    """Each image's vector, of whose distance to the mean only what the first m spans hold stays; by least squares."""
    shift = sum(head) % len(SPANS)
    picked = [task.texts[SPANS[(rank + shift) % len(SPANS)]] for rank in range(m)]
    centred = task.y(head) - task.means[head]
    if not picked:
        return np.tile(task.means[head], (len(centred), 1))
    directions = np.stack([task.bases[head].T @ text for text in picked])  # [m, k]
    return task.means[head] + centred @ np.linalg.pinv(directions) @ directions


@pytest.mark.parametrize("heads", [[(2, 0)], [(1, 1), (2, 2)], [(a, b) for a in (1, 2) for b in range(3)]])
def test_the_curve_equals_a_plain_loop(db: clipdb.Index, task: Task, heads: list[Head]) -> None:
    used = ROWS if any(layer == 1 for layer, _ in heads) else list(range(3, 60))
    parts: list[object] = [task.classes[row] for row in used]
    rows = ask(db, heads=",".join(f"L{layer}.H{head}" for layer, head in heads))
    assert [row["spans"] for row in rows] == list(range(len(SPANS) + 1))
    whole = task.accuracies({}, used, [0] * len(used))[0]
    for row in rows:
        replaced = {head: projected(task, head, row["spans"]) for head in heads}
        assert row["accuracy"] == pytest.approx(task.accuracies(replaced, used, [0] * len(used))[0], abs=1e-12)
        assert row["worst"] == pytest.approx(min(task.accuracies(replaced, used, parts).values()), abs=1e-12)
        assert row["whole"] == pytest.approx(whole, abs=1e-12)
        assert (row["images"], row["replaced"]) == (len(used), len(heads))
        assert row["variance"] == pytest.approx(sum(0.3 / rank for rank in range(1, row["spans"] + 1)))


def test_no_spans_are_a_mean_ablation_and_all_are_the_heads(db: clipdb.Index) -> None:
    for groups in (None, "colour"):
        rows = ask(db, groups=groups)
        ablated = db.query.ablate(layers="all", mode="mean", template="{}", groups=groups, control=0).fetchall()
        assert rows[0]["accuracy"] == ablated[0][4] and rows[0]["worst"] == ablated[-1][4]
        # Four of the five texts fill a head's four dimensions.
        assert rows[-1]["accuracy"] == rows[-1]["whole"] and rows[-1]["worst"] == rows[-1]["whole_worst"]


def test_directions_are_orthonormal_in_their_order() -> None:
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(5, 6))
    directions[2] = directions[0] - 2 * directions[1]
    basis = orthonormal(directions, 7)
    alive = [0, 1, 3, 4]
    assert np.allclose(basis[alive] @ basis[alive].T, np.eye(4), atol=1e-14)
    assert np.all(basis[[2, 5, 6]] == 0)
    for m in range(1, 6):
        onto = np.linalg.pinv(directions[:m]) @ directions[:m]
        assert np.allclose(basis[:m].T @ basis[:m], onto, atol=1e-12)


def test_heads_without_spans_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    task = build_task(tmp_path / "own.clipdb")
    with catalog.changing(task.path) as connection:
        connection.execute("delete from spans where layer = 1")
        connection.execute("update spans set cumulative_variance = null where head = 0 and rank > 2")
        connection.execute("delete from spans where head = 1 and rank > 3")
    with clipdb.open(task.path) as db:
        rows = ask(db)
        assert {row["replaced"] for row in rows} == {3} and len(rows) == len(SPANS) + 1
        assert [row["variance"] is None for row in rows] == [False] * 3 + [True] * 3
        for row in rows:
            m = row["spans"]
            replaced = {(2, head): projected(task, (2, head), min(m, 3) if head == 1 else m) for head in range(3)}
            used = list(range(3, 60))
            assert row["accuracy"] == pytest.approx(task.accuracies(replaced, used, [0] * len(used))[0], abs=1e-12)
        with pytest.raises(ClipdbError, match="1 of these heads have no spans: run `clipdb span`"):
            ask(db, heads="L1.H0,L2.H0")


def test_spans_of_several_pools_must_be_told_apart(tmp_path: Path) -> None:
    task = build_task(tmp_path / "own.clipdb")
    with catalog.changing(task.path) as connection:
        connection.execute("insert into spans select * replace ('other' as pool) from spans where rank <= 2")
    with clipdb.open(task.path) as db:
        with pytest.raises(ClipdbError, match=r"several pools: choose one with --pool \(general, other\)"):
            ask(db)
        assert len(ask(db, pool="other")) == 3 and len(ask(db, pool="general")) == len(SPANS) + 1
        with pytest.raises(ClipdbError, match=r"no pool 'none'"):
            ask(db, pool="none")


def test_an_index_without_spans_says_which_command(tmp_path: Path) -> None:
    task = build_task(tmp_path / "own.clipdb")
    with catalog.changing(task.path) as connection:
        connection.execute("delete from spans")
    with clipdb.open(task.path) as db:
        with pytest.raises(ClipdbError, match=r"no spans yet: run `clipdb span`"):
            ask(db)
        with pytest.raises(ClipdbError, match=r"no spans yet: run `clipdb span`"):
            db.execute("select * from reconstruct(null)")
