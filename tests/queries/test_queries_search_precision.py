"""How well a property's search does, against neighbours counted one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from built_index import Built, build
from support import clipdb as command
from support import refused, rows, table

import clipdb
from clipdb.errors import ClipdbError
from clipdb.schema import catalog

MODEL, K = "one/a", 3


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """An index whose images have a colour, but for one, and a label that they all share."""
    made = build(tmp_path_factory.mktemp("precision") / "precision.clipdb", seed=31)
    with catalog.changing(made.path) as connection:
        for number, one in enumerate(made.ids[:-1]):
            metadata = f'{{"Colour": "{"rgb"[number % 3]}", "weight": {number}}}'
            connection.execute("update images set metadata = ?, label = 'x' where image_id = ?", [metadata, one])
    return made


@pytest.fixture
def db(index: Built) -> Iterator[clipdb.Index]:
    with clipdb.open(index.path) as opened:
        yield opened


@pytest.mark.parametrize("space", ["joint", "heads"])
def test_it_counts_what_the_searches_find(db: clipdb.Index, index: Built, space: str) -> None:
    colour = {one: "rgb"[number % 3] for number, one in enumerate(index.ids[:-1])}
    images = 5
    found = db.rows("search_precision", property="colour", target="Colour", k=K, images=images, space=space)
    ids = {row["image_id"] for row in db.rows("property_neighbours", image=index.ids[0], like="colour", k=1000)}
    ids = (ids | {index.ids[0]}) & colour.keys()  # that have been through all of its heads and have a colour
    stored = table(index.path, "images", MODEL)
    unit = {one: row / np.linalg.norm(row) for one, row in zip(stored.ids, stored["embedding"], strict=True)}
    shares = []
    for image in sorted(ids)[:images]:
        near = db.rows("property_neighbours", image=image, like="colour", k=1000, space=space)
        by_property = [row["image_id"] for row in near if row["image_id"] in ids][:K]
        others = sorted(ids - {image})
        whole = sorted(others, key=lambda one: -float(unit[one] @ unit[image]))[:K]
        of = [np.mean([colour[one] == colour[image] for one in some]) for some in (by_property, whole, others)]
        shares.append(of)
    expected = np.array(shares)
    apart = expected[:, 0] - expected[:, 1]
    error = 1.959964 * np.std(apart, ddof=1) / np.sqrt(images)
    (row,) = found
    assert (row["property"], row["target"], row["images"]) == ("colour", "Colour", images)
    assert [row["precision"], row["embedding"], row["chance"]] == pytest.approx(expected.mean(axis=0).tolist())
    bounds = [apart.mean(), apart.mean() - error, apart.mean() + error]
    assert [row["difference"], row["low"], row["high"]] == pytest.approx(bounds)


def test_unasked_it_takes_each_property_that_a_key_is_called_after(db: clipdb.Index) -> None:
    rows = db.query.search_precision(k=K).fetchall()
    assert [row[:2] for row in rows] == [("colour", "Colour")]
    assert rows[0][-1] in ("use the property", "use the whole embedding", "no difference")
    alike = db.rows("search_precision", property="shape", target="label", k=K)[0]
    assert (alike["precision"], alike["embedding"], alike["difference"], alike["low"]) == (1, 1, 0, 0)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"property": "shape"}, "no key of the metadata is called 'shape': say with --target"),
        ({"property": "taste"}, "taste"),
        (
            {"property": "colour", "target": "none"},
            "no image has 'none' in its metadata: the keys are Colour, n, weight",
        ),
        ({"k": 0}, "k is 0"),
        ({"images": 1}, "images is 1"),
        ({"k": 500}, "more than 500 are needed"),
    ],
)
def test_what_has_no_answer_is_one_line(db: clipdb.Index, values: dict[str, object], says: str) -> None:
    with pytest.raises(ClipdbError, match=says):
        db.rows("search_precision", **values)


def test_without_a_key_of_a_propertys_name(tmp_path: Path) -> None:
    bare = build(tmp_path / "bare.clipdb", seed=32)
    says = refused("query", "search-precision", "--model", MODEL, "-i", bare.path)
    assert says == "no property of a head is also a key of the images' metadata: give --property and --target"


@pytest.mark.parametrize(
    ("query", "given"), [("neighbours", {"head": "L2.H0"}), ("property_neighbours", {"like": "colour"})]
)
def test_what_the_whole_embedding_finds_stands_beside(
    db: clipdb.Index, index: Built, query: str, given: dict[str, str]
) -> None:
    colour = {one: "rgb"[number % 3] for number, one in enumerate(index.ids[:-1])}
    image = index.ids[0]
    ask = getattr(db.query, query)
    alone = ask(image=image, k=K, model=MODEL, **given).fetchall()
    beside = ask(image=image, k=K, model=MODEL, baseline=True, **given)
    assert beside.columns == [
        *(
            "rank",
            "score",
            "image_id",
            "label",
            "uri",
            "baseline_id",
            "baseline_score",
            "precision",
            "baseline_precision",
        )
    ]
    rows = beside.fetchall()
    assert [row[:5] for row in rows] == alone
    whole = db.rows("embedding_neighbours", model=MODEL, image=image, k=K)
    assert [row[5:7] for row in rows] == [(row["image_id"], row["score"]) for row in whole]
    # A head whose name is no key of the metadata has the labels for the truth, which are the same but for one image.
    by_colour = query == "property_neighbours" or db.sql(
        "select property_key = 'colour' from head_properties where model_id = $m and name = 'L2.H0'", m=MODEL
    ).fetchone() == (True,)
    for place, ids in ((7, [row[2] for row in rows]), (8, [row[5] for row in rows])):
        same = [colour[one] == colour[image] if by_colour else True for one in ids if one in colour]
        assert [row[place] for row in rows] == pytest.approx([np.mean(same)] * K)


def test_a_property_of_untested_heads_is_said_to_be(index: Built) -> None:
    said = command(
        "query", "property-neighbours", index.ids[0], "--like", "colour:2", "--model", MODEL, "-i", index.path
    )
    heads = rows(
        index.path, "select count(*) from head_properties where model_id = 'one/a' and property_key = 'colour'"
    )
    assert f"note: 0 of {heads[0][0]} heads of colour have a name that was tested and holds" in said.stderr
