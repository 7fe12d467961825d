"""Evidence from metadata, against groups and classifiers written out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from built_index import Built, build
from plain_shares import merged, nearest, share_of
from support import refused, rows, table

import clipdb
from clipdb._util.variance_between import Chance, Moments
from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.head_evidence import head_evidence, together
from clipdb.queries.functions.base.linear_probe import count_hits, fit
from clipdb.queries.functions.base.truths import Truth
from clipdb.schema import catalog
from clipdb.schema.names import head_column, head_name, parse_head

MODEL, IMAGES = "one/a", 60


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """An index whose images have a colour, most of them a size, and all of them one kind."""
    made = build(tmp_path_factory.mktemp("evidence") / "evidence.clipdb", images=IMAGES, seed=41)
    with catalog.changing(made.path) as connection:
        for number, one in enumerate(made.ids):
            size = "" if number % 7 == 0 else f', "size": "{"sl"[number % 5 % 2]}"'
            metadata = f'{{"Colour": "{"rgb"[number % 3]}", "n": {number}, "kind": "x"{size}}}'
            split = "train" if number % 4 else "test"
            connection.execute("update images set metadata = ?, split = ? where image_id = ?", [metadata, split, one])
    return made


@pytest.fixture
def db(index: Built) -> Iterator[clipdb.Index]:
    with clipdb.open(index.path) as opened:
        yield opened


def groups(key: str) -> np.ndarray:
    """What images have under a key, in the order in which they were made; -1 for nothing."""
    if key == "label":
        return np.arange(IMAGES) % 2
    if key == "Colour":
        return np.arange(IMAGES) % 3
    return np.array([-1 if number % 7 == 0 else number % 5 % 2 for number in range(IMAGES)])


def test_shares_are_those_of_groups_one_by_one(db: clipdb.Index, index: Built) -> None:
    found = db.rows("evidence")
    assert {row["key"] for row in found} == {"Colour", "size", "label"}
    assert len(found) == 6 * 3
    for row in found:
        vectors, members = index.vectors[MODEL, *parse_head(row["head"])], groups(row["key"])
        used = ~np.isnan(vectors[:, 0]) & (members >= 0)
        assert row["images"] == used.sum()
        assert row["share"] == pytest.approx(share_of(vectors[used], members[used]), abs=1e-5)
        assert row["values"] == len(set(members[used].tolist()))
        assert (row["share"] > row["chance"]) == (row["p"] < 0.05)


def test_a_probe_is_fitted_to_train_and_tried_on_the_rest(db: clipdb.Index, index: Built) -> None:
    (row,) = db.rows("evidence", head="L2.H1", key="Colour")
    vectors, members = index.vectors[MODEL, 2, 1], groups("Colour")
    train = np.arange(IMAGES) % 4 > 0
    means = np.array([vectors[train & (members == g)].mean(axis=0) for g in range(3)])
    within = np.cov((vectors - means[members])[train].T, bias=True)
    shrunk = 0.99 * within + 0.01 * np.trace(within) / 4 * np.eye(4)
    logs = np.array([np.log((members[train] == g).mean()) for g in range(3)])
    right = 0
    for y, true in zip(vectors[~train], members[~train], strict=True):
        # The logarithm of a normal density around each mean, times how frequent the value is.
        densities = [logs[g] - (y - means[g]) @ np.linalg.inv(shrunk) @ (y - means[g]) / 2 for g in range(3)]
        right += int(np.argmax(densities) == true)
    assert (row["accuracy"], row["held_out"]) == (pytest.approx(right / 15), 15)
    assert row["majority"] == pytest.approx((members[~train] == np.bincount(members[train]).argmax()).mean())
    assert row["split"] == "images.split"


def test_without_a_split_one_image_in_four_is_held_out(tmp_path: Path) -> None:
    bare = build(tmp_path / "bare.clipdb", seed=42)  # all of the split test
    with clipdb.open(bare.path) as db:
        row = db.rows("evidence", head="L2.H0", key="label")[0]
    assert (row["split"], row["held_out"]) == ("image_id", sum(one[-1] in "cdef" for one in bare.ids))


def test_chance_is_what_permutations_give() -> None:
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(50, 3)) * [3, 1, 0.3] + rng.exponential(size=(50, 1))
    members = rng.integers(4, size=50)
    moments = Moments(3)
    moments.add(vectors)
    chance = Chance(50, np.bincount(members), moments.spread)
    drawn = [rng.permutation(members) for _ in range(4000)]
    centred = vectors - vectors.mean(axis=0)
    etas = np.array(
        [
            sum((m == g).sum() * np.square(centred[m == g].mean(axis=0)).sum() for g in range(4))
            / np.square(centred).sum()
            for m in drawn
        ]
    )
    assert chance.mean == pytest.approx(etas.mean(), abs=0.002)
    for quantile in (0.5, 0.9, 0.99):
        at = float(np.quantile(etas, quantile))
        assert chance.p(at) == pytest.approx(1 - quantile, abs=0.02)


def test_chance_of_hits_is_what_permutations_give() -> None:
    rng = np.random.default_rng(6)
    predicted, true = rng.integers(3, size=80), rng.choice(3, size=80, p=[0.6, 0.3, 0.1])
    drawn = np.array([(predicted == rng.permutation(true)).sum() for _ in range(4000)])
    hits = count_hits(predicted, true, 3, majority=0)
    assert hits.chance * 80 == pytest.approx(drawn.mean(), abs=0.3)
    assert hits.accuracy == (predicted == true).mean()
    assert hits.p == pytest.approx((drawn >= (predicted == true).sum()).mean(), abs=0.03)
    assert count_hits(true, true, 3, 0).p < 1e-9
    assert count_hits(np.zeros(80, int), true, 3, 0).p == 1  # every permutation is as right


def test_sums_by_group_are_the_same_for_many_values() -> None:
    rng = np.random.default_rng(7)
    vectors, members = rng.normal(size=(9000, 5)).astype(np.float32) + 30, rng.integers(300, size=9000)
    half = np.arange(9000) % 2 == 0
    (keys,) = together([Truth("many", 300, members)])
    found = head_evidence(vectors, keys, half, ~half)["many"]
    assert found.share == pytest.approx(share_of(vectors.astype(np.float64), members), abs=1e-5)
    assert found.p is not None and found.p > 0.001
    assert found.probe is not None and found.probe.accuracy < 0.05


def test_vectors_that_dont_vary_have_no_share() -> None:
    members = np.arange(20) % 2
    (keys,) = together([Truth("k", 2, members)])
    found = head_evidence(np.ones((20, 3), np.float32), keys, members == 0, members == 1)["k"]
    assert (found.images, found.share, found.p, found.probe) == (20, None, None, None)
    assert fit(np.ones((2, 3)), np.array([4, 0]), np.eye(3)) is None


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"key": "n"}, "'n' has 60 values for 60 images: with fewer than 2 images each a value says nothing"),
        ({"key": "kind"}, "images have one value of 'kind': at least two are compared"),
        ({"key": "taste"}, "no image has 'taste' in its metadata: the keys are Colour, kind, n, size"),
        ({"head": "L9.H9"}, "no vectors of head L9.H9"),
    ],
)
def test_what_has_no_answer_is_one_line(db: clipdb.Index, values: dict[str, str], says: str) -> None:
    with pytest.raises(ClipdbError, match=says):
        db.rows("evidence", **values)


@pytest.fixture(scope="module")
def unknown(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """An index whose images nothing is known of; its pool's texts have two properties."""
    made = build(tmp_path_factory.mktemp("unknown") / "unknown.clipdb", images=IMAGES, seed=44)
    with catalog.changing(made.path) as connection:
        connection.execute("update images set metadata = null, label = null")
        connection.execute("update pool_texts set property = if(position < 3, 'colour', 'kind')")
    return made


def test_without_truth_heads_are_compared_with_what_the_model_says_without_them(unknown: Built) -> None:
    images, texts = table(unknown.path, "images", MODEL), table(unknown.path, "texts", MODEL)
    ids = [one for (one,) in rows(unknown.path, "select text_id from pool_texts order by position")]
    embeddings = np.array([texts["embedding"][texts.ids.index(one)] for one in ids])
    kinds = {"colour": merged(embeddings[:3]), "kind": merged(embeddings[3:])}
    bases = {
        head_name(layer, head): np.array(basis).reshape(-1, size)
        for layer, head, basis, size in rows(
            unknown.path, "select layer, head, basis, size from bases where model_id = ?", MODEL
        )
    }
    with clipdb.open(unknown.path) as db:
        found = {(row["head"], row["key"]): row for row in db.rows("evidence")}
        assert {row["truth"] for row in found.values()} == {"zero-shot without the head"}
        assert [row["key"] for row in db.rows("evidence", head="L2.H0", key="kind")] == ["kind"]
    assert len(found) == 6 * 2
    for (head, key), row in found.items():
        y = images[head_column(*parse_head(head))]
        used = ~np.isnan(y[:, 0])
        without = images["embedding"][used] - y[used] @ bases[head].T
        answers = nearest(without, kinds[key])
        assert (row["values"], row["images"]) == (len(kinds[key]), used.sum())
        assert row["share"] == pytest.approx(share_of(y[used], np.array(answers)), abs=2e-3)


def test_answers_can_be_asked_for_where_something_is_known(unknown: Built, tmp_path: Path) -> None:
    with clipdb.open(unknown.path) as db:
        expected = db.rows("evidence")
    known = tmp_path / "known.clipdb"
    shutil.copytree(unknown.path, known, symlinks=True)
    with catalog.changing(known) as connection:
        connection.execute("update images set label = image_id[1]")
    with clipdb.open(known) as db:
        assert {row["truth"] for row in db.rows("evidence")} == {"metadata"}
        assert db.rows("evidence", pool="general") == expected


def test_answers_that_cannot_be_had_are_one_line(unknown: Built, tmp_path: Path) -> None:
    here = ("query", "evidence", "-i", unknown.path)
    assert "no pool 'nowhere' in this index: it has general" in refused(*here, "--pool", "nowhere")
    assert "has no property 'taste' that groups the images: it has colour, kind" in refused(*here, "--key", "taste")
    several = tmp_path / "several.clipdb"
    shutil.copytree(unknown.path, several, symlinks=True)
    with catalog.changing(several) as connection:
        connection.execute("insert into texts values ('new', 'never embedded')")
        connection.execute("insert into pools (pool, name) values ('other', 'other')")
        connection.execute(
            "insert into pool_texts (pool, text_id, position, property) values ('other', 'new', 0, 'a'), "
            "('other', ?, 1, 'b')",
            [rows(unknown.path, "select min(text_id) from pool_texts")[0][0]],
        )
    here = ("query", "evidence", "-i", several)
    assert refused(*here).endswith("choose one with --pool: general, other")
    assert "no embeddings of some texts of the pool 'other': run `clipdb span --pool other" in refused(
        *here, "--pool", "other"
    )


def test_images_of_which_nothing_is_known(tmp_path: Path) -> None:
    bare = build(tmp_path / "bare.clipdb", seed=43)
    with catalog.changing(bare.path) as connection:
        connection.execute("update images set metadata = null, label = null")
    assert refused("query", "evidence", "-i", bare.path).startswith(
        "nothing is known of the images, so that the model's own zero-shot answers take its place: no pool has texts "
        "with properties: run `clipdb span --pool general"
    )
    with catalog.changing(bare.path) as connection:
        connection.execute("update images set metadata = '{\"n\": \"' || image_id || '\"}'")
    assert refused("query", "evidence", "-i", bare.path).startswith("no key of the metadata groups the images: 'n' has")
