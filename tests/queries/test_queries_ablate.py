from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from task_index import CLASSES, Head, Task, build_task

import clipdb
from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.ablation import random_sets
from clipdb.schema import catalog

HEADS = [(layer, head) for layer in (1, 2) for head in range(3)]
WITH_LAYER_1 = list(range(3, 58))  # the first three have no label, the last two no vectors of layer 1
ALL = list(range(3, 60))


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return build_task(tmp_path_factory.mktemp("task") / "task.clipdb")


@pytest.fixture(scope="module", params=[None, 1], ids=["kept", "streamed"])
def db(task: Task, request: pytest.FixtureRequest) -> Iterator[clipdb.Index]:
    with clipdb.open(task.path) as opened:
        opened.cache_bytes = request.param or opened.cache_bytes
        yield opened


def without(task: Task, heads: list[Head], mode: str) -> dict[Head, np.ndarray]:
    rows = len(task.built.ids)
    return {head: np.tile(task.means[head] if mode == "mean" else np.zeros(4), (rows, 1)) for head in heads}


def ask(db: clipdb.Index, **given: Any) -> list[dict[str, Any]]:
    answer = db.query.ablate(**{"template": "{}", **given})
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]


@pytest.mark.parametrize("mode", ["zero", "mean"])
@pytest.mark.parametrize("heads", [[(2, 1)], [(1, 0), (2, 2)], HEADS])
def test_accuracies_equal_a_plain_loop(db: clipdb.Index, task: Task, heads: list[Head], mode: str) -> None:
    rows = ask(db, heads=",".join(f"L{layer}.H{head}" for layer, head in heads), mode=mode, seed=3, control=4)
    sets = random_sets(HEADS, heads, 4, 3)
    used = WITH_LAYER_1 if any(head[0] == 1 for one in (heads, *sets) for head in one) else ALL
    labels = [task.classes[row] for row in used]
    for parts, kind in (([None] * len(used), "all"), (labels, "class")):
        before = task.accuracies({}, used, parts)
        after = task.accuracies(without(task, heads, mode), used, parts)
        control = [task.accuracies(without(task, one, mode), used, parts) for one in sets]
        found = {row["name"]: row for row in rows if row["part"] == kind}
        assert found.keys() == before.keys()
        for name, row in found.items():
            assert row["images"] == parts.count(name) and row["removed"] == len(heads)
            assert (row["before"], row["after"]) == pytest.approx((before[name], after[name]), abs=1e-12)
            these = [one[name] for one in control]
            assert row["control"] == pytest.approx(sum(these) / 4, abs=1e-12)
            assert (row["control_low"], row["control_high"]) == pytest.approx((min(these), max(these)), abs=1e-12)
    assert {row["note"] for row in rows} == {"direct effects only"}


def test_the_worst_group_is_the_worst_class_or_pair(db: clipdb.Index, task: Task) -> None:
    given = {"heads": "L2.H0,L2.H1", "control": 2}
    sets = random_sets(HEADS, [(2, 0), (2, 1)], 2, 0)
    used = WITH_LAYER_1 if any(head[0] == 1 for one in sets for head in one) else ALL
    for groups, parts in (
        (None, [task.classes[row] for row in used]),
        ("colour", [f"{task.classes[row]}, {task.colours[row]}" for row in used]),
    ):
        rows = ask(db, groups=groups, **given)
        before = task.accuracies({}, used, parts)
        after = task.accuracies(without(task, [(2, 0), (2, 1)], "zero"), used, parts)
        controls = [min(task.accuracies(without(task, one, "zero"), used, parts).values()) for one in sets]
        worst = rows[-1]
        assert worst["part"] == "worst group"
        assert (worst["before"], worst["after"]) == pytest.approx((min(before.values()), min(after.values())))
        assert worst["control"] == pytest.approx(sum(controls) / 2)
        names = worst["name"].split(" -> ")
        assert before[names[0]] == min(before.values()) and after[names[-1]] == min(after.values())
        listed = {row["name"]: row["after"] for row in rows if row["part"] == "group"}
        assert listed == (pytest.approx(after) if groups else {})


def test_groups_are_combinations_of_all_keys(db: clipdb.Index, task: Task) -> None:
    rows = ask(db, heads="L2.H0", control=0, groups="colour, size.cm")
    parts = [f"{task.classes[row]}, {task.colours[row]}, {row % 2}" for row in ALL]
    before, after = task.accuracies({}, ALL, parts), task.accuracies(without(task, [(2, 0)], "zero"), ALL, parts)
    found = {row["name"]: row for row in rows if row["part"] == "group"}
    assert {name: row["before"] for name, row in found.items()} == pytest.approx(before)
    assert {name: row["after"] for name, row in found.items()} == pytest.approx(after)
    assert {name: row["images"] for name, row in found.items()} == {name: parts.count(name) for name in parts}
    assert (rows[-1]["before"], rows[-1]["after"]) == pytest.approx((min(before.values()), min(after.values())))


@pytest.mark.parametrize("mode", ["zero", "mean"])
@pytest.mark.parametrize("heads", [[], [(1, 0), (2, 2)]])
def test_the_remainder_is_replaced_by_its_mean(db: clipdb.Index, task: Task, heads: list[Head], mode: str) -> None:
    named = ",".join(f"L{layer}.H{head}" for layer, head in heads) or None
    rows = ask(db, heads=named, mode=mode, remainder="mean", control=2, seed=3)
    written = {head: task.y(head) @ task.bases[head].T for head in HEADS}
    whole = range(58)  # images that have vectors of all heads, with a label or not
    mean = task.images[whole].mean(axis=0) - sum(task.bases[head] @ task.means[head] for head in HEADS)
    texts = np.stack([task.texts[name] for name in CLASSES])

    def accuracy(dropped: list[Head]) -> float:
        right = 0
        for row in WITH_LAYER_1:
            kept = sum(written[head][row] for head in HEADS if head not in dropped) + mean
            if mode == "mean":
                kept = kept + sum(task.bases[head] @ task.means[head] for head in dropped)
            right += CLASSES[int(np.argmax(texts @ kept))] == task.classes[row]
        return right / len(WITH_LAYER_1)

    assert rows[0]["before"] == pytest.approx(task.accuracies({}, WITH_LAYER_1, [None] * 55)[None])
    assert (rows[0]["after"], rows[0]["removed"]) == (pytest.approx(accuracy(heads)), len(heads))
    control = [accuracy(one) for one in random_sets(HEADS, heads, 2, 3)]
    assert rows[0]["control"] == (pytest.approx(sum(control) / 2) if heads else None)


def test_heads_are_chosen_by_their_ccs(tmp_path: Path) -> None:
    task = build_task(tmp_path / "own.clipdb")
    fitting = {"L1.H0": 5, "L1.H1": 1, "L2.H0": 0, "L2.H1": 3}
    with catalog.changing(task.path) as connection:
        connection.execute(
            "create temp table told as select distinct on (layer, head, rank) columns(j.*), rank from spans s "
            "join judgements j using (model_id, layer, head, text_id)"
        )
        count = connection.execute("select count(*), max(rank) from told group by layer, head").fetchall()
        assert set(count) == {(5, 5)}, count
        connection.execute("delete from judgements")
        for name, fits in fitting.items():
            connection.execute(
                "insert into judgements select * exclude (rank) replace (rank <= ? as verdict) from told "
                "where concat('L', layer, '.H', head) = ?",
                [fits, name],
            )
    with clipdb.open(task.path) as db:
        for ccs, names in (("high", "L1.H0"), ("moderate", "L2.H1"), ("low", "L1.H1,L2.H0")):
            assert ask(db, ccs=ccs, judge="vote", seed=4) == ask(db, heads=names, seed=4)
        assert ask(db, ccs="low", layers="2") == ask(db, heads="L2.H0")
        with pytest.raises(ClipdbError, match="no head meets all of these conditions"):
            ask(db, ccs="high", layers="2")


def test_a_key_of_the_metadata_is_a_target(tmp_path: Path) -> None:
    task = build_task(tmp_path / "own.clipdb")
    with catalog.changing(task.path) as connection:
        connection.execute("update images set metadata = json_object('kind', label)")
    with clipdb.open(task.path) as db:
        by_key, by_label = ask(db, heads="L2.H0", target="kind"), ask(db, heads="L2.H0")
    assert by_key == by_label and len(by_key) == len(CLASSES) + 2


def test_a_key_with_a_dot_is_one_key(db: clipdb.Index) -> None:
    rows = ask(db, heads="L2.H0", groups="size.cm", control=0)
    assert {row["name"].rpartition(", ")[2] for row in rows if row["part"] == "group"} == {"0", "1"}
    assert rows[0]["control"] is None


@pytest.mark.parametrize(
    ("given", "heads"),
    [
        ({"property": "colour"}, 3),
        ({"property": "Color"}, 3),
        ({"property": "shape,counting"}, 2),
        ({"layers": "2"}, 3),
        ({"layers": "1-2"}, 6),
        ({"layers": "last1", "property": "colour"}, 1),
        ({"labeller": "vote"}, 5),
        ({"labeller": "vote", "property": "colour", "layers": "1"}, 2),
        ({"heads": "l2h1, L1.H0, L2.H1"}, 2),
        ({"heads": "L1.H0,L2.H0,L2.H1", "property": "colour"}, 2),
    ],
)
def test_heads_meet_all_conditions(db: clipdb.Index, given: dict[str, str], heads: int) -> None:
    assert ask(db, control=0, **given)[0]["removed"] == heads


def test_a_labellers_own_labels_count(tmp_path: Path) -> None:
    task = build_task(tmp_path / "own.clipdb")
    with catalog.changing(task.path) as connection:
        connection.execute(
            "insert into labels select * replace ('human:me' as labeller, 'shape' as property) from labels "
            "where layer = 2"
        )
    with clipdb.open(task.path) as db:
        assert ask(db, property="colour", control=0)[0]["removed"] == 2  # the human's come first
        assert ask(db, property="colour", labeller="vote", control=0)[0]["removed"] == 3
        assert ask(db, property="shape", labeller="human:me", control=0)[0]["removed"] == 2
        with pytest.raises(ClipdbError, match=r"no head carries the property 'counting'"):
            ask(db, property="counting", labeller="human:me")


def test_random_sets_are_seeded_and_of_the_size() -> None:
    first = random_sets(HEADS, [(1, 0), (2, 1)], 20, seed=1)
    assert first == random_sets(HEADS, [(1, 0), (2, 1)], 20, seed=1)
    assert first != random_sets(HEADS, [(1, 0), (2, 1)], 20, seed=2)
    assert all(len(set(one)) == 2 and not {(1, 0), (2, 1)} & set(one) for one in first)
    assert {head for one in first for head in one} == set(HEADS) - {(1, 0), (2, 1)}
    large = random_sets(HEADS, HEADS[:4], 5, seed=0)  # two others can't make a set of four
    assert all(len(set(one)) == 4 for one in large)


def test_the_same_question_has_the_same_answer(db: clipdb.Index) -> None:
    assert ask(db, heads="L2.H0,L2.H1", seed=9) == ask(db, heads="L2.H0,L2.H1", seed=9)


def test_chunks_change_nothing(db: clipdb.Index, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ask(db, heads="L1.H0,L2.H1", mode="mean")
    monkeypatch.setattr("clipdb.queries.functions.base.classification._AT_ONCE", 7 * len(CLASSES))
    assert ask(db, heads="L1.H0,L2.H1", mode="mean") == whole


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "no heads to drop: choose them by heads, property, layers, labeller or ccs"),
        ({"heads": "L2.H0", "groups": "colour,,"}, "groups is 'colour,,': give one key, or different ones with commas"),
        ({"heads": "L2.H0", "groups": "colour, colour"}, "groups is 'colour, colour'"),
        ({"heads": "L2.H0", "groups": "colour,age"}, "no image has 'age' in its metadata"),
        ({"heads": "L2.H0", "judge": "vote"}, "a judge is given and no ccs"),
        ({"ccs": "high", "judge": "you"}, "'you' has judged no head of one/a: judges here are"),
        ({"heads": "L2.H0", "templates": "/no/file.txt"}, "/no/file.txt can't be read: No such file"),
        ({"heads": "L2.H0", "templates": "{}\n{c}"}, "the template '{}' comes twice"),
        ({"heads": "L2.H0", "remainder": "zero"}, "--remainder takes keep, mean, not 'zero'"),
        ({"heads": "L2.H9"}, "no vectors of head L2.H9: its layers here are 1, 2, with 3 heads each"),
        ({"heads": "third"}, "'third' is not a head"),
        ({"heads": " , "}, "the set of heads is empty"),
        ({"layers": "0"}, "no vectors of layer 0: its layers here are 1, 2"),
        ({"layers": "7"}, "the model has 3 layers"),
        ({"property": "colur"}, "no head carries the property 'colur': there are colour"),
        ({"labeller": "human:you"}, "'human:you' has named no head of one/a: labellers here are vote"),
        ({"heads": "L1.H2", "property": "colour"}, "no head meets all of these conditions"),
        ({"heads": "L2.H0", "target": "age"}, "no image has 'age' in its metadata: the keys are colour, size.cm"),
        ({"heads": "L2.H0", "template": "a photo"}, "the template 'a photo' has no {}"),
        ({"heads": "L2.H0", "control": -1}, "control is -1"),
        ({"heads": "L2.H0", "mode": "half"}, "--mode takes zero, mean, not 'half'"),
        ({"heads": "L2.H0", "model": "no/ne"}, "no model 'no/ne'"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(db: clipdb.Index, given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ClipdbError) as caught:
        ask(db, **given)
    assert problem in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            "update images set label = null",
            "no image has a class label: run `clipdb ingest images SRC --label-from parent`, or",
        ),
        ("update images set label = null, metadata = null", "run `clipdb ingest images SRC --label-from parent`"),
        ("update images set label = 'cat' where label is not null", "only 'cat' as 'label'"),
        ("delete from labels", "no head of one/a has a name yet: run `clipdb label`"),
        ("update labels set property = null", "no head of one/a has a clear name"),
        ("update head_statistics set mean = null", "mean is not stored"),
    ],
)
def test_an_index_that_lacks_what_is_needed_says_so(tmp_path: Path, change: str, problem: str) -> None:
    task = build_task(tmp_path / "own.clipdb")
    with catalog.changing(task.path) as connection:
        connection.execute(change)
    given = {"property": "colour"} if "labels" in change else {"heads": "L2.H0"}
    with clipdb.open(task.path) as db, pytest.raises(ClipdbError) as caught:
        ask(db, mode="mean", **given)
    assert problem in str(caught.value) and "\n" not in str(caught.value)
