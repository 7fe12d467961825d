"""An image may be named by whatever clipdb prints of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from built_index import Built, build

import clipdb
from clipdb.errors import ClipdbError
from clipdb.schema import catalog

URIS = {
    0: "/data/a/one.png",
    1: "/data/b/one.png",
    2: "/data/b/two.png",
    3: "/data/shard-000.tar#0002.jpg",
    4: "/data/shard-001.tar#0002.jpg",
    5: "/data/all.parquet#row=17",
    6: "/data/my two.png",
    7: "/data/twice.png",
    8: "/data/twice.png",
}


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Built:
    built = build(tmp_path_factory.mktemp("named") / "named.clipdb")
    with catalog.changing(built.path) as connection:
        for number, uri in URIS.items():
            connection.execute("update images set uri = ? where image_id = ?", [uri, built.ids[number]])
        connection.execute("update images set uri = '' where image_id = ?", [built.ids[9]])
        connection.execute(
            "insert into images values (?, '/data/unseen.png', 4, 4, 'PNG', null, null, null)", ["f" * 64]
        )
    return built


def ids(index: Path, image: str) -> tuple[str, str]:
    """Find an image by a named query's parameter, and by an argument of a function in SQL."""
    from clipdb.queries.named.sql_files import find_query

    with clipdb.open(index) as db:
        bound = db.bind(find_query("neighbours"), {"image": image, "head": "L2.H1"})["image"]
        return bound, db.context.subjects.image_id("one/a", image)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("two.png", 2),
        ("./two.png", 2),
        ("b/one.png", 1),
        ("/data/a/one.png", 0),
        ("shard-000.tar#0002.jpg", 3),
        ("/data/shard-001.tar#0002.jpg", 4),
        ("all.parquet#row=17", 5),
        ("row=17", 5),
        ("my two.png", 6),
        ("  two.png ", 2),
    ],
)
def test_a_name_or_a_uri_is_the_image(named: Built, name: str, number: int) -> None:
    assert ids(named.path, name) == (named.ids[number],) * 2


def test_an_id_goes_by_its_beginning_in_any_case(named: Built) -> None:
    for number in (0, 7, 9):
        for image in (named.ids[number], named.ids[number][:12].upper()):
            assert ids(named.path, image) == (named.ids[number],) * 2


def test_a_file_goes_before_a_name(named: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "two.png").write_bytes(named.files[30].read_bytes())
    monkeypatch.chdir(tmp_path)
    assert ids(named.path, "two.png") == (named.ids[30],) * 2


@pytest.mark.parametrize(
    ("name", "candidates"),
    [("one.png", (0, 1)), ("0002.jpg", (3, 4)), ("twice.png", (7, 8)), ("/data/twice.png", (7, 8))],
)
def test_what_may_be_several_lists_them(named: Built, name: str, candidates: tuple[int, ...]) -> None:
    listed = ", ".join(f"{one[:12]} {URIS[named.ids.index(one)]}" for one in sorted(named.ids[n] for n in candidates))
    for way in (0, 1):
        with pytest.raises(ClipdbError) as error:
            ids_by(named.path, name, way)
        assert str(error.value).startswith(f"{name!r} may be several images ")
        assert str(error.value).endswith(f": {listed}: write more of the uri or the id")


def ids_by(index: Path, image: str, way: int) -> None:
    from clipdb.queries.named.sql_files import find_query

    with clipdb.open(index) as db:
        if way:
            db.context.subjects.image_id("one/a", image)
        else:
            db.bind(find_query("neighbours"), {"image": image, "head": "L2.H1"})


@pytest.mark.parametrize("name", ["ne.png", "shard-000.tar", "%", "_wo.png", "two.PNG", "a" * 300])
def test_part_of_a_name_is_none(named: Built, name: str) -> None:
    with pytest.raises(ClipdbError, match="in this index: give a file, its name or uri in the index, or the beginning"):
        ids(named.path, name)


def test_an_image_that_the_model_has_not_seen_is_said(named: Built) -> None:
    with clipdb.open(named.path) as db, pytest.raises(ClipdbError, match=r"no image .* among the images of one/a"):
        db.rows("neighbours", model="one/a", head="L2.H1", image="unseen.png", k=3)


def test_a_function_in_sql_takes_a_name(named: Built) -> None:
    with clipdb.open(named.path) as db:
        by_name, by_id = (
            db.sql("from neighbours(null, 'L2.H1', $image, 3)", image=image).fetchall()
            for image in ("shard-000.tar#0002.jpg", named.ids[3])
        )
        assert by_name == by_id and len(by_name) == 3
