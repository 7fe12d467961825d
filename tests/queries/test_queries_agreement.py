from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from built_index import NOW, SPANS, Built, sha
from support import done

import clipdb
from clipdb.schema import catalog

HEADS = [(layer, head) for layer in (1, 2) for head in range(3)]


@pytest.fixture
def rated(two: Built, tmp_path: Path) -> clipdb.Index:
    """Two models that an LLM named twice and a person looked through, with verdicts of both on five spans a head."""
    path = Path(shutil.copytree(two.path, tmp_path / "rated.clipdb"))
    labels, judgements = [], []
    for model in ("one/a", "two/b"):
        for place, (layer, head) in enumerate(HEADS):
            where = [model, layer, head]
            for run, name in (("r1", "texture"), ("r2", "texture" if place % 2 else "colour")):
                labels.append([*where, "general", "llm:m", run, name, None, "prompt", "ok", NOW])
            accepted = "texture" if place < 3 else "shape"
            labels.append([*where, "general", "human:ann", "r3", accepted, place / 5, None, "ok", NOW])
            for number, text in enumerate(SPANS):
                for judge in ("llm:m", "human:ann"):
                    fits = number < place or (judge == "llm:m" and number == 4)
                    judgements.append([*where, sha(text), accepted, judge, "r4", fits, "ok"])
    with catalog.changing(path) as connection:
        connection.executemany(
            "insert into labels (model_id, layer, head, pool, labeller, run, property, confidence, prompt_sha256, "
            "status, created_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            labels,
        )
        connection.executemany(
            "insert into judgements (model_id, layer, head, text_id, property, judge, run, verdict, status) "
            "values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            judgements,
        )
    return clipdb.open(path)


def test_pairs_of_labellers_and_of_judges_agree_as_far_as_they_do(rated: clipdb.Index) -> None:
    found = rated.query.agreement(rater="human:ann").fetchall()
    by_pair = {row[:4]: row[5:] for row in found}
    assert [row[0] for row in found if row[1] == "labels"] == ["one/a"] * 2 + ["two/b"] * 2 + ["all models"] * 2
    items, blind, same_pool, agreement, kappa = by_pair["one/a", "labels", "human:ann", "llm:m"]
    # Of the LLM's newest names, colour and texture in turn, one is the person's.
    assert (items, blind, same_pool, agreement) == (6, 0, 6, pytest.approx(1 / 6)) and kappa == pytest.approx(-1 / 9)
    assert by_pair["all models", "judgements", "human:ann", "llm:m"][:3] == (60, None, None)
    people, vote = rated.query.agreement(kind="judgements", rater="llm:m", model="one/a").fetchall()
    assert people[2:6] == ("human:ann", "llm:m", None, 30) and people[8] == pytest.approx(25 / 30)
    assert vote[2:5] == ("llm:m", "vote", "not independent; no shared items")


def test_alpha_is_of_whom_one_asks_for(rated: clipdb.Index) -> None:
    rows = rated.query.krippendorff().fetchall()
    kinds = [(model, kind) for kind in ("labels", "judgements") for model in ("one/a", "two/b", "all models")]
    assert [row[:2] for row in rows] == kinds
    (alone,) = rated.query.krippendorff(kind="labels", raters="human:%", model="one/a").fetchall()
    assert alone == ("one/a", "labels", None, "no shared items", 0, 0, 6, 0, 0)


def test_stability_of_labellers_and_of_heads(rated: clipdb.Index) -> None:
    (labeller,) = rated.query.stability(model="one/a").fetchall()
    assert labeller == ("one/a", "llm:m", "general", "all heads", None, 0.5, 0.75, 2.0, 0, 6, 3)
    heads = rated.query.stability(by="head", model="one/a").fetchall()
    assert [row[3] for row in heads] == ["L1.H0", "L1.H2", "L2.H1", "L1.H1", "L2.H0", "L2.H2"]
    assert heads[0][4:] == ("colour", 0.0, 0.5, 2, 0, 1, 0)


def test_reviews_count_what_people_say_of_each_labeller(rated: clipdb.Index) -> None:
    rows = rated.query.reviews(model="one/a").fetchall()
    assert [row[1:] for row in rows] == [
        ("human:ann", 6, 0, 0, 0, 0, None, 0, 0),
        ("llm:m", 6, 6, 1, 5, 0, pytest.approx(1 / 6), 1, 0),
        ("vote", 5, 5, 0, 5, 0, 0.0, 1, 0),
    ]


def test_judges_and_people_in_order(rated: clipdb.Index) -> None:
    rows = rated.query.rank_agreement(model="one/a").fetchall()
    assert {row[1] for row in rows} == {"current"}
    of_all = rated.query.rank_agreement(labeller="%", model="one/a").fetchall()
    assert {row[1] for row in of_all} == {"current", "human:ann", "llm:m"}
    assert {row[3:5] for row in rows} == {("llm:m", None), ("majority", "not independent: people are in it")}
    of_llm = {row[5:7]: row[7:] for row in rows if row[3] == "llm:m"}
    # Spans that fit: 1 2 3 4 5 5 by the LLM, so ranks 1 2 3 4 5.5 5.5; 0 to 5 by the person, who is as sure as that.
    assert of_llm["fit", "ccs"] == of_llm["confidence", "ccs"] == (6, pytest.approx((17 / 17.5) ** 0.5))


@pytest.mark.parametrize("query", ["reviews", "stability", "agreement", "rank-agreement", "scoreboard"])
def test_what_is_read_first_fits_a_terminal(rated: clipdb.Index, query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    heading, *lines = done("query", query, "-i", rated.path).splitlines()
    if query == "scoreboard":
        first = [
            "model_id",
            "labeller",
            "pool",
            "judge",
            "labelled",
            "a_excess",
            "entanglement",
            "association",
        ]
        assert heading.split()[: len(first)] == first
    else:
        assert "columns left out" not in lines[-1]
    assert max(map(len, lines)) <= 110
