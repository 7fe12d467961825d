"""Labels and verdicts by the pool's tags, against a plain count."""

from __future__ import annotations

from collections import Counter, defaultdict
from math import exp, log
from pathlib import Path

import pytest
from support import MODEL, change, done, refused, rows, verified


def votes(index: Path, pool: str = "scenes") -> dict[tuple[int, int], tuple[str, float]]:
    """Count: a head's property is the one whose spans explain most; the first picked wins a tie."""
    tags = dict(rows(index, "select text_id, property from pool_texts where pool = ?", pool))
    weights: dict[tuple[int, int], Counter[str]] = defaultdict(Counter)
    sql = "select layer, head, text_id, variance_explained from spans where pool = ? order by rank"
    for layer, head, text, explained in rows(index, sql, pool):
        if tags.get(text) is not None:
            weights[layer, head][tags[text]] += explained
    return {head: (max(w, key=w.__getitem__), max(w.values()) / sum(w.values())) for head, w in weights.items()}


def labels(index: Path, pool: str = "scenes") -> dict[tuple[int, int], tuple[str, float]]:
    sql = "select layer, head, property, confidence from labels where pool = ? and run = (select max(run) from labels)"
    return {(layer, head): (name, confidence) for layer, head, name, confidence in rows(index, sql, pool)}


def assert_voted(index: Path, pool: str = "scenes") -> None:
    expected, found = votes(index, pool), labels(index, pool)
    assert {head: one[0] for head, one in found.items()} == {head: one[0] for head, one in expected.items()}
    assert {h: one[1] for h, one in found.items()} == pytest.approx({h: one[1] for h, one in expected.items()})


def test_labels_are_the_count(ready_index: Path) -> None:
    assert_voted(ready_index)
    assert len(labels(ready_index)) == 24
    assert rows(ready_index, "select distinct labeller, status, error from labels") == [("vote", "ok", None)]


def test_the_same_again_adds_nothing_and_what_changed_counts(own_index: Path) -> None:
    vote = ("label", "--labeller", "vote", "--pool", "scenes", "-i", own_index)
    first, runs = labels(own_index), rows(own_index, "select count(*) from runs")
    assert done(*vote) == f"{own_index}: 0 heads labelled by vote, 0 without a tagged span, 24 as before\n"
    same = f"{own_index}: 0 verdicts by vote, 120 as before (not independent of labels by zero-shot or vote)\n"
    assert done("judge", "--pool", "scenes", "-i", own_index) == same
    assert labels(own_index) == first
    assert rows(own_index, "select count(*) from judgements") == [(120,)]
    assert rows(own_index, "select count(*) from runs") == runs
    change(own_index, "update labels set property = 'sound' where (layer, head) = (2, 3)")
    assert "1 current names not judged" in done("info", "-f", "csv", "-i", own_index)
    assert "5 verdicts by vote, 115 as before" in done("judge", "--pool", "scenes", "-i", own_index)
    assert "not judged" not in done("info", "-f", "csv", "-i", own_index)
    assert "1 head labelled by vote, 0 without a tagged span, 23 as before" in done(*vote)
    assert rows(own_index, "select added, skipped from runs order by run desc limit 1") == [(1, 23)]
    assert rows(own_index, "select count(*), count(distinct run) from labels") == [(25, 2)]
    assert rows(own_index, "select count(*) from head_properties") == [(24,)]
    spans = rows(own_index, "from spans order by all")
    done("span", "--pool", "scenes", "--device", "cpu", "-i", own_index)
    assert rows(own_index, "from spans order by all") == spans
    assert "run `clipdb" not in done("info", "-f", "csv", "-i", own_index)


def test_verdicts_are_the_tags(ready_index: Path) -> None:
    tags = dict(rows(ready_index, "select text_id, property from pool_texts where pool = 'scenes'"))
    named = {head: name for head, (name, _) in labels(ready_index).items()}
    spans = rows(ready_index, "select layer, head, text_id from spans where rank <= 5")
    expected = {(layer, head, text): tags[text] == named[layer, head] for layer, head, text in spans}
    found = rows(ready_index, "select layer, head, text_id, verdict, property, judge, status from judgements")
    assert {one[:3]: one[3] for one in found} == expected and len(found) == 120
    assert all(one[4:] == (named[one[0], one[1]], "vote", "ok") for one in found)


def test_metrics_are_the_count(ready_index: Path) -> None:
    named = [name for name, _ in labels(ready_index).values()]
    shared = sum(named.count(name) > 1 for name in named) / len(named)
    ((entanglement, exclusive, effective),) = rows(
        ready_index, "select entanglement, exclusive, effective_properties from entanglement where model_id = ?", MODEL
    )
    assert (entanglement, exclusive) == pytest.approx((shared, 1 - shared))
    shares = [named.count(name) / len(named) for name in set(named)]
    assert effective == pytest.approx(exp(-sum(p * log(p) for p in shares)))
    fit = Counter(rows(ready_index, "select layer, head from judgements where verdict"))
    ((association,),) = rows(ready_index, "select association from association where model_id = ?", MODEL)
    assert association == pytest.approx(sum(fit[head] >= 3 for head in labels(ready_index)) / 24)
    scores = {(layer, head): ccs for layer, head, ccs in rows(ready_index, "select layer, head, ccs from ccs")}
    assert scores == {head: fit[head] for head in labels(ready_index)}


def test_a_pool_without_properties_names_nothing(own_index: Path, tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("a heron\na kettle\na red thing\n")
    done("ingest", "texts", tmp_path / "plain.txt", "--pool", "plain", "-i", own_index)
    done("span", "--pool", "plain", "-i", own_index)
    line = refused("label", "--labeller", "vote", "--pool", "plain", "-i", own_index)
    assert line.startswith("no span from the pool 'plain' has both a property and a variance to vote with: ")
    assert refused("judge", "--pool", "plain", "-i", own_index) == (
        f"{own_index} has no names that spans from the pool 'plain' stand for: "
        "the spans that stand for these names are from scenes: choose with --pool"
    )
    change(own_index, "update labels set pool = 'nowhere'")  # so that spans of the last pool stand for the names
    line = refused("judge", "--pool", "plain", "-i", own_index)
    assert line.startswith("the pool 'plain' names no properties to judge by: ask a language model with --judge llm")


def test_texts_without_a_tag_do_not_vote(own_index: Path, tmp_path: Path) -> None:
    (tmp_path / "half.csv").write_text("text,property\na heron,animals\na kettle,\na red thing,colour\nthree,\n")
    done("ingest", "texts", tmp_path / "half.csv", "--pool", "half", "-i", own_index)
    done("span", "--pool", "half", "-i", own_index)
    assert "24 heads labelled" in done("label", "--labeller", "vote", "--pool", "half", "-i", own_index)
    assert_voted(own_index, "half")


def test_an_even_vote_goes_to_the_first_pick(own_index: Path) -> None:
    change(own_index, "update spans set variance_explained = 0.05")
    done("label", "--labeller", "vote", "--pool", "scenes", "-i", own_index)
    tags = dict(rows(own_index, "select text_id, property from pool_texts"))
    found = labels(own_index)
    for layer, head in found:
        spans = rows(own_index, "select text_id from spans where (layer, head) = (?, ?) order by rank", layer, head)
        names = [tags[text] for (text,) in spans]
        assert found[layer, head][0] == max(names, key=names.count)  # max takes the first


@pytest.mark.parametrize("verb", [("label", "--labeller", "vote"), ("judge",)])
def test_no_spans(verb: tuple[str, ...], own_index: Path) -> None:
    assert refused(*verb, "--pool", "general", "-i", own_index) == (
        f"{own_index} has no spans from the pool 'general': run `clipdb span --pool general -i {own_index}`"
    )
    line = refused(*verb, "--pool", "scenes", "--model", "a/b", "-i", own_index)
    assert line == f"{own_index} has no model 'a/b': it has {MODEL}"
    line = refused(*verb, "--pool", "scnes", "-i", own_index)
    assert line == f"{own_index} has no spans from the pool 'scnes': it has spans from scenes"
    verified(own_index)
