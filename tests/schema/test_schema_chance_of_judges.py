"""What chance gives by the verdicts of language models on every name: the views against all shufflings of names."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import duckdb
import numpy as np
import plain_metrics as plain
import pytest
from schema_rows import catalog, head, insert, judgement, label, span

LAYERS = {"trunk": (0, 0, 1, 1, 2), "pool": (-1, -1)}
NAMES = {"trunk": ("colour", "Colour.", "shape", "number", "shape"), "pool": ("place", "shape")}
JUDGES = ("llm:a", "llm:b", "llm:c")
SPANS = 5


class Place(NamedTuple):
    """A head with its name."""

    layer: int
    head: int
    name: str


Said = dict[tuple[str, Place, str, int], bool | None]
"""What each judge says of each head, name and span."""


def places(partition: str) -> list[Place]:
    layers = LAYERS[partition]
    return [
        Place(layer, layers[:place].count(layer), name)
        for place, (layer, name) in enumerate(zip(layers, NAMES[partition], strict=True))
    ]


def everything(seed: int) -> Said:
    """Verdicts of all judges on all names that a partition carries; some say now and then that they can't tell."""
    random = np.random.default_rng(seed)
    options = (True, False, None)
    return {
        (judge, place, name, rank): options[random.choice(3, p=(0.6, 0.36, 0.04))]
        for partition in LAYERS
        for judge in JUDGES
        for place in places(partition)
        for name in {plain.normal(one) for one in NAMES[partition]}
        for rank in range(1, SPANS + 1)
    }


def own(key: tuple[str, Place, str, int]) -> bool:
    return plain.normal(key[1].name) == key[2]


def said_of(model: str) -> Said:
    """Verdicts on a model: on all names, all of them false, on heads' own names, or by one judge on own names alone."""
    found = everything(3)
    if model == "own/x":
        return {key: verdict for key, verdict in found.items() if own(key)}
    if model == "no/x":
        return dict.fromkeys(found, False)
    if model == "lacking/x":  # a and c agree, so that the majority has verdicts on all names
        found |= {("llm:c", *key[1:]): verdict for key, verdict in found.items() if key[0] == "llm:a"}
        return {key: verdict for key, verdict in found.items() if key[0] != "llm:b" or own(key)}
    return found


MODELS = ("full/x", "own/x", "lacking/x", "no/x")


@pytest.fixture(scope="module")
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with catalog() as connection:
        for model in MODELS:
            every = [*places("trunk"), *places("pool")]
            insert(connection, "head_statistics", [head(model, *place[:2]) for place in every])
            insert(connection, "labels", [label(model, *place, "import:w", "1") for place in every])
            ranks = range(1, SPANS + 1)
            spans = [span(model, *place[:2], rank, f"{place[:2]} {rank}") for place in every for rank in ranks]
            insert(connection, "spans", spans)
            verdicts = [
                judgement(model, *place[:2], f"{place[:2]} {rank}", name.upper(), verdict, judge)
                for (judge, place, name, rank), verdict in said_of(model).items()
            ]
            insert(connection, "judgements", verdicts)
        # A call that failed is no verdict.
        failed = [
            judgement("lacking/x", *place[:2], f"{place[:2]} {rank}", name, None, judge, run="2", status="error")
            for (judge, place, name, rank) in everything(3)
            if judge == "llm:b" and not own((judge, place, name, rank))
        ]
        insert(connection, "judgements", failed)
        yield connection


def tally(said: Said, judge: str, place: Place, name: str, top: int) -> tuple[int, int]:
    """How many of the first spans are judged, and how many fit."""
    judged = fit = 0
    for rank in range(1, top + 1):
        by = JUDGES if judge == "majority" else (judge,)
        verdicts = [said.get((one, place, plain.normal(name), rank)) for one in by]
        judged += verdicts.count(True) != verdicts.count(False)
        fit += verdicts.count(True) > verdicts.count(False)
    return judged, fit


def undecided(said: Said, judge: str, among: list[Place], min_agree: int, top: int) -> int:
    """How many pairs of a judged head and a name that these carry have too few verdicts."""
    heads = [place for place in among if tally(said, judge, place, place.name, top)[0] >= min_agree]
    pairs = itertools.product(heads, {plain.normal(place.name) for place in heads})
    return sum(tally(said, judge, place, name, top)[0] < min_agree for place, name in pairs)


def shufflings(
    said: Said, judge: str, among: list[Place], rows: list[Place], only: str | None, min_agree: int, top: int
) -> list[int]:
    """How many of some heads fit, those with one name where it is given, in every shuffling over the judged heads."""
    heads = [place for place in among if tally(said, judge, place, place.name, top)[0] >= min_agree]
    fits = {
        (place, name): tally(said, judge, place, name, top)[1] >= min_agree
        for place, name in itertools.product(heads, {place.name for place in heads})
    }
    return [
        sum(
            fits[place, name]
            for place, name in zip(heads, names, strict=True)
            if place in rows and only in (None, plain.normal(name))
        )
        for names in itertools.permutations([place.name for place in heads])
    ]


def many(db: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    result = db.execute(sql)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


@pytest.mark.parametrize(("min_agree", "top"), [(3, 5), (1, 2)])
def test_association_by_chance_is_that_of_all_shufflings(
    db: duckdb.DuckDBPyConnection, min_agree: int, top: int
) -> None:
    known = []
    for part in ("model", "layer", "property"):
        call = f"source_association(part := '{part}', min_agree := {min_agree}, top_n := {top}, level := .9)"
        found = many(db, f"from {call} where labeller = 'current'")
        assert {row["judge"] for row in found} == {*JUDGES, "majority"}
        for row in found:
            said, among = said_of(row["model_id"]), places(row["partition"])
            own_heads = [place for place in among if row["layer"] in (None, place.layer)]
            by = JUDGES if row["judge"] == "majority" else ()
            missing, *of_judges = [undecided(said, one, among, min_agree, top) for one in (row["judge"], *by)]
            assert row["undecided_pairs"] == (missing if row["judged_heads"] else None)
            figures = [row[name] for name in ("chance", "chance_low", "chance_high", "excess")]
            if missing or any(of_judges) or not row["judged_heads"]:
                assert figures == [None] * 4
                continue
            known.append((row["model_id"], row["judge"]))
            counts = shufflings(said, row["judge"], among, own_heads, row["property"], min_agree, top)
            n = row["judged_heads"]
            assert figures == pytest.approx(
                [np.mean(counts) / n, *plain.reach(counts, n, 0.9), row["association"] - np.mean(counts) / n]
            )
    assert "own/x" not in {model for model, _ in known} and ("lacking/x", "llm:a") in known
    if min_agree == 3:
        assert {judge for model, judge in known if model == "full/x"} == {*JUDGES, "majority"}
        assert {judge for model, judge in known if model == "lacking/x"} == {"llm:a", "llm:c"}
        assert not any(undecided(said_of("lacking/x"), "majority", places(one), 3, 5) for one in LAYERS)


def test_the_scoreboard_shows_the_chance_of_every_judge(db: duckdb.DuckDBPyConnection) -> None:
    names = ("chance", "chance_low", "chance_high", "excess")
    order = "order by labeller, model_id, partition, judge"
    board, parts = many(db, f"from scoreboard {order}"), many(db, f"from source_association {order}")
    assert len(board) == 2 * len(MODELS) * 2 * 4
    for row, part in zip(board, parts, strict=True):
        assert [row[f"association_{name}"] for name in names] == [part[name] for name in names]
    known = [row["chance"] is not None for row in parts if row["model_id"] == "full/x"]
    assert len(known) == 2 * 2 * 4 and all(known)


def test_the_fits_of_every_name(db: duckdb.DuckDBPyConnection) -> None:
    said = said_of("lacking/x")
    found = many(db, "from name_fits(top_n := 4) where model_id = 'lacking/x'")
    every = {place[:2]: place for partition in LAYERS for place in places(partition)}
    assert len(found) == 3 * (5 * 3 + 2 * 2) + 7  # a, c and the majority, and b on the heads' own names
    for row in found:
        place = every[row["layer"], row["head"]]
        assert (row["judged"], row["fit"]) == tally(said, row["judge"], place, row["property_key"], 4)


def test_where_nothing_fits_chance_is_0(db: duckdb.DuckDBPyConnection) -> None:
    figures = "select distinct chance, chance_low, chance_high, excess from association where model_id = 'no/x'"
    assert str(db.execute(figures).fetchall()) == "[(0.0, 0.0, 0.0, 0.0)]"  # and not -0
