"""The metrics on published names and spans, against plain counts over the files' own rows."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import plain_metrics as plain
import pytest
from PIL import Image
from support import done

import clipdb
from clipdb.ingest.store.rows import put
from clipdb.schema import catalog

PUBLISHED = Path(__file__).parents[3] / "shared" / "published"
SOURCE = "published"
WITH_SPANS = "ViT-B-16/laion2b_s34b_b88k"

pytestmark = pytest.mark.skipif(not PUBLISHED.is_dir(), reason="no published data beside the checkout")

Head = tuple[int, int]


def read(file: str) -> list[dict[str, Any]]:
    with (PUBLISHED / file).open(encoding="utf-8", newline="") as lines:
        rows: list[dict[str, Any]] = list(csv.DictReader(lines))
    for row in rows:
        row["model"] = f"{row['model']}/{row['pretrained']}"
        row["place"] = int(row["layer"]), int(row["head"])
    return rows


@pytest.fixture(scope="module")
def names() -> dict[str, dict[Head, str]]:
    """The name of each head, by model, as names are compared."""
    found: dict[str, dict[Head, str]] = defaultdict(dict)
    for row in read("labels.csv"):
        found[row["model"]][row["place"]] = row["property"].strip().lower().rstrip(" .,;:!?")
    return found


@pytest.fixture(scope="module")
def spans() -> dict[Head, list[str]]:
    """The spans of each head of one model, in order."""
    found: dict[Head, list[str]] = defaultdict(list)
    for row in sorted(read("spans.csv"), key=lambda row: int(row["rank"])):
        assert row["model"] == WITH_SPANS
        found[row["place"]].append(row["text"])
    return found


def verdict(judge: str, text: str) -> bool | None:
    """What three judges who don't read say: yes, no or nothing, by a text's hash."""
    byte = hashlib.sha256(f"{judge} {text}".encode()).digest()[0]
    return None if byte < 40 else byte < 190


JUDGES = ("llm:a", "llm:b", "human:c")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, spans: dict[Head, list[str]]) -> Path:
    path = tmp_path_factory.mktemp("published") / "published.clipdb"
    for kind in ("labels", "spans"):
        done("import", kind, PUBLISHED / f"{kind}.csv", "--source", SOURCE, "-i", path)
    property_of = {row["place"]: row["property"] for row in read("labels.csv") if row["model"] == WITH_SPANS}
    judgements = [
        {"model_id": WITH_SPANS, "layer": head[0], "head": head[1], "property": property_of[head]}
        | {"text_id": hashlib.sha256(text.encode()).hexdigest(), "judge": judge, "verdict": verdict(judge, text)}
        | {"run": "1", "status": "ok"}
        for head, texts in spans.items()
        for text in texts[:5]
        for judge in JUDGES
    ]
    with catalog.changing(path) as connection:
        put(connection, "judgements", judgements)
    return path


def rows(index: Path, query: str, **values: Any) -> list[dict[str, Any]]:
    with clipdb.open(index) as db:
        result = getattr(db.query, query)(**values)
        return [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]


def test_entanglement_of_four_models(index: Path, names: dict[str, dict[Head, str]]) -> None:
    found = {row["model_id"]: row for row in rows(index, "entanglement")}
    assert found.keys() == names.keys() and len(found) == 4
    for model, named in names.items():
        carriers = Counter(named.values())
        n, shared = len(named), sum(count for count in carriers.values() if count > 1)
        entropy = -sum(count / n * math.log(count / n) for count in carriers.values())
        row = found[model]
        assert (row["labelled"], row["shared"]) == (n, shared)
        assert (row["entanglement"], row["exclusive"]) == pytest.approx((shared / n, 1 - shared / n))
        assert row["chance"] is row["excess"] is None  # of how many properties the publishers chose nobody knows
        assert row["effective_properties"] == pytest.approx(math.exp(entropy))
    # The reverse of the paper's order, which is why no figure stands without the other side's.
    assert 0.59 <= found["ViT-L-14/openai"]["entanglement"] <= 0.61
    assert round(found["ViT-B-16/openai"]["entanglement"], 2) == round(found[WITH_SPANS]["entanglement"], 2) == 0.40


def test_association_and_ccs_by_three_judges_and_their_majority(index: Path, spans: dict[Head, list[str]]) -> None:
    fits: dict[str, dict[Head, list[int]]] = defaultdict(dict)  # judge -> head -> fit, judged, ties, missing
    for head, texts in spans.items():
        counts = {judge: [0, 0, 0, 0] for judge in (*JUDGES, "majority")}
        for text in texts[:5]:
            said = [verdict(judge, text) for judge in JUDGES]
            yes, no = said.count(True), said.count(False)
            both = None if yes == no else yes > no
            for judge, value in zip((*JUDGES, "majority"), (*said, both), strict=True):
                tie = judge == "majority" and yes == no > 0
                for place, counted in enumerate((value is True, value is not None, tie, value is None and not tie)):
                    counts[judge][place] += counted
        for judge, count in counts.items():
            fits[judge][head] = count

    scored = rows(index, "ccs")
    assert len(scored) == 48 * 4
    for row in scored:
        layer, head = row["head"][1:].split(".H")
        fit, judged, ties, missing = fits[row["judge"]][int(layer), int(head)]
        assert (row["ccs"], row["judged"], row["ties"], row["missing"]) == (
            fit if judged else None,
            judged,
            ties,
            missing,
        )
        group = "high" if fit == 5 else "low" if fit <= 1 else "moderate"
        assert row["ccs_group"] == (group if judged == 5 else None)

    associated = {row["judge"]: row for row in rows(index, "association")}
    board = {row["judge"]: row for row in rows(index, "scoreboard", model=WITH_SPANS, labeller=f"import:{SOURCE}")}
    assert associated.keys() == board.keys() == {*JUDGES, "majority"}
    for judge, heads in fits.items():
        judged = [count for count in heads.values() if count[1] >= 3]
        fit = sum(count[0] >= 3 for count in judged)
        counted = len(judged), 48 - len(judged), *(sum(count[place] for count in heads.values()) for place in (2, 3))
        for row, low, high in ((associated[judge], "low", "high"), (board[judge], "a_low", "a_high")):
            assert (row["judged"], row["unjudged"], row["ties"], row["missing"]) == counted
            assert row["association"] == pytest.approx(fit / len(judged))
            assert (row[low], row[high]) == pytest.approx(plain.interval(fit, len(judged)))
            assert row["note"] is None
    assert sum(row["ties"] for row in associated.values()) > 0


def test_the_scoreboard_is_chosen_from_and_drawn(
    index: Path, names: dict[str, dict[Head, str]], tmp_path: Path
) -> None:
    every = json.loads(done("query", "scoreboard", "-f", "json", "--plot", tmp_path / "all.png", "-i", index))
    sources = {(row["model_id"], row["labeller"], row["pool"]) for row in every}
    assert sources == {
        (model, *source) for model in names for source in (("current", None), (f"import:{SOURCE}", SOURCE))
    }
    with Image.open(tmp_path / "all.png") as image:
        assert image.format == "PNG" and min(image.size) > 600
        colours = set(map(tuple, np.asarray(image.convert("RGB")).reshape(-1, 3).tolist()))
    # A colour a judge, and one for entanglement.
    assert {
        (0x2F, 0x6F, 0xAD),
        (0xC8, 0x55, 0x3D),
        (0x4C, 0x8C, 0x5A),
        (0x8A, 0x63, 0xA8),
        (0x33, 0x33, 0x33),
    } <= colours

    def chosen(*options: str) -> set[tuple[str, str, str | None, str | None]]:
        rows = json.loads(done("query", "scoreboard", *options, "-f", "json", "-i", index))
        return {(row["model_id"], row["labeller"], row["pool"], row["judge"]) for row in rows}

    whole = chosen()
    assert len(whole) == len(every) == 2 * (3 + 4)
    assert chosen("--model", WITH_SPANS) == {row for row in whole if row[0] == WITH_SPANS}
    assert chosen("--labeller", "current") == {row for row in whole if row[1] == "current"}
    assert chosen("--judge", "majority") == {row for row in whole if row[3] == "majority"}


def test_a_wider_level_is_a_wider_interval_and_one_that_is_none_is_refused(index: Path) -> None:
    by_level = {level: rows(index, "association", level=level) for level in (0.5, 0.95, 0.999)}
    for narrow, usual, wide in zip(*by_level.values(), strict=True):
        assert wide["low"] < usual["low"] < narrow["low"] <= narrow["association"]
        assert narrow["association"] <= narrow["high"] < usual["high"] < wide["high"]
    with (
        clipdb.open(index) as db,
        pytest.raises(duckdb.InvalidInputException, match="level is a fraction between 0 and 1"),
    ):
        db.query.scoreboard(level=95).fetchall()
