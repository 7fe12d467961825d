"""A browser without a window, for the tests of the explorer's pages and for their pictures."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]

_COMPLETE = """() => {
  const inWindow = (image) => {
    const { top, left } = image.getBoundingClientRect();
    return image.checkVisibility() && top < innerHeight && left < innerWidth;
  };
  return !document.querySelector("[aria-busy]") && [...document.images].every((one) => one.complete || !inWindow(one));
}"""
"""Whether parts that come later have come, and the images that are in the window."""


def wait_until_complete(page: Page) -> None:
    """Wait until an open page has all that it shows."""
    page.wait_for_load_state("load")
    page.wait_for_function(_COMPLETE)


@contextmanager
def launched() -> Iterator[Browser]:
    """Start Chromium, and stop it when the block ends."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()
