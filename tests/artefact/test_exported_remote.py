from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest
from built_index import SPANS, Built
from range_server import Served, serve
from support import done, refused
from written_artefact import change_manifest, write_built, write_large

import clipdb
from clipdb.artefact.reading.remote import load_httpfs
from clipdb.errors import ClipdbError

IMAGES = 20_000


@pytest.fixture(scope="module", autouse=True)
def httpfs() -> None:
    """DuckDB's extension, as a person gets it."""
    with duckdb.connect() as connection:
        try:
            load_httpfs(connection, "https://example.org")
        except ClipdbError as error:
            pytest.skip(str(error))


@pytest.fixture(scope="module")
def folder(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds `built` as the artefact ``heads``."""
    root = tmp_path_factory.mktemp("served")
    write_built(root / "heads", built)
    return root


@pytest.fixture
def served(folder: Path) -> Iterator[Served]:
    with serve(folder) as server:
        yield server


def test_answers_are_those_of_the_index(built: Built, served: Served) -> None:
    questions = [
        ("heads", {}),
        ("entanglement", {}),
        ("neighbours", {"image": built.ids[9], "head": "L1.H1"}),
        ("property_neighbours", {"image": built.ids[9], "property": "colour"}),
        ("text_neighbours", {"text": SPANS[2], "head": "L2.H0"}),
        ("contributions", {"image": built.ids[9], "text": SPANS[2]}),
    ]
    with clipdb.open(built.path) as index, clipdb.open(f"{served.url}/heads/") as artefact:
        for query, values in questions:
            rows = getattr(artefact.query, query)(**values).fetchall()
            assert rows and rows == getattr(index.query, query)(**values).fetchall()
        vectors = "select image_id, l1h1, l2h0 from image_vectors order by image_id"
        assert artefact.sql(vectors).fetchall() == index.sql(vectors).fetchall()


def test_a_question_to_relations_reads_no_vectors(served: Served) -> None:
    assert "a grey wall" in done("query", "head", "L2.H1", "-i", f"{served.url}/heads")
    assert served.bytes_of("heads/relations/") > 0 == served.bytes_of("heads/vectors/")
    assert {path for method, path in served.requests if path.startswith("heads/vectors/")} == set()


def test_what_was_read_is_not_asked_for_again(built: Built, served: Served) -> None:
    with clipdb.open(f"{served.url}/heads") as db:
        for query, values in (("heads", {}), ("neighbours", {"image": built.ids[1], "head": "L2.H1"})):
            first = getattr(db.query, query)(**values).fetchall()
            served.forget()
            assert getattr(db.query, query)(**values).fetchall() == first
            assert served.requests == []


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], np.ndarray]:
    return write_large(tmp_path_factory.mktemp("large") / "large", IMAGES)


def test_neighbours_read_one_column(large: tuple[Path, list[str], np.ndarray]) -> None:
    folder, ids, vectors = large
    with serve(folder) as server, clipdb.open(server.url) as db:
        found = db.rows("neighbours", head="L11.H3", image=ids[12_345], k=20)
        size = sum(file.stat().st_size for file in folder.glob("vectors/*/*.parquet"))
        assert vectors.nbytes / 2 < server.bytes_of("vectors/") < 0.03 * size
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = unit @ unit[12_345]
    scores[12_345] = -np.inf
    best = np.argsort(-scores)[:20]
    assert [row["image_id"] for row in found] == [ids[row] for row in best]
    np.testing.assert_allclose([row["score"] for row in found], scores[best], rtol=1e-5)


def test_sql_over_a_column_reads_that_column(large: tuple[Path, list[str], np.ndarray]) -> None:
    folder, _, vectors = large
    with serve(folder) as server, clipdb.open(server.url) as db:
        ((norm,),) = db.sql("select sum(array_inner_product(l11h3, l11h3)) from image_vectors").fetchall()
        size = sum(file.stat().st_size for file in folder.glob("vectors/*/*.parquet"))
        assert server.bytes_of("vectors/") < 0.03 * size
    assert norm == pytest.approx(float((vectors.astype(np.float64) ** 2).sum()), rel=1e-4)


def test_one_row_reads_its_row_group(large: tuple[Path, list[str], np.ndarray]) -> None:
    folder, ids, vectors = large
    with serve(folder) as server, clipdb.open(server.url) as db:
        _, image = db.context.subjects.image("ViT-B/large", ids[19_999])
        size = sum(file.stat().st_size for file in folder.glob("vectors/*/*.parquet"))
        # The last row group has 3,616 of 20,000 rows.
        assert server.bytes_of("vectors/") < 0.22 * size
    assert np.array_equal(image.heads[11, 3], vectors[19_999])


def test_a_bucket_is_read_with_duckdb_s_own_secret(
    built: Built, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # where DuckDB keeps secrets
    with duckdb.connect() as connection:
        load_httpfs(connection, served.url)
        host = served.url.removeprefix("http://")
        connection.execute(
            f"create persistent secret (type s3, key_id 'k', secret 's', endpoint '{host}', url_style 'path', "
            "use_ssl false, region 'us-east-1')"
        )
    assert done("query", "heads", "-f", "csv", "-i", "s3://heads") == done(
        "query", "heads", "-f", "csv", "-i", built.path
    )
    assert ("GET", "heads/manifest.json") in served.requests


def test_a_dataset_on_the_hub_is_asked_for_where_it_is() -> None:
    said = refused("query", "heads", "-i", "hf://datasets/clipdb-tests/there-is-none/heads")
    assert said.startswith("hf://datasets/clipdb-tests/there-is-none/heads can't be read: check the address")
    assert "https://huggingface.co/datasets/clipdb-tests/there-is-none/resolve/main/heads/manifest.json" in said


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("{url}/nothing", "can't be read: check the address"),
        ("{url}/nothing", "404"),
        ("{url}/page", "{url}/page: manifest.json is not JSON"),
        ("{url}/newer", "{url}/newer has format version 2 and this clipdb knows 1: upgrade clipdb"),
        ("{url}/heads/manifest.json", "{url}/heads/manifest.json can't be read: write {url}/heads ("),
        ("{url}/datasets/o/n", "{url}/datasets/o/n can't be read: write hf://datasets/o/n ("),
        ("{url}/datasets/o/n/tree/main/a/b", "write hf://datasets/o/n/a/b ("),
        ("{url}/datasets/o/n/blob/main/manifest.json", "write hf://datasets/o/n ("),
        ("{url}/datasets/o/n/resolve/main/a", "check the address"),
        ("{url}/missing", "relations/spans.parquet' (HTTP 404 Not Found)"),
        ("{url}/short", "{url}/short can't be read: get the artefact again"),
        ("http://127.0.0.1:1/heads", "http://127.0.0.1:1/heads can't be read: check the address"),
        ("ftp://example.org/heads", "ftp://example.org/heads can't be read: DuckDB reads https://, hf://, s3://"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_line(folder: Path, served: Served, url: str, problem: str) -> None:
    _damage(folder)
    assert problem.format(url=served.url) in refused("query", "heads", "-i", url.format(url=served.url))


def test_a_manifest_without_end_is_not_read(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "heads", tmp_path / "heads")
    with (tmp_path / "heads/manifest.json").open("rb+") as file:
        file.truncate(2**40)  # which takes no room
    with serve(tmp_path) as server:
        said = refused("query", "heads", "-i", f"{server.url}/heads")
        assert said.endswith("manifest.json is larger than any that `clipdb export` writes: get the artefact again")
        assert server.bytes_of("heads/") < 2**20


def _damage(folder: Path) -> None:
    """Make copies that are not as they should be, once."""
    if (folder / "page").exists():
        return
    for name in ("newer", "missing", "short", "page"):
        shutil.copytree(folder / "heads", folder / name)
    change_manifest(folder / "newer", format_version=2)
    (folder / "missing/relations/spans.parquet").unlink()
    short = folder / "short/relations/spans.parquet"
    short.write_bytes(short.read_bytes()[:-20])
    (folder / "page/manifest.json").write_text("<!doctype html><p>Not here")


def test_a_host_that_goes_away_is_said_in_a_line(built: Built, folder: Path) -> None:
    with serve(folder) as server:
        db = clipdb.open(f"{server.url}/heads")
    with db, pytest.raises(ClipdbError) as caught:
        db.query.neighbours(image=built.ids[1], head="L2.H1")
    assert "\n" not in str(caught.value) and f"{server.url}/heads can't be read" in str(caught.value)
