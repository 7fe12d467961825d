"""The site of the docs: it builds strictly, holds every page, and shows all of it without a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CONFIG = re.sub(r"!!python/\S+", "", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
FETCHED = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src"}
"""Elements that a browser fetches something for, and where they say what."""


class Page(HTMLParser):
    """What a page fetches, its formulas, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.formulas = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag in FETCHED and given.get("rel") not in ("canonical", "next", "prev"):
            self.fetched.append(given.get(FETCHED[tag]) or "")
        self.fetched += re.findall(r"url\(([^)]*)\)", given.get("style") or "")
        self.formulas += tag == "math"


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build a site in a process that can reach nothing but this machine."""
    nowhere = "http://127.0.0.1:9"
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *sys.path])
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", config, "-d", site]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("built") / "site"
    ran = build(ROOT / "mkdocs.yml", place)
    assert ran.returncode == 0, ran.stderr
    return place


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, str]:
    return {page.name: page.read_text(encoding="utf-8") for page in site.glob("*.html")}


def leaves(nav: Any) -> Iterator[str]:
    """List the files of a nav."""
    if isinstance(nav, str):
        yield nav
    else:
        for one in nav.values() if isinstance(nav, dict) else nav:
            yield from leaves(one)


def test_every_page_has_one_place_in_the_nav(pages: dict[str, str]) -> None:
    listed = list(leaves(yaml.safe_load(CONFIG)["nav"]))
    assert sorted(listed) == sorted(path.name for path in DOCS.glob("*.md"))
    assert set(pages) == {Path(name).with_suffix(".html").name for name in listed} | {"404.html"}


def test_no_page_fetches_anything_from_elsewhere(site: Path, pages: dict[str, str]) -> None:
    for name, html in pages.items():
        fetched = Page(html).fetched
        assert len(fetched) > 3, name
        for address in fetched:
            assert not re.match(r"(\w+:)?//", address), (name, address)
            assert (site / address.lstrip("/").split("?")[0].split("#")[0]).exists(), (name, address)
    for sheet in site.rglob("*.css"):
        assert not re.search(r"@import|url\(\s*[\"']?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_formulas_are_written_out(pages: dict[str, str]) -> None:
    for source in DOCS.glob("*.md"):
        text = source.read_text(encoding="utf-8")
        formulas = len(re.findall(r"\$`[^`]+`\$", text)) + len(re.findall(r"^ *```math$", text, re.MULTILINE))
        assert Page(pages[f"{source.stem}.html"]).formulas == formulas, source
    assert Page(pages["mathematics.html"]).formulas > 50


def test_python_has_every_name_with_its_parameters(pages: dict[str, str]) -> None:
    import clipdb

    for name in set(clipdb.__all__) - {"__version__", "schema"}:
        assert f'id="clipdb.{name}"' in pages["python.html"], name
    assert "--layers" not in pages["python.html"] and "last4" in pages["python.html"]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("[nothing](nopage.md)", "'nopage.md'"),
        ("[nothing](labels.md#noanchor)", "'labels.md#noanchor'"),
        ("$`\\nosuchcommand`$", "\\nosuchcommand"),
    ],
    ids=["page", "anchor", "formula"],
)
def test_what_is_broken_is_not_built(written: str, said: str, tmp_path: Path) -> None:
    for page in DOCS.iterdir():
        if page.name != "glossary.md":
            (tmp_path / "docs").mkdir(exist_ok=True)
            (tmp_path / "docs" / page.name).symlink_to(page)
    (tmp_path / "docs" / "glossary.md").write_text((DOCS / "glossary.md").read_text(encoding="utf-8") + written)
    for beside in ("tools", "clipdb"):
        (tmp_path / beside).symlink_to(ROOT / beside)
    (tmp_path / "mkdocs.yml").write_text((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    ran = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert ran.returncode != 0 and said in ran.stdout + ran.stderr


def test_the_glossary_is_in_order_and_names_things_once() -> None:
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    terms = [term.casefold() for term in re.findall(r"^\| \*\*(.+?)\*\* \|", text, re.MULTILINE)]
    assert terms == sorted(set(terms))
    needed = {"span", "pool", "label", "judgement", "property", "head", "layer", "image", "text", "index", "artefact"}
    assert needed | {"entanglement", "association", "ccs", "vote", "zero-shot", "direct effect"} <= set(terms)
