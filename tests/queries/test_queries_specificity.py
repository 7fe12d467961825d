"""Minimal pairs: what is stored of a file, and how far each attribute moves a head, against loops."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from built_index import Built, build
from support import done, refused

import clipdb
from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.pair_movement import movements

HEADER = "image_a,image_b,attribute,value_a,value_b\n"
MODEL = "one/a"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """An index with ten pairs of a colour and five of a size."""
    made = build(tmp_path_factory.mktemp("pairs") / "pairs.clipdb", seed=51)
    file = made.path.parent / "pairs.csv"
    rows = [f"{n}.png,{made.ids[n + 20]},{'size' if n % 3 == 2 else 'colour'},x,y" for n in range(15)]
    file.write_text(HEADER + "\n".join(rows) + "\n")
    counts = clipdb.ingest_pairs(made.path, file)
    assert (counts.added, counts.skipped, counts.attributes) == (15, 0, {"colour": 10, "size": 5})
    return made


@pytest.fixture
def db(index: Built) -> Iterator[clipdb.Index]:
    with clipdb.open(index.path) as opened:
        yield opened


def test_shares_are_those_of_a_loop(db: clipdb.Index, index: Built) -> None:
    rows = db.rows("specificity")
    assert len(rows) == 6 * 2
    for head in ("L1.H2", "L2.H0"):
        vectors = index.vectors[MODEL, int(head[1]), int(head[4])]
        moved: dict[str, list[float]] = {"colour": [], "size": []}
        for n in range(15):
            away = vectors[n] - vectors[n + 20]
            moved["size" if n % 3 == 2 else "colour"].append(float(away @ away))
        means = {name: sum(some) / len(some) for name, some in moved.items()}
        first, second = sorted(means, key=lambda name: -means[name])
        own = [row for row in rows if row["head"] == head]
        assert [(row["attribute"], row["pairs"]) for row in own] == [(n, len(moved[n])) for n in (first, second)]
        for row in own:
            assert row["movement"] == pytest.approx(means[row["attribute"]], rel=1e-5)
            assert row["share"] == pytest.approx(means[row["attribute"]] / sum(means.values()), rel=1e-5)
            assert row["low"] <= row["share"] <= row["high"]
        assert own[0]["margin"] == pytest.approx(means[first] / means[second], rel=1e-5)
        assert own[1]["margin"] is None


def test_p_and_the_interval_are_those_of_resampling_one_by_one() -> None:
    rng = np.random.default_rng(8)
    of_pair = np.array([0] * 12 + [1] * 20 + [3] * 8)  # nothing of the third attribute
    distances = rng.exponential(size=40) * np.where(of_pair == 1, 1.5, 1)
    first, *_ = found = movements(distances, ["a", "b", "c", "d"], of_pair)
    assert [one.attribute for one in found] == sorted(
        "abd", key=lambda q: -distances[of_pair == "abcd".index(q)].mean()
    )

    def shares(values: np.ndarray) -> np.ndarray:
        means = np.array([values[of_pair == q].mean() for q in (0, 1, 3)])
        return means / means.sum()

    largest = np.array([shares(rng.permutation(distances)).max() for _ in range(2000)])
    for one in found:
        assert one.p == pytest.approx((largest >= one.share).mean(), abs=0.05)
    place = (0, 1, 3).index("abcd".index(first.attribute))
    drawn = []
    for _ in range(2000):
        some = np.concatenate([rng.choice(np.flatnonzero(of_pair == q), (of_pair == q).sum()) for q in (0, 1, 3)])
        drawn.append(shares(distances[some])[place])
    assert [first.low, first.high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]).tolist(), abs=0.03)


def test_a_head_that_one_attribute_moves_is_specific() -> None:
    of_pair = np.arange(60) % 3
    first = movements(np.where(of_pair == 2, 1.0, 0.0), ["a", "b", "c"], of_pair)[0]
    assert (first.attribute, first.share, first.low, first.high) == ("c", 1, 1, 1)
    assert first.p < 0.002
    assert movements(np.zeros(60), ["a", "b", "c"], of_pair) == []
    assert movements(np.ones(60), ["a"], np.zeros(60, int)) == []


def test_the_query_has_the_first_attribute_of_each_head_or_all_of_one(db: clipdb.Index) -> None:
    assert [row[0] for row in db.query.specificity().fetchall()] == [f"L{n}.H{m}" for n in (1, 2) for m in range(3)]
    assert len(db.query.specificity(head="L2.H1").fetchall()) == 2


def test_images_of_pairs_are_no_evidence(db: clipdb.Index) -> None:
    assert {row["images"] for row in db.rows("evidence", key="label", head="L2.H0")} == {40 - 30}


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_other_files_say_the_same_and_change_nothing(index: Built, tmp_path: Path, suffix: str) -> None:
    # The other way round, by path and by the beginning of the id.
    rows = [{"image_a": index.ids[20][:12], "image_b": str(index.files[0]), "attribute": "colour"}]
    rows[0] |= {"value_a": "y", "value_b": "x"}
    file = tmp_path / f"pairs.{suffix}"
    if suffix == "jsonl":
        file.write_text("\n".join(map(json.dumps, rows)))
    else:
        pq.write_table(pa.Table.from_pylist(rows), file)
    counts = clipdb.ingest_pairs(index.path, file)
    assert (counts.added, counts.skipped) == (0, 1)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (
            "0.png,none.png,colour,a,b\nnone.png,nor.png,size,a,b",
            "row 1: none.png is no image of .*, and 1 more image of .*ingest images none.png nor.png --model one/a -i",
        ),
        ("0.png,0.png,colour,a,b", "row 1: 0.png and 0.png are the same image"),
        ("0.png,1.png,colour,a,a", "row 1: both images have the colour 'a'"),
        ("0.png,1.png,colour,a,", "row 1: the value_b is empty"),
        ("0.png,1.png,colour,a,b\n1.png,0.png,colour,a,b", "row 2: the pair of .* row 1 again, with other values"),
        ("", "has no pairs: write a row for each"),
    ],
)
def test_what_is_no_pair_is_one_line_and_changes_nothing(index: Built, tmp_path: Path, rows: str, says: str) -> None:
    file = tmp_path / "wrong.csv"
    file.write_text(HEADER + rows)
    with pytest.raises(ClipdbError, match=says):
        clipdb.ingest_pairs(index.path, file)
    with clipdb.open(index.path) as db:
        assert db.sql("select count(*) from pairs").fetchall() == [(15,)]


def test_files_that_hold_no_pairs(index: Built, tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_text(HEADER)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    for name, says in (
        ("pairs.txt", "cannot tell"),
        ("other.csv", "row 1 has no 'image_a'"),
        ("torn.parquet", "cannot"),
    ):
        assert says in refused("ingest", "pairs", tmp_path / name, "-i", index.path)
    assert refused("ingest", "pairs", tmp_path / "no.csv", "-i", index.path).startswith("no file")


def test_without_pairs_or_with_one_attribute(tmp_path: Path) -> None:
    bare = build(tmp_path / "bare.clipdb", seed=52)
    assert "run `clipdb ingest pairs FILE" in refused("query", "specificity", "-i", bare.path)
    (tmp_path / "pairs.csv").write_text(HEADER + "0.png,1.png,colour,a,b\n")
    assert "pairs are now 1 colour" in done("ingest", "pairs", tmp_path / "pairs.csv", "-i", bare.path)
    assert refused("query", "specificity", "-i", bare.path).startswith("all pairs differ in 'colour'")
