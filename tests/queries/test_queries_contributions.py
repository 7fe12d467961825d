from __future__ import annotations

from pathlib import Path

import lance
import numpy as np
import pytest
from built_index import LAYERS, PROPERTIES, SPANS, Built, build

import clipdb
from clipdb.errors import ClipdbError
from clipdb.schema import catalog
from clipdb.schema.vectors import images_path, texts_path

ROWS = "select layer, head, name, property, share from contributions($model, $image, $text)"


def embeddings(built: Built, model: str = "one/a") -> tuple[np.ndarray, np.ndarray]:
    """The unit embeddings of images and of `SPANS` as they are stored, in float64."""
    images, texts = (
        np.array(lance.dataset(str(path)).to_table(columns=["embedding"]).column(0).to_pylist(), np.float64)
        for path in (images_path(built.path, model), texts_path(built.path, model))
    )
    return images, texts


def oracle(built: Built, image: int, text: int, model: str = "one/a") -> dict[str, float]:
    """Shares by head in float64; `build` gives the text of row i the head vectors of image i."""
    shares = {}
    for (of, layer, head), vectors in built.vectors.items():
        if of == model and not np.isnan(vectors[image]).any():
            text_vector = np.nan_to_num(vectors[text])
            shares[f"L{layer}.H{head}"] = sum(
                float(a) * float(b) for a, b in zip(vectors[image], text_vector, strict=True)
            )
    images, texts = embeddings(built, model)
    shares["not stored"] = float(images[image] @ texts[text]) - sum(shares.values())
    return shares


@pytest.mark.parametrize(("image", "text"), [(0, 0), (17, 3), (39, 4)])
def test_shares_equal_plain_inner_products(built: Built, image: int, text: int) -> None:
    with clipdb.open(built.path) as db:
        rows = db.sql(ROWS, model="one/a", image=built.ids[image], text=SPANS[text]).fetchall()
    expected = oracle(built, image, text)
    assert [row[2] for row in rows] == list(expected)
    assert np.allclose([row[4] for row in rows], list(expected.values()), atol=1e-12)
    for layer, head, name, property, _ in rows[:-1]:
        assert name == f"L{layer}.H{head}" and property == PROPERTIES.get(("one/a", layer, head))
    assert rows[-1][:4] == (None, None, "not stored", None)


def test_a_partition_that_the_image_has_no_vectors_of(built: Built) -> None:
    question = {"image": built.ids[0], "text": SPANS[0], "partition": "pool"}
    with (
        clipdb.open(built.path) as db,
        pytest.raises(ClipdbError, match="has no vectors of the pooling's heads") as told,
    ):
        db.rows("contributions", **question)
    assert told.value.kind == "absent"


def test_a_head_that_the_image_has_not_been_through_counts_in_the_rest(built: Built) -> None:
    with clipdb.open(built.path) as db:
        rows = db.sql(ROWS, model=None, image=built.ids[-1], text=SPANS[0]).fetchall()
    images, texts = embeddings(built)
    assert {row[0] for row in rows} == {2, None}
    assert np.isclose(sum(row[4] for row in rows), images[-1] @ texts[0], atol=1e-12)


@pytest.mark.parametrize("by", ["head", "layer", "property"])
@pytest.mark.parametrize("against", [None, 1])
def test_sums_by_head_layer_and_property(built: Built, by: str, against: int | None) -> None:
    text_b = None if against is None else SPANS[against]
    with clipdb.open(built.path) as db:
        rows = db.query.contributions(built.ids[7], SPANS[3], text_b, by=by).fetchall()
    shares = oracle(built, 7, 3)
    if against is not None:
        shares = {name: share - oracle(built, 7, against)[name] for name, share in shares.items()}
    parts: dict[str, float] = {}
    for name, share in shares.items():
        layer, head = (int(name[1]), int(name[4])) if name != "not stored" else (None, None)
        label = PROPERTIES.get(("one/a", layer or 0, head or 0), "unlabelled").lower().rstrip(".")
        part = name if by == "head" or layer is None else f"layer {layer}" if by == "layer" else label
        parts[part] = parts.get(part, 0.0) + share
    found = {row[0]: row[-1] for row in rows}
    assert found.keys() == parts.keys()
    assert all(np.isclose(found[part], share, atol=1e-12) for part, share in parts.items())
    assert rows[-1][0] == "not stored" and sum(row[2] for row in rows) == 6
    sizes = [abs(row[-1]) for row in rows[:-1]]
    assert sizes == sorted(sizes, reverse=True)


def test_it_correlates_with_images_and_texts(built: Built) -> None:
    query = """
        select images.image_id, texts.text, sum(share) from images, texts,
            lateral contributions('one/a', images.image_id, texts.text)
        where images.label = 'odd' group by all order by all
    """
    with clipdb.open(built.path) as db:
        found = db.sql(query).fetchall()
    images, texts = embeddings(built)
    expected = sorted(
        (built.ids[i], SPANS[j], float(images[i] @ texts[j]))
        for i in range(1, len(built.ids), 2)
        for j in range(len(SPANS))
    )
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    assert np.allclose([row[2] for row in found], [row[2] for row in expected], atol=1e-12)


def test_shares_join_spans_and_labels(built: Built) -> None:
    query = """
        select c.name, any_value(c.property), list(s.text order by rank) from contributions(null, $image, $text) as c
        join spans as s using (layer, head) group by c.name order by c.name
    """
    with clipdb.open(built.path) as db:
        rows = db.sql(query, image=built.ids[2][:20], text=SPANS[1]).fetchall()
    assert len(rows) == len(LAYERS) * 3 and all(len(row[2]) == len(SPANS) for row in rows)


def test_texts_without_a_heads_vector_get_it_from_the_basis(tmp_path: Path) -> None:
    copy = build(tmp_path / "copy.clipdb")
    path = texts_path(copy.path, "one/a")
    lance.dataset(str(path)).drop_columns(["l2h1"])
    with catalog.changing(copy.path) as connection:
        connection.execute(
            "update batches set lance_version = ? where kind = 'texts'", [lance.dataset(str(path)).version]
        )
        basis = connection.execute("select basis from heads where name = 'L2.H1'").fetchone()
    with clipdb.open(copy.path) as db:
        shares = dict(
            db.sql(f"select name, share from ({ROWS})", model=None, image=copy.ids[4], text=SPANS[2]).fetchall()
        )
    assert basis is not None
    text = np.array(basis[0], np.float64).reshape(8, 4).T @ embeddings(copy)[1][2]
    assert np.isclose(shares["L2.H1"], copy.vectors["one/a", 2, 1][4] @ text, atol=1e-6)


def test_nulls_have_no_shares(built: Built) -> None:
    with clipdb.open(built.path) as db:
        assert db.sql(ROWS, model=None, image=None, text=SPANS[0]).fetchall() == []
        assert db.sql(ROWS, model=None, image=built.ids[0], text=None).fetchall() == []


@pytest.mark.parametrize(
    ("image", "text", "problem"),
    [
        ("zz", "x", "no image 'zz'"),
        ("", "x", "may be several images among the images of one/a: "),
        (None, "  ", "the text is empty"),
    ],
)
def test_bad_arguments_are_said_in_a_line(built: Built, image: str | None, text: str, problem: str) -> None:
    given = {"model": None, "image": built.ids[0] if image is None else image, "text": text}
    with clipdb.open(built.path) as db, pytest.raises(ClipdbError) as caught:
        db.execute(ROWS, given)
    assert problem in str(caught.value) and "\n" not in str(caught.value)


def test_several_models_must_be_told_apart(two: Built) -> None:
    with clipdb.open(two.path) as db:
        with pytest.raises(ClipdbError, match=r"several models: choose one with --model \(one/a, two/b\)"):
            db.query.contributions(two.ids[0], SPANS[0])
        rows = db.query.contributions(two.ids[0], SPANS[0], model="two/b").fetchall()
    expected = oracle(two, 0, 0, "two/b")
    assert all(np.isclose(row[-1], expected[row[0]], atol=1e-12) for row in rows)
