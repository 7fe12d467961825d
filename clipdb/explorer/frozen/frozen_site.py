"""A site whose pages become files: they name the index without saying where it lies, and ask no model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from clipdb.api.opening import open_with, without_models
from clipdb.errors import ClipdbError
from clipdb.explorer.answering import MOST_ROWS, Answer
from clipdb.explorer.app import create_app
from clipdb.explorer.guard import POLICY
from clipdb.explorer.site import CACHE_BYTES, Site
from clipdb.queries.index import Index
from clipdb.queries.named.sql_files import find_query
from clipdb.schema.names import is_url


@dataclass(frozen=True)
class Frozen:
    """What templates know of pages that are files: how many images may be looked through, and the browser's rules."""

    images: int
    policy: str = POLICY


class FrozenSite(Site):
    """An index whose pages become files.

    Parameters
    ----------
    path
        The directory of an index or of an export, or the export's URL.
    images
        Whether pages may show and name images.

    Attributes
    ----------
    last
        The id of the last image of the gallery, if it ends before the index does.
    """

    most_seconds = None

    def __init__(self, path: str | Path, images: bool) -> None:
        self._images = images
        self.last: str | None = None
        super().__init__(path)
        self._app = create_app(self)
        self._held: Index | None = None

    @contextmanager
    def reading(self, *_images: str | None) -> Iterator[Index]:
        """Give the one state of the index that all pages are of, for as long as the outermost block lasts."""
        if self._held is not None:
            yield self._held
            return
        with super().reading() as index:
            self._held = index
            try:
                yield index
            finally:
                self._held = None

    def _opened(self) -> Index:
        index = open_with(self.path, without_models, files=False)
        index.cache_bytes = CACHE_BYTES
        return index

    def ask(self, index: Index, name: str, limit: int = MOST_ROWS, offset: int = 0, /, **given: Any) -> Answer:
        """Ask a named query as `Site.ask` does; one that lists images only where they may be shown."""
        if not self._images and (find_query(name).sheet or ("",))[0] == "image_id":
            raise ClipdbError("the images are left out of these pages", kind="absent")
        answer = super().ask(index, name, limit, offset, **given)
        if name == "images" and self.last is not None:
            answer = replace(answer, rows=[row for row in answer.rows if row["image_id"] <= self.last])
        return answer if is_url(self.path) else replace(answer, place=Path(self.path).name)

    def request(self, address: str) -> Request:
        """Make a request for an address."""
        path, _, query = address.partition("?")
        return Request(
            {
                "type": "http",
                "method": "GET",
                "scheme": "http",
                "server": ("localhost", 80),
                "path": unquote(path),
                "query_string": query.encode(),
                "headers": [],
                "app": self._app,
            }
        )

    def get(self, address: str, part: bool = False) -> str:
        """Return the page at an address, or the part of one that is loaded later.

        Raises
        ------
        ClipdbError
            If it can't be made.
        """
        request = self.request(address)
        if part:
            request.scope["headers"] = [(b"x-part", b"1")]
        for route in self._app.routes:
            match, found = route.matches(request.scope)
            if match is Match.FULL:
                request.scope.update(found)
                answer: Response = request.scope["endpoint"](request)
                return bytes(answer.body).decode()
        raise ClipdbError(f"there is no page {address}", kind="absent")
