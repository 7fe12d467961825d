from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from built_index import SPANS, Built, sha
from support import MODEL, table

import clipdb
from clipdb.errors import ClipdbError

NEW = "striped things, as nobody put them"


def responses(vectors: np.ndarray, basis: np.ndarray, embedding: np.ndarray) -> tuple[float, float, float]:
    """Explained, spread and mean, from the shares of every image."""
    vectors = vectors[~np.isnan(vectors[:, 0])]
    direction = basis.T @ embedding
    shares = vectors @ direction
    total = ((vectors - vectors.mean(axis=0)) ** 2).sum(axis=1).mean()
    return shares.var() / (direction @ direction * total), shares.std(), shares.mean()


def stored_bases(db: clipdb.Index, size: int) -> dict[str, np.ndarray]:
    rows = db.sql("select name, basis from heads").fetchall()
    return {name: np.reshape(np.asarray(basis, np.float64), (size, -1)) for name, basis in rows}


@pytest.mark.parametrize("text", SPANS[:3])
def test_responses_equal_those_of_every_image(built: Built, text: str) -> None:
    with clipdb.open(built.path) as db:
        found = {row[0]: row[1:] for row in db.sql("from text_heads(null, $text)", text=text).fetchall()}
        bases = stored_bases(db, 8)
        embedding = db.sql("select embedding from text_vectors where text_id = $id", id=sha(text)).fetchall()[0][0]
    assert len(found) == 6
    for (_, layer, head), vectors in built.vectors.items():
        *values, images = found[f"L{layer}.H{head}"]
        expected = responses(vectors, bases[f"L{layer}.H{head}"], np.asarray(embedding, np.float64))
        assert values == pytest.approx(expected, rel=1e-5, abs=1e-6)
        assert images == (38 if layer == 1 else 40)


@pytest.mark.parametrize("by", ["explained", "spread"])
def test_heads_are_ranked(built: Built, by: str) -> None:
    with clipdb.open(built.path) as db:
        result = db.query.text_heads(SPANS[0], by=by)
        rows = [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]
    assert [row[by] for row in rows] == sorted((row[by] for row in rows), reverse=True)
    spans = {row["head"]: row["first_span"] for row in rows}
    assert spans["L2.H1"] == SPANS[3] and {row["head"]: row["property"] for row in rows}["L2.H1"] == "counting"


def test_all_texts_may_be_asked_at_once(built: Built) -> None:
    with clipdb.open(built.path) as db:
        every = db.sql(
            "select texts.text, near.head, near.explained from texts, lateral text_heads(null, texts.text) as near"
        ).fetchall()
        one = db.sql("select head, explained from text_heads(null, $text)", text=SPANS[4]).fetchall()
    assert len(every) == 30
    assert {row[1]: row[2] for row in every if row[0] == SPANS[4]} == pytest.approx(dict(one))


def test_a_function_may_be_called_in_several_threads(built: Built) -> None:
    with clipdb.open(built.path) as db, ThreadPoolExecutor(8) as threads:
        context = db.context
        counts = list(threads.map(lambda number: context.rows("select ?, count(*) from heads", number), range(300)))
        heads = list(threads.map(lambda _: context.heads("one/a"), range(8)))
    assert counts == [[(number, 6)] for number in range(300)]
    assert all(one is heads[0] for one in heads)


def test_a_new_text_goes_through_the_text_tower(ready_index: Path, weights: Path) -> None:
    import open_clip
    import torch

    network = open_clip.create_model("clipdb-tiny", load_weights=False)
    open_clip.load_checkpoint(network, str(weights))
    with torch.no_grad():
        embedding = network.eval().encode_text(open_clip.get_tokenizer("clipdb-tiny")([NEW]), normalize=True)[0]
    stored = table(ready_index)
    with clipdb.open(ready_index, device="cpu") as db:
        bases = stored_bases(db, 128)
        found = {row[0]: row[1:4] for row in db.query.text_heads(NEW).fetchall()}
        assert db.sql("select 1 from texts where text = $text", text=NEW).fetchall() == []
        assert db.query.text_heads(NEW, model=MODEL).fetchall()[0][0] in found
    assert set(found) == set(bases)
    for name, values in found.items():
        column = name.lower().replace(".", "")
        assert values == pytest.approx(
            responses(stored[column], bases[name], embedding.double().numpy()), rel=1e-3, abs=1e-5
        )


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, "text-heads needs --text"),
        ({"text": "  "}, "--text is empty"),
        ({"text": "red", "by": "x"}, "--by takes explained, spread"),
        ({"text": "red", "model": "none/x"}, "no model 'none/x'"),
    ],
)
def test_bad_values_are_said_in_a_line(built: Built, values: dict[str, object], problem: str) -> None:
    with clipdb.open(built.path) as db, pytest.raises(ClipdbError) as caught:
        db.query.text_heads(**values).fetchall()
    assert problem in str(caught.value) and "\n" not in str(caught.value)


def test_an_empty_text_in_sql_is_refused_and_null_has_no_heads(built: Built) -> None:
    with clipdb.open(built.path) as db:
        assert db.sql("from text_heads(null, null)").fetchall() == []
        with pytest.raises(ClipdbError, match="the text is empty"):
            db.execute("from text_heads(null, '')")


def test_several_models_must_be_told_apart(two: Built) -> None:
    with clipdb.open(two.path) as db:
        with pytest.raises(ClipdbError, match=r"several models: choose one with --model \(one/a, two/b\)"):
            db.query.text_heads(SPANS[0])
        assert len(db.query.text_heads(SPANS[0], model="two/b").fetchall()) == 6
