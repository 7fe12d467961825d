"""Frozen pages in a real browser, on hosts that only serve files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from file_hosts import serving_files
from in_browser import broken_rules, need_browser
from range_server import serve
from support import MODEL

import clipdb

need_browser()

SLUG = MODEL.replace("/", "__")
NEAREST = f"{SLUG}/nearest.html"


@pytest.fixture(scope="module")
def url(frozen: Path) -> Iterator[str]:
    with serving_files(frozen.parents[1]) as host:
        yield f"{host}/some%20where/pages/"


def opened(browser, url: str, **options: object):  # type: ignore[no-untyped-def]
    """Open a page in which no script may fail, nothing may be missing and no other host may be asked."""
    context = browser.new_context(base_url=url, viewport={"width": 1400, "height": 900}, **options)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda asked: problems.append(asked.url) if not asked.url.startswith(url) else None)
    page.on("response", lambda answer: problems.append(answer.url) if answer.status >= 400 else None)
    return page, problems


@pytest.fixture(scope="module")
def vectors(shown_index: Path, frozen: Path) -> tuple[list[str], dict[str, np.ndarray]]:
    """The ids of the images that are in the pages, and their vectors, from the index."""
    shown = {one.stem for one in (frozen / "pictures").iterdir()}
    with clipdb.open(shown_index) as index:
        table = index.lancedb().to_arrow().select(["image_id", "l4h1", "embedding"]).sort_by("image_id")
    rows = [row for row in table.to_pylist() if row["image_id"][:16] in shown]
    return [row["image_id"] for row in rows], {
        column: np.array([row[column] for row in rows], np.float64) for column in ("l4h1", "embedding")
    }


def nearest(vectors: tuple[list[str], dict[str, np.ndarray]], column: str, place: int, most: int) -> list[str]:
    ids, matrices = vectors
    unit = matrices[column] / np.linalg.norm(matrices[column], axis=1, keepdims=True)
    cosines = unit @ unit[place]
    cosines[place] = -np.inf
    return [ids[one][:16] for one in np.argsort(-cosines, kind="stable")[:most]]


def shown(page, selector: str) -> list[str]:  # type: ignore[no-untyped-def]
    """List the images that links of a page lead to."""
    read = "links => links.map(link => new URL(link.href).searchParams.get('image'))"
    return list(page.eval_on_selector_all(f"{selector} a", read))


def test_the_nearest_images(browser, url: str, vectors) -> None:  # type: ignore[no-untyped-def]
    """From a head's page to one of its pictures, then as the whole embedding sees it, then to a neighbour."""
    page, problems = opened(browser, url)
    page.goto("index.html")
    page.locator("a.cell", has_text="L4.H1").click()
    page.locator(".spans a").nth(1).click()
    page.wait_for_url("**/L4.H1.span-2.html")
    page.locator(".pictures a").first.click()
    page.locator("html[data-done]").wait_for()
    wanted = page.url.partition("image=")[2].partition("&")[0]
    ids, _ = vectors
    place = next(at for at, one in enumerate(ids) if one.startswith(wanted))
    assert "head=L4.H1" in page.url and "L4.H1" in page.locator("#nearest").inner_text()
    assert shown(page, "#images") == nearest(vectors, "l4h1", place, 24)
    assert shown(page, "tr[data-column=embedding]") == nearest(vectors, "embedding", place, 8)
    page.get_by_label("As it is seen by").select_option("the whole embedding")
    page.get_by_role("button", name="Find").click()
    page.wait_for_url("**head=")
    page.locator("html[data-done]").wait_for()
    found = nearest(vectors, "embedding", place, 24)
    assert shown(page, "#images") == found
    page.locator("#images a").first.click()
    page.wait_for_url(f"**image={found[0]}**")
    page.locator("html[data-done]").wait_for()
    assert page.locator("#picture").evaluate("shown => shown.naturalWidth") > 100
    page.goto(f"{NEAREST}?image=no-such.png")
    page.get_by_text("no image no-such.png among the").wait_for()
    page.context.close()
    assert problems == []


def test_a_browser_reads_only_what_it_compares(browser, frozen: Path) -> None:  # type: ignore[no-untyped-def]
    with serve(frozen) as served:
        page, problems = opened(browser, served.url)
        page.goto(f"{served.url}/{NEAREST}")
        page.locator("#found").wait_for()
        page.locator("html[data-done]").wait_for()
        page.context.close()
    assert problems == []
    size = (frozen / SLUG / "vectors.parquet").stat().st_size
    assert 0 < served.bytes_of(f"{SLUG}/vectors.parquet") < size
    assert ("HEAD", f"{SLUG}/vectors.parquet") not in served.requests


def test_anybody_can_use_them(browser, url: str) -> None:  # type: ignore[no-untyped-def]
    """No violation of WCAG 2.1 AA that axe-core finds, light and dark, wide and narrow; nothing is cut off."""
    page, problems = opened(browser, url, bypass_csp=True)
    found = []
    for address in ("index.html", f"{SLUG}/heads/L4.H1.html", f"{SLUG}/images.html", NEAREST, "properties.html"):
        page.goto(address)
        if address == NEAREST:
            page.locator("html[data-done]").wait_for()
        found += broken_rules(page, address)
    page.context.close()
    assert found == [] and problems == []
