from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from built_index import HEAD_DIM, SPANS, Built, build, sha

import clipdb
from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.similarity import best
from clipdb.queries.index import Index
from clipdb.schema import catalog

MODEL = "one/a"
MEASURES = ["cosine", "dot", "centred"]


@pytest.fixture(scope="module")
def centred(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """An index whose heads have means far from 0."""
    built = build(tmp_path_factory.mktemp("centred") / "centred.clipdb", seed=11)
    with catalog.changing(built.path) as connection:
        for (_, layer, head), mean in means(built).items():
            connection.execute(
                "update head_statistics set mean = ? where (layer, head) = (?, ?)", [mean.tolist(), layer, head]
            )
    return built


def means(built: Built) -> dict[tuple[str, int, int], np.ndarray]:
    rng = np.random.default_rng(12)
    return {head: rng.normal(size=HEAD_DIM) for head in built.vectors}


def ranked(
    ids: list[str], targets: np.ndarray, query: np.ndarray, measure: str, off: tuple[np.ndarray, np.ndarray], skip: str
) -> list[tuple[str, float]]:
    """Compare one row after the other in float64; `off` is taken off targets and query where they are centred."""
    scored = []
    for one, vector in zip(ids, targets, strict=True):
        if one == skip or np.isnan(vector[0]):
            continue
        a, b = (vector - off[0], query - off[1]) if measure == "centred" else (vector, query)
        size = 1.0 if measure == "dot" else np.linalg.norm(a) * np.linalg.norm(b)
        scored.append((one, float(a @ b / size)))
    return sorted(scored, key=lambda pair: (-pair[1], pair[0]))


def same(found: list[dict[str, object]], expected: list[tuple[str, float]]) -> bool:
    return (
        [next(iter(row.values())) for row in found] == [one for one, _ in expected]
        and np.allclose([row["score"] for row in found], [score for _, score in expected], atol=2e-6)
        and [row["rank"] for row in found] == list(range(1, len(expected) + 1))
    )


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(("layer", "head"), [(1, 1), (2, 2)])
def test_four_searches_equal_a_plain_loop(centred: Built, layer: int, head: int, measure: str) -> None:
    images, mean = centred.vectors[MODEL, layer, head], means(centred)[MODEL, layer, head]
    texts, text_ids = images[: len(SPANS)], [sha(text) for text in SPANS]
    text_mean = texts.mean(axis=0)
    none = np.zeros(HEAD_DIM)
    asked = {"head": f"L{layer}.H{head}", "measure": measure, "k": 1000}
    with clipdb.open(centred.path) as db:
        for row in (0, 3):
            image, text = centred.ids[row], SPANS[row]
            found = {
                "neighbours": db.rows("neighbours", image=image, **asked),
                "text_neighbours": db.rows("text_neighbours", text=text, **asked),
                "image_texts": db.rows("image_texts", image=image, **asked),
                "text_texts": db.rows("text_texts", text=text, **asked),
            }
            expected = {
                "neighbours": ranked(centred.ids, images, images[row], measure, (mean, mean), image),
                "text_neighbours": ranked(centred.ids, images, texts[row], measure, (mean, none), ""),
                "image_texts": ranked(text_ids, texts, images[row], measure, (none, mean), ""),
                "text_texts": ranked(text_ids, texts, texts[row], measure, (text_mean, text_mean), sha(text)),
            }
            for name, rows in found.items():
                assert same(rows, expected[name]), name


def test_the_dot_of_a_text_is_the_heads_share(centred: Built) -> None:
    with clipdb.open(centred.path) as db:
        rows = db.rows("text_neighbours", head="L2.H1", text=SPANS[1], k=3, measure="dot")
        shares = db.sql(
            "select i.image_id, array_inner_product(i.l2h1, t.l2h1) as share from image_vectors i, text_vectors t "
            "where t.text_id = $t order by share desc limit 3",
            t=sha(SPANS[1]),
        ).fetchall()
    assert [row["image_id"] for row in rows] == [image for image, _ in shares]
    assert np.allclose([row["score"] for row in rows], [share for _, share in shares], atol=1e-6)


def test_texts_of_a_pool_only(centred: Built, tmp_path: Path) -> None:
    few = [sha(text) for text in SPANS[1:3]]
    copy = build(tmp_path / "copy.clipdb")
    with catalog.changing(copy.path) as connection:
        connection.execute("insert into pools values ('few', 'Few', 'tests', 'none')")
        connection.executemany("insert into pool_texts values ('few', ?, 0, null)", [[one] for one in few])
    with clipdb.open(copy.path) as db:
        every = db.query.image_texts(copy.ids[0], "L2.H0").project("text_id, score").fetchall()
        some = db.query.image_texts(copy.ids[0], "L2.H0", pool="few").project("text_id, score").fetchall()
        assert len(every) == 5 and some == [row for row in every if row[0] in few]
        near = db.query.text_texts(SPANS[1], "L2.H0", pool="few").project("text").fetchall()
        assert near == [(SPANS[2],)]
        with pytest.raises(ClipdbError, match="no pool 'many' in this index: it has few, general"):
            db.rows("image_texts", head="L2.H0", image=copy.ids[0], pool="many")


def test_texts_come_with_their_words(centred: Built) -> None:
    with clipdb.open(centred.path) as db:
        found = db.query.text_texts(SPANS[0], "L1.H0").fetchall()
        assert {row[2] for row in found} == set(SPANS[1:])
        images = db.query.text_neighbours(SPANS[0], "L1.H0", k=2)
        assert images.columns == ["rank", "score", "image_id", "label", "uri"] and len(images.fetchall()) == 2


def test_known_images_and_texts_import_no_torch(centred: Built) -> None:
    code = f"""
import sys, clipdb
with clipdb.open({str(centred.path)!r}) as db:
    for image in ({centred.ids[0]!r}, {str(centred.files[1])!r}):
        db.query.neighbours(image, "L1.H0").fetchall()
        db.query.image_texts(image, "L1.H0").fetchall()
        db.query.embedding_neighbours(image).fetchall()
        db.query.property_neighbours(image, "colour", "shape").fetchall()
    db.query.text_neighbours({SPANS[0]!r}, "L1.H0").fetchall()
    db.query.text_texts({SPANS[0]!r}, "L1.H0").fetchall()
print(bool({{"torch", "open_clip", "lancedb"}} & set(sys.modules)))
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "False\n"


def test_without_a_model_a_new_image_is_said(centred: Built) -> None:
    with Index(centred.path) as db, pytest.raises(ClipdbError, match="not in the index: open it with"):
        db.query.neighbours(__file__, "L1.H0")


@pytest.mark.parametrize(
    ("function", "arguments", "problem"),
    [
        ("text_neighbours", {"text": " ", "head": "L1.H0"}, "the text is empty: write what to look for"),
        ("text_texts", {"text": "a", "head": "L1.H0", "k": 0}, "k is 0: ask for at least 1 neighbour"),
        ("image_texts", {"image": "3", "head": "L1.H0", "measure": "l2"}, "'l2' is no measure: take cosine, dot"),
        ("image_texts", {"image": "zz", "head": "L1.H0"}, "no image 'zz' among the images of one/a"),
        ("text_neighbours", {"text": "a", "head": "L7.H0"}, "no vectors of head L7.H0: its layers here are 1, 2"),
    ],
)
def test_bad_arguments_are_said_in_a_line(
    centred: Built, function: str, arguments: dict[str, object], problem: str
) -> None:
    with clipdb.open(centred.path) as db, pytest.raises(ClipdbError) as caught:
        db.rows(function, **arguments)
    assert problem in str(caught.value) and "\n" not in str(caught.value)


def test_without_texts_the_command_is_said(tmp_path: Path) -> None:
    copy = build(tmp_path / "copy.clipdb")
    with catalog.changing(copy.path) as connection:
        connection.execute("delete from batches where kind = 'texts'")
    with clipdb.open(copy.path) as db, pytest.raises(ClipdbError, match="has no texts in this index: run `clipdb ing"):
        db.query.image_texts(copy.ids[0], "L1.H0")


def test_equal_scores_go_by_id() -> None:
    ids = np.array([f"{n:02d}" for n in range(12)], dtype=np.bytes_)
    scores = np.array([1, 3, 2, 3, np.nan, 3, 2, 3, 0, 3, np.nan, 3], np.float32)
    assert [one for one, _, _ in best(ids, scores.copy(), 4)] == ["01", "03", "05", "07"]
    assert [one for one, _, _ in best(ids, scores.copy(), 4, itself=3)] == ["01", "05", "07", "09"]
    assert [one for one, _, _ in best(ids, scores.copy(), 99)] == [
        "01", "03", "05", "07", "09", "11", "02", "06", "00", "08",
    ]  # fmt: skip
    assert best(ids, scores.copy(), 9, among=np.array([0, 4, 8])) == [("00", 1.0, 1), ("08", 0.0, 2)]
    assert best(ids, np.full(12, np.nan), 3) == [] and best(ids[:0], scores[:0], 3) == []
