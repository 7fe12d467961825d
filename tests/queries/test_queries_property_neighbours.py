from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from built_index import EMBED, HEAD_DIM, PROPERTIES, Built, build

import clipdb
from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.property_weights import parse_weights
from clipdb.schema import catalog

MODEL = "one/a"
CARRIERS: dict[str, list[tuple[int, int]]] = {}
for (_, layer, head), name in PROPERTIES.items():
    CARRIERS.setdefault(name.lower().rstrip("."), []).append((layer, head))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """An index whose heads have means."""
    made = build(tmp_path_factory.mktemp("property") / "property.clipdb", seed=21)
    rng = np.random.default_rng(22)
    with catalog.changing(made.path) as connection:
        for _, layer, head in made.vectors:
            mean = rng.normal(size=HEAD_DIM) / 2
            connection.execute(
                "update head_statistics set mean = ? where (layer, head) = (?, ?)", [mean.tolist(), layer, head]
            )
    return made


def oracle(
    built: Built, image: int, like: dict[str, float], unlike: dict[str, float], space: str
) -> list[tuple[str, float]]:
    """Score one image after the other in float64, in the spaces written out."""
    with catalog.connect(built.path) as connection:
        heads = connection.execute("select layer, head, basis, mean from heads").fetchall()
    parts = {
        (layer, head): (np.array(basis).reshape(EMBED, HEAD_DIM), np.array(mean)) for layer, head, basis, mean in heads
    }

    def place(row: int, name: str) -> np.ndarray:
        off = [
            (basis, built.vectors[MODEL, *head][row] - mean) for head in CARRIERS[name] for basis, mean in [parts[head]]
        ]
        return sum(basis @ y for basis, y in off) if space == "joint" else np.concatenate([y for _, y in off])

    def cosine(row: int, name: str) -> float:
        a, b = place(row, name), place(image, name)
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))

    scored = []
    for row, one in enumerate(built.ids):
        score = sum(weight * cosine(row, name) for name, weight in like.items())
        score -= sum(weight * max(cosine(row, name), 0) for name, weight in unlike.items())
        if row != image and not np.isnan(score):
            scored.append((one, score / sum(like.values())))
    return sorted(scored, key=lambda pair: -pair[1])


@pytest.mark.parametrize("space", ["joint", "heads"])
@pytest.mark.parametrize(
    ("like", "unlike", "weights", "against"),
    [
        ("colour", None, {"colour": 1.0}, {}),
        ("counting", None, {"counting": 1.0}, {}),
        ("Color:2, shape", None, {"colour": 2.0, "shape": 1.0}, {}),
        ("shape", "colour", {"shape": 1.0}, {"colour": 1.0}),
        ("shape:0.5,count", "colour:1.5", {"shape": 0.5, "counting": 1.0}, {"colour": 1.5}),
    ],
)
def test_it_equals_a_plain_loop(
    index: Built, space: str, like: str, unlike: str | None, weights: dict[str, float], against: dict[str, float]
) -> None:
    with clipdb.open(index.path) as db:
        found = db.query.property_neighbours(index.ids[4], like, unlike, space=space, k=1000)
        rows = found.project("image_id, score, rank").fetchall()
    expected = oracle(index, 4, weights, against, space)
    # Images that have not been through all of the heads are left out.
    of_layer_1 = any(layer == 1 for name in weights | against for layer, _ in CARRIERS[name])
    assert len(expected) == len(index.ids) - (3 if of_layer_1 else 1)
    assert [row[0] for row in rows] == [image for image, _ in expected]
    assert np.allclose([row[1] for row in rows], [score for _, score in expected], atol=2e-6)
    assert [row[2] for row in rows] == list(range(1, len(rows) + 1))


def test_defaults_names_and_joins(index: Built) -> None:
    with clipdb.open(index.path) as db:
        plain = db.query.property_neighbours(index.ids[0], like="colour").fetchall()
        assert len(plain) == 10 and plain == db.query.property_neighbours(index.ids[0], property="color").fetchall()
        assert plain == db.query.property_neighbours(index.ids[0], like="colour", space="joint").fetchall()
        query = "select image_id from property_neighbours(null, $i, like := 'colour', unlike := 'shape', k := 3)"
        assert len(db.sql(query, i=index.ids[0]).fetchall()) == 3
        lateral = """
            select images.image_id, near.image_id, near.score
            from images, lateral property_neighbours('one/a', images.image_id, 'shape', null, 1) as near
            where images.label = 'odd' order by all
        """
        found = db.sql(lateral).fetchall()
    expected = []
    for row in range(1, len(index.ids), 2):
        if not np.isnan(index.vectors[MODEL, 1, 2][row][0]):
            expected.append((index.ids[row], *oracle(index, row, {"shape": 1.0}, {}, "joint")[0]))
    assert [row[:2] for row in found] == [row[:2] for row in sorted(expected)]
    assert np.allclose([row[2] for row in found], [row[2] for row in sorted(expected)], atol=2e-6)


def test_an_image_without_vectors_of_the_heads_has_no_neighbours(index: Built) -> None:
    with clipdb.open(index.path) as db:
        assert db.query.property_neighbours(index.ids[-1], "colour").fetchall() == []
        assert len(db.query.property_neighbours(index.ids[-1], "counting").fetchall()) == 10


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, "no property is named: write one, as texture"),
        ({"like": "colr"}, "no head of one/a carries the property 'colr': there are colour"),
        ({"like": "colour", "unlike": "texture"}, "carries the property 'texture': there are"),
        ({"like": "c"}, "'c' could be several properties: colour, counting: write more of it"),
        ({"like": "colour:0"}, "'colour:0' has no weight after the colon: write a number above 0"),
        ({"like": "shape,colour:x"}, "'colour:x' has no weight after the colon"),
        ({"like": "colour,color:2"}, "the property 'colour' is named twice in 'colour,color:2'"),
        ({"like": "colour,shape", "unlike": "color"}, "colour can't be both like and unlike"),
        ({"like": "colour", "unlike": ","}, "no property is named"),
        ({"like": "colour", "space": "both"}, "--space takes joint, heads, not 'both'"),
        ({"like": "colour", "k": 0}, "k is 0"),
    ],
)
def test_bad_values_are_said_in_a_line(index: Built, values: dict[str, object], problem: str) -> None:
    with clipdb.open(index.path) as db, pytest.raises(ClipdbError) as caught:
        db.query.property_neighbours(index.ids[0], **values)
    assert problem in str(caught.value) and "\n" not in str(caught.value)


def test_a_name_may_have_commas_and_colons() -> None:
    known = {"colour", "colour, shape", "ratio 2:1"}
    assert parse_weights("Colour, Shape.", known) == {"colour, shape": 1.0}
    assert parse_weights("ratio 2:1:3, color", known) == {"ratio 2:1": 3.0, "colour": 1.0}
    assert parse_weights("ratio 2:1", known) == {"ratio 2:1": 1.0}


def test_without_labels_the_command_is_said(tmp_path: Path) -> None:
    bare = build(tmp_path / "bare.clipdb")
    with catalog.changing(bare.path) as connection:
        connection.execute("delete from labels")
    with clipdb.open(bare.path) as db:
        with pytest.raises(ClipdbError, match=r"this index has no names of heads yet: run `clipdb label`"):
            db.query.property_neighbours(bare.ids[0], "colour")
        with pytest.raises(ClipdbError, match=r"no head of one/a has a name yet: run `clipdb label`"):
            db.rows("property_neighbours", image=bare.ids[0], like="colour")


def test_the_whole_embedding_is_a_baseline(index: Built) -> None:
    with clipdb.open(index.path) as db:
        found = db.query.embedding_neighbours(index.ids[2], k=4).project("image_id, score").fetchall()
        stored = dict(db.sql("select image_id, embedding from image_vectors").fetchall())
    query = np.array(stored.pop(index.ids[2]), np.float64)
    cosines = {
        image: float(np.array(one) @ query / np.linalg.norm(one) / np.linalg.norm(query))
        for image, one in stored.items()
    }
    expected = sorted(cosines.items(), key=lambda pair: -pair[1])[:4]
    assert [image for image, _ in found] == [image for image, _ in expected]
    assert np.allclose([score for _, score in found], [score for _, score in expected], atol=1e-6)
