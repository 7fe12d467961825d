"""Pages of the explorer: a client that waits for models as a browser does, and what a parser finds in a page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from typing import Any

from starlette.testclient import TestClient

from clipdb.explorer.app import create_app
from clipdb.explorer.site import Site

PATIENCE = 120.0
HOST = "127.0.0.1:7860"


class Client(TestClient):
    """Asks an explorer."""

    def settled(self, address: str) -> Any:
        """Get a page, again as long as its model is at work."""
        end = time.monotonic() + PATIENCE
        while (answer := self.get(address)).status_code in (202, 503) and time.monotonic() < end:
            time.sleep(0.2)
        return answer


@contextmanager
def client_of(site: Site) -> Iterator[Client]:
    """Run an explorer, and stop what it started."""
    with Client(create_app(site), base_url=f"http://{HOST}", follow_redirects=False) as client:
        yield client


class Parts(HTMLParser):
    """The elements of a page.

    Attributes
    ----------
    elements
        Tag and attributes of each.
    text
        All text.
    code
        The text of each `code` element.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.code: list[str] = []
        self._in_code = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "code":
            self._in_code = True
            self.code.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_code = self._in_code and tag != "code"

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._in_code:
            self.code[-1] += data

    @property
    def addresses(self) -> list[str]:
        """Where links, pictures, scripts, styles and forms point."""
        found = [attrs.get(name) for _, attrs in self.elements for name in ("href", "src", "action", "data-part")]
        return [one for one in found if one]

    @property
    def commands(self) -> list[str]:
        """The commands of clipdb that the page shows whole."""
        return list(dict.fromkeys(one for one in self.code if one.startswith("clipdb query ")))
