"""Two models and two heads side by side, heads by their effect, and what the status page says is old."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from built_index import Built
from page_parts import Client, Parts, client_of
from support import MODEL, change

import clipdb
from clipdb.explorer import likeness
from clipdb.explorer.site import Site


@pytest.fixture(scope="module")
def pair(two: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with client_of(Site(two.path, thumbnails=tmp_path_factory.mktemp("pair") / "t.db")) as client:
        yield client


def test_two_models(pair: Client, two: Built) -> None:
    form = pair.get("/compare").text
    assert 'value="one/a/L1.H0"' in form and 'value="two/b"' in form and 'href="/compare" aria-current' in form
    page = pair.get("/compare?a=one/a&b=two/b").text
    with clipdb.open(two.path) as index:
        relation = index.query.compare(a="one/a", b="two/b", images=2000)
        truth = relation.project("head, other, label").fetchall()
    for label in ("kept", "changed", "lost", "gained"):
        number = sum(row[2] == label for row in truth)
        assert f"<dt>Names {label}</dt><dd>{number}</dd>" in page
    for head, other, _ in truth:
        assert f"/models/one/a/heads/{head}" in page and f"/models/two/b/heads/{other}" in page
    chart = next(one for one in Parts(page).addresses if "chart.png" in one)
    assert pair.get(chart).headers["content-type"] == "image/png"


def test_two_heads(pair: Client, explorer: Client, shown_index: Path) -> None:
    page = pair.get("/compare?a=one/a/L1.H0&b=two/b/L2.H1").text
    assert "Linear CKA over" in page and "/models/one/a/heads/L1.H0" in page and "/models/two/b/heads/L2.H1" in page
    page = explorer.get("/compare?a=L1.H0&b=l3.h1").text
    with clipdb.open(shown_index) as index:
        alike = index.query.alike(head="L1.H0", images=2000).project("other, cka").fetchall()
        spans = [
            set(row[0] for row in index.query.head(head=one).project("span").fetchall()) for one in ("L1.H0", "L3.H1")
        ]
    assert f"<dd>{dict(alike)['L3.H1']:.3f}</dd>" in page
    assert f"<dt>Spans in common</dt><dd>{len(spans[0] & spans[1])}</dd>" in page
    assert page.count("/thumb") == 12


@pytest.mark.parametrize(
    ("address", "status", "detail"),
    [
        ("/compare?a=L1.H0&b=L9.H9", 404, "no head L9.H9"),
        ("/compare?a=L1.H0&b=", 200, "This index has one model"),
        ("/compare?a=no/such/L1.H0&b=L1.H0", 404, "no model 'no/such'"),
        ("/compare?a=L1.H0&b=nine", 422, "nine"),
    ],
)
def test_what_cannot_be_compared(explorer: Client, address: str, status: int, detail: str) -> None:
    answer = explorer.get(address)
    assert answer.status_code == status and detail in Parts(answer.text).text


def test_heads_by_their_effect(own_index: Path, tmp_path: Path) -> None:
    """The heads' number is the loss that `ablate` tells; where images have no labels, the page says what to do."""
    change(own_index, "update images set label = if(image_id < '8', 'cat', 'dog')")
    with client_of(Site(own_index, device="cpu", thumbnails=tmp_path / "t.db")) as client:
        told = client.settled("/api/queries/ablate?heads=L3.H0&control=0").json()
        before, after = (told["rows"][0][told["columns"].index(one)] for one in ("before", "after"))
        page = client.settled(f"/models/{MODEL}?colour=effect")
        cell = page.text.partition('heads/L3.H0"')[2].partition("</a>")[0]
        assert f">{before - after:.2f}</span>".replace("-", "\N{MINUS SIGN}") in cell
    change(own_index, "update images set label = null")
    with client_of(Site(own_index, device="cpu", thumbnails=tmp_path / "t.db")) as client:
        page = client.get(f"/models/{MODEL}?colour=effect")
        assert page.status_code == 200 and "no image has a class label" in page.text


def test_the_status_says_what_is_old(own_index: Path, tmp_path: Path) -> None:
    with client_of(Site(own_index, thumbnails=tmp_path / "t.db")) as client:
        assert "To be brought up to date" not in client.get("/status").text
    change(own_index, "update spans set run = '29990101T000000000000-0000'")
    with client_of(Site(own_index, thumbnails=tmp_path / "t.db")) as client:
        page = client.get("/status").text
        assert "older than the spans" in page and "<code>clipdb label" in page


def test_pages_show_the_comparison_that_span_stored(shown_index: Path, explorer: Client) -> None:
    with clipdb.open(shown_index) as index:
        ((stored,),) = index.sql("select distinct sample from head_pairs").fetchall()
        ((images,),) = index.sql("select count(*) from images").fetchall()
    assert stored > likeness.COMPUTED_IMAGES
    page = explorer.get("/models/clipdb-tiny/random/heads/L3.H0/alike").text
    assert f"images={stored}" in page and f"Over {images:,} images" in page
