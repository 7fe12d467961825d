"""Images and texts that an index lacks: the model runs on them, once, and they are searched like any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import HALF, MODEL, Table, done, refused, table

import clipdb
from clipdb.demo.captions import scene_pool

KNOWN = 40
HEAD, COLUMN = "L4.H2", "l4h2"


@pytest.fixture(scope="module")
def small(some: Callable[[slice], Path], model: tuple[object, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first scenes only, and no texts."""
    index = tmp_path_factory.mktemp("small") / "small.clipdb"
    done("ingest", "images", some(slice(KNOWN)), *model, "--workers", 0, "-i", index)
    return index


@pytest.fixture(scope="module")
def truth(ready_index: Path) -> tuple[Table, Table]:
    """Vectors of all scenes and of the pool's texts under the same model, as an ingest stored them."""
    return table(ready_index), table(ready_index, "texts")


def cosines(vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    return np.array([one @ query / (np.linalg.norm(one) * np.linalg.norm(query)) for one in vectors])


def test_a_new_image_is_embedded_once_and_as_an_ingest_would(
    small: Path, pictures: list[Path], truth: tuple[Table, Table]
) -> None:
    import hashlib

    picture = pictures[KNOWN + 5]
    row = truth[0].ids.index(hashlib.sha256(picture.read_bytes()).hexdigest())
    mine = table(small)
    expected = dict(zip(mine.ids, cosines(mine[COLUMN], truth[0][COLUMN][row]), strict=True))
    with clipdb.open(small, device="cpu") as db:
        found = db.query.neighbours(picture, HEAD, k=1000).project("image_id, score").fetchall()
        subjects = db.context.subjects
        assert subjects.image(MODEL, str(picture))[1] is subjects.image(MODEL, str(picture))[1]
        whole = db.query.embedding_neighbours(picture, k=1000).project("image_id, score").fetchall()
    assert {image for image, _ in found} == set(mine.ids) and len(found) == KNOWN
    assert np.allclose([score for _, score in found], [expected[image] for image, _ in found], atol=HALF)
    expected = dict(zip(mine.ids, cosines(mine["embedding"], truth[0]["embedding"][row]), strict=True))
    assert np.allclose([score for _, score in whole], [expected[image] for image, _ in whole], atol=HALF)


def test_a_new_text_is_embedded_once(small: Path, truth: tuple[Table, Table]) -> None:
    import hashlib

    text = scene_pool()[7][0]
    row = truth[1].ids.index(hashlib.sha256(text.encode()).hexdigest())
    mine = table(small)
    expected = dict(zip(mine.ids, cosines(mine[COLUMN], truth[1][COLUMN][row]), strict=True))
    with clipdb.open(small, device="cpu") as db:
        found = db.rows("text_neighbours", head=HEAD, text=text, k=1000, measure="cosine")
        assert db.context.subjects.text(MODEL, text) is db.context.subjects.text(MODEL, text)
    assert len(found) == KNOWN
    assert np.allclose([one["score"] for one in found], [expected[one["image_id"]] for one in found], atol=HALF)


def test_a_long_text_says_what_was_dropped(small: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with clipdb.open(small, device="cpu") as db:
        db.query.text_neighbours("red " * 40, HEAD)
        assert "note: the text has 40 tokens and the model reads 30: the last 10 were dropped" in capfd.readouterr().err
        db.query.text_neighbours("red " * 30, HEAD)
        assert "dropped" not in capfd.readouterr().err


def test_no_picture_is_said(small: Path, tmp_path: Path) -> None:
    (tmp_path / "words.png").write_text("no picture")
    asked = ("query", "neighbours", tmp_path / "words.png", "--head", HEAD, "-i", small)
    assert "words.png can't be read as an image" in refused(*asked)
