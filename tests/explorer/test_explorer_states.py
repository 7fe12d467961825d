"""Indexes that lack something, are written, replaced or gone: pages say so and recover."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from built_index import Built, build
from page_parts import Parts, client_of
from published_files import LABELS, SPANS
from support import MODEL, done

import clipdb
from clipdb.explorer.readers import Readers
from clipdb.explorer.site import Site
from clipdb.explorer.thumbnails import Thumbnails
from clipdb.schema import catalog, creation

BASE = f"/models/{MODEL}"


def site_of(path: Path, folder: Path) -> Site:
    return Site(path, device="cpu", thumbnails=folder / "thumbnails.db")


def test_an_empty_index_says_how_to_fill_it(tmp_path: Path) -> None:
    creation.create(tmp_path / "empty.clipdb")
    with client_of(site_of(tmp_path / "empty.clipdb", tmp_path)) as client:
        assert "clipdb ingest images SRC" in Parts(client.get("/").text).text
        assert "clipdb label" in Parts(client.get("/properties").text).text
        for page in ("/queries", "/sql", "/status", "/queries/heads"):
            assert client.get(page).status_code == 200


def test_an_index_of_names_only(tmp_path: Path) -> None:
    for kind, content in (("spans", SPANS), ("labels", LABELS)):
        (tmp_path / f"{kind}.csv").write_text(content)
        done("import", kind, tmp_path / f"{kind}.csv", "--source", "web", "-i", tmp_path / "named.clipdb")
    with client_of(site_of(tmp_path / "named.clipdb", tmp_path)) as client:
        [model] = client.get("/").headers["location"].split("/models/")[1:]
        page = Parts(client.get(f"/models/{model}").text)
        assert "Names without vectors" in page.text and "clipdb ingest images SRC" in page.text
        head = client.get(next(one for one in page.addresses if "/heads/" in one))
        assert head.status_code == 200 and "has no images in this index" in head.text and "/alike" not in head.text


def test_heads_without_spans_and_names(weights: Path, some: object, tmp_path: Path, model: tuple[object, ...]) -> None:
    done("ingest", "images", some(slice(0, 12)), *model, "--workers", 0, "-i", tmp_path / "bare.clipdb")  # type: ignore[operator]
    with client_of(site_of(tmp_path / "bare.clipdb", tmp_path)) as client:
        page = Parts(client.get(BASE).text).text
        assert "No head has a name" in page and "clipdb span" in page
        head = Parts(client.get(f"{BASE}/heads/L1.H0").text).text
        assert "No name" in head and "There are no spans of this head" in head and "that move it" in head


def test_two_models_have_a_card_each(two: Built, tmp_path: Path) -> None:
    with client_of(site_of(two.path, tmp_path)) as client:
        page = client.get("/").text
        assert 'href="/models/one/a"' in page and 'href="/models/two/b"' in page
        assert "choose one with --model" in client.get("/api/queries/head?head=L1.H0").json()["detail"]
        assert client.get("/queries/head?head=L1.H0&model=two/b").status_code == 200
        colours = {}
        for model in ("one/a", "two/b"):
            cells = [a for tag, a in Parts(client.get(f"/models/{model}").text).elements if a.get("data-property")]
            colours |= {(model, one["data-property"]): one["class"] for one in cells}
        assert len(colours) > 3


def test_a_picture_whose_file_is_gone(two: Built, tmp_path: Path) -> None:
    with client_of(site_of(two.path, tmp_path)) as client:
        answer = client.get(f"/images/{two.ids[0]}/thumb")  # a file, but no picture
        assert answer.status_code == 404 and answer.headers["content-type"] == "image/svg+xml"
        assert client.get(f"/models/one/a/images/{two.ids[0]}").status_code == 200


def test_an_export_is_shown_where_it_lies(shown_index: Path, tmp_path: Path) -> None:
    done("export", "artefact", tmp_path / "export", "-i", shown_index, "--what", "all")
    with (
        client_of(site_of(tmp_path / "export", tmp_path)) as client,
        client_of(site_of(shown_index, tmp_path)) as index,
    ):
        for address in ("/api/queries/heads", "/api/queries/activating?head=L3.H0", "/api/queries/spans?text=a"):
            assert client.get(address).json()["rows"] == index.get(address).json()["rows"]
        assert client.get(f"{BASE}/heads/L3.H0").status_code == 200


def test_a_newer_state_is_shown_and_nobody_waits(tmp_path: Path) -> None:
    built = build(tmp_path / "one.clipdb")
    with client_of(site_of(built.path, tmp_path)) as client:
        assert "smell" not in client.get("/api/queries/properties").text
        with catalog.changing(built.path) as connection:  # while a writer is at work, pages are as they were
            connection.execute("update labels set property = 'smell'")
            assert "smell" not in client.get("/api/queries/properties").text
        assert "smell" in client.get("/api/queries/properties").text
        assert 'data-property="smell"' in client.get("/models/one/a").text


def test_an_index_that_vanishes_and_comes_back(tmp_path: Path) -> None:
    built = build(tmp_path / "one.clipdb")
    with client_of(site_of(built.path, tmp_path)) as client:
        assert client.get("/models/one/a").status_code == 200
        built.path.rename(tmp_path / "away")
        gone = client.get("/models/one/a")
        assert gone.status_code == 404 and "one.clipdb" in Parts(gone.text).text
        assert client.get("/api/queries/heads").status_code == 404
        (tmp_path / "other").mkdir()
        build(tmp_path / "other" / "two.clipdb", models=("two/b",)).path.rename(built.path)
        assert client.get("/models/two/b").status_code == 200
        assert "two/b" in client.get("/models/one/a").text


def test_many_read_at_once(shown_index: Path) -> None:
    readers = Readers(lambda: clipdb.open(shown_index, files=False, models=False), at_once=3)
    failures: list[BaseException] = []
    answers: list[list[tuple[object, ...]]] = []

    def ask(number: int) -> None:
        try:
            for _ in range(4):
                with readers.reading() as index:
                    answers.append(index.query.activating(head=f"L{1 + number % 4}.H0", k=2).fetchall())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    readers.close()
    assert not failures and len(answers) == 32 and len({str(one) for one in answers}) == 4


def test_thumbnails_are_kept_by_content(shown_index: Path, tmp_path: Path) -> None:
    with clipdb.open(shown_index) as index:
        image_id = index.sql("select image_id from images order by 1").fetchall()[0][0]
        first = Thumbnails(tmp_path / "t.db")
        made = first.get(index, image_id)
        assert made is not None and first.size == (1, len(made))
        first.close()
    with clipdb.open(build(tmp_path / "other.clipdb").path) as other:  # which has no such image
        again = Thumbnails(tmp_path / "t.db")
        assert again.get(other, image_id) == made and again.get(other, "0" * 64) is None
        again.close()


@pytest.mark.parametrize("file", ["/dev/null/t.db", ""])
def test_thumbnails_need_no_cache(file: str, shown_index: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_bytes(b"this is no database" * 100)
    kept = Thumbnails(Path(file) if file else tmp_path / "broken.db")
    with clipdb.open(shown_index) as index:
        image_id = index.sql("select image_id from images").fetchall()[0][0]
        assert kept.get(index, image_id) is not None
    kept.close()
