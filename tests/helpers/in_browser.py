"""What tests in a browser share: whether there is one, and the rules that pages are held to."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from browser import CHROMIUM

RULES = "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})"
COLOURS = "axe.run({runOnly: {type: 'rule', values: ['color-contrast']}})"

_found = importlib.util.find_spec("axe_playwright_python")
AXE = Path(_found.origin or "").parent / "axe.min.js" if _found else Path()
"""axe-core's script, which defines ``axe``."""


def need_browser() -> None:
    """Skip the module where there is no browser, unless there has to be one."""
    pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    pytest.importorskip("axe_playwright_python", reason="axe-core is not installed")
    if CHROMIUM is None and os.environ.get("CLIPDB_BROWSER") != "required":
        pytest.skip("there is no chromium: on Debian, apt-get install chromium", allow_module_level=True)


def broken_rules(page, address: str, unfold: bool = True) -> list[tuple[object, ...]]:  # type: ignore[no-untyped-def]
    """List what axe finds on an open page, light and dark, wide and narrow, and whether anything is cut off."""
    found: list[tuple[object, ...]] = []
    if unfold:
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for width in (1400, 390):
        page.set_viewport_size({"width": width, "height": 900})
        for scheme, rules in (("light", RULES), ("dark", COLOURS)):
            page.emulate_media(color_scheme=scheme)
            broken = page.evaluate(rules)["violations"]
            found += [(address, width, scheme, one["id"], one["nodes"][0]["html"]) for one in broken]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append((address, width, "", "is wider than the window", ""))
    return found
