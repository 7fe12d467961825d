"""`clipdb export pages`: what the folder holds, whoever serves it; and what becomes of it when something goes wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urljoin, urlsplit
from urllib.request import urlopen

import pytest
from built_index import Built
from file_hosts import serving_files
from page_parts import Parts
from published_files import HEADS
from support import MODEL, clipdb, done, refused

SLUG = MODEL.replace("/", "__")


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def content(folder: Path) -> dict[str, bytes]:
    return {one.relative_to(folder).as_posix(): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def crawled(url: str) -> set[str]:
    """Follow every link from the first page on, none of which may leave the folder; return the files found."""
    todo, seen = [f"{url}index.html"], set()
    while todo:
        address = todo.pop()
        if address in seen:
            continue
        seen.add(address)
        assert address.startswith(url)
        with urlopen(address) as answer:
            data = answer.read()
            if answer.headers.get_content_type() != "text/html":
                continue
        page = Parts(data.decode())
        for one in page.addresses:
            assert not one.startswith("/") and "://" not in one, (address, one)
            todo.append(urljoin(address, urlsplit(one)._replace(query="", fragment="").geturl() or address))
        assert all("data-frozen" in attrs for tag, attrs in page.elements if tag == "form"), address
        [policy] = [attrs["content"] for _, attrs in page.elements if attrs.get("http-equiv")]
        assert (policy or "").startswith("default-src 'none'; ")
    return {urlsplit(one).path.removeprefix(urlsplit(url).path) for one in seen}


def test_every_link_leads_to_a_file_of_the_folder(frozen: Path) -> None:
    with serving_files(frozen.parents[1]) as host:
        reached = crawled(f"{host}/some%20where/pages/")
    files = set(content(frozen))
    by_scripts = {one for one in files if one.startswith("pictures/")} | {"static/hyparquet.js", "static/gone.svg"}
    assert files - reached <= by_scripts | {"README.md", ".nojekyll", "clipdb-pages.json", f"{SLUG}/vectors.parquet"}
    assert {"index.html", "properties.html", f"{SLUG}/nearest.html", f"{SLUG}/heads/L4.H5.span-3.html"} <= reached
    assert {f"{SLUG}/images.html", f"{SLUG}/images-3.html"} <= reached and f"{SLUG}/images-4.html" not in files


def test_names_alone_whatever_they_are(tmp_path: Path) -> None:
    """Nothing is asked where there are no images, and a property may have any letters."""
    names = ["what? 50% of <b>#1</b> & /more", "a/b", "Ocean", "océan"]
    rows = [f'ViT-A,web,3,{head},"{name}"' for head, name in enumerate(names)]
    (tmp_path / "labels.csv").write_text("\n".join([f"{HEADS},property", *rows]), encoding="utf-8")
    done("import", "labels", tmp_path / "labels.csv", "--source", "web", "-i", tmp_path / "named.clipdb")
    done("export", "pages", tmp_path / "pages", "-i", tmp_path / "named.clipdb")
    with serving_files(tmp_path) as host:
        reached = crawled(f"{host}/pages/")
    assert sum(one.startswith("properties/") for one in reached) == 4 and "properties/ocean.html" in reached
    page = Parts((tmp_path / "pages" / "properties.html").read_text(encoding="utf-8"))
    assert all(name.lower() in page.text for name in names)


def test_what_it_shows(frozen: Path, shown_index: Path) -> None:
    """The pages of a head are those of the live explorer, with commands that name the index and not where it lies."""
    files = content(frozen)
    head = Parts(files[f"{SLUG}/heads/L4.H1.span-2.html"].decode())
    [command] = [one for one in head.commands if "activating" in one]
    assert command == f"clipdb query activating --head L4.H1 --span 2 --k 12 --model {MODEL} -i heads"
    shown = [attrs["src"] for tag, attrs in head.elements if tag == "img"]
    rows = done("query", "activating", "L4.H1", "--span", 2, "--k", 12, "-i", shown_index, "-f", "jsonl")
    ids = [json.loads(row)["image_id"] for row in rows.splitlines()]
    assert shown == [f"../../pictures/{one[:16]}.webp" for one in ids]
    assert sum(attrs.get("class") == "figure" for tag, attrs in head.elements if tag == "span") >= 5  # heads alike
    for name, data in files.items():
        assert os.fsencode(shown_index.parent) not in data and b"/tmp/" not in data, name
    gallery = [name for name in files if re.fullmatch(rf"{SLUG}/images(-\d)?\.html", name)]
    assert len(gallery) == 3 and b'rel="next"' not in files[f"{SLUG}/images-3.html"]
    assert sum(files[name].count(b"<img") for name in gallery) == 130


def test_without_images(two: Built, tmp_path: Path) -> None:
    """No picture, name or label of an image is in any file, and no question is asked; several models have a start."""
    place = tmp_path / "pages"
    told = done("export", "pages", place, "--without-images", "-i", two.path)
    assert re.fullmatch(rf"{re.escape(str(place))}: \d+ files, 0\.\d MiB\n", told)
    files = content(place)
    assert not [name for name in files if "nearest" in name or "images" in name or name.endswith((".parquet", ".webp"))]
    known = [b"files/", b".png", *(one[:12].encode() for one in two.ids)]
    assert not [(name, one) for name, data in files.items() for one in known if one in data]
    assert b"one/a" in files["index.html"] and b"two/b" in files["index.html"]
    assert {"one__a/index.html", "two__b/heads/L2.H2.html", "properties/colour.html"} <= files.keys()


def test_the_same_index_gives_the_same_bytes(built: Built, tmp_path: Path) -> None:
    place = tmp_path / "pages"
    told = clipdb("export", "pages", place, "--yes", "-i", built.path)
    assert told.exit_code == 0 and "note: 40 images have no picture: their files are gone or changed" in told.stderr
    first = content(place)
    assert "is a folder of frozen pages already: add --replace" in refused(
        "export", "pages", place, "--yes", "-i", built.path
    )
    done("export", "pages", place, "--yes", "--replace", "-i", built.path)
    assert content(place) == first
    marked = json.loads(first["clipdb-pages.json"])
    assert {*marked["files"], "clipdb-pages.json"} == set(first)
    (place / "mine.txt").write_text("mine")
    assert "holds mine.txt" in refused("export", "pages", place, "--yes", "--replace", "-i", built.path)
    assert (place / "mine.txt").read_text() == "mine"


def test_nothing_is_published_unasked(built: Built, tmp_path: Path) -> None:
    place = tmp_path / "pages"
    assert "pictures of 40 images, with the names of their files: add --yes" in refused(
        "export", "pages", place, "-i", built.path
    )
    assert "is a URL" in refused("export", "pages", "hf://spaces/a/b", "--yes", "-i", built.path)
    assert "is there and is no folder of frozen pages" in refused(
        "export", "pages", built.path, "--yes", "--replace", "-i", built.path
    )
    assert not place.exists()


def test_a_killed_export_leaves_nothing_in_its_place(built: Built, tmp_path: Path) -> None:
    place = tmp_path / "pages"
    command = [sys.executable, "-m", "clipdb", "export", "pages", str(place), "--yes", "-i", str(built.path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 60
        while not list(tmp_path.glob(".pages.*/*.html")) and time.monotonic() < end:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not place.exists() and list(tmp_path.glob(".pages.*"))
    done("export", "pages", place, "--yes", "-i", built.path)
    assert (place / "index.html").is_file() and not list(tmp_path.glob(".pages.*"))
