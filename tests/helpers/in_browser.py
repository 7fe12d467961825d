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
