"""The folder of frozen pages: where links of a page lead, and the pictures and other files that they lead to."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Mapping
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from clipdb.explorer.frozen.frozen_site import FrozenSite
from clipdb.explorer.frozen.links import with_files
from clipdb.explorer.frozen.plan import canonical, nearest_file
from clipdb.queries.index import Index

GONE = "static/gone.svg"

_STATIC = files("clipdb.explorer") / "static"
_IMPORTED = {"nearest.js": ("hyparquet.js",)}
_PICTURE = re.compile(r"/images/([0-9a-f]{64})/thumb")
_IMAGE = re.compile(r"/models/([^/]+/[^/]+)/images/([0-9a-f]{64})")
_HEAD_PAGE = re.compile(r"/models/[^/]+/[^/]+/heads/([^/?]+)")
_SHORT = 16  # digits of an image's id, which tell the images of a folder apart


class Folder:
    """Files that are being written.

    Parameters
    ----------
    root
        The folder.
    site, index
        What is shown.
    pages
        The files of pages by their addresses.
    searched
        The models that have a page of nearest images.
    """

    def __init__(
        self, root: Path, site: FrozenSite, index: Index, pages: Mapping[str, str], searched: Collection[str]
    ) -> None:
        self._root, self._site, self._index = root, site, index
        self._pages, self._searched = pages, searched
        self._pictures: dict[str, str] = {}
        self.add(GONE, (_STATIC / "gone.svg").read_bytes())

    @property
    def shown(self) -> list[str]:
        """The images that files show, in the order of their ids."""
        return sorted(self._pictures)

    @property
    def without_picture(self) -> int:
        """How many of them have no picture, since their files are gone or changed."""
        return sum(file == GONE for file in self._pictures.values())

    def add(self, name: str, data: bytes) -> None:
        """Write a file."""
        place = self._root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)

    def add_page(self, name: str, address: str, html: str) -> None:
        """Write a page.

        Parameters
        ----------
        name
            Its file.
        address
            Its address in the explorer.
        html
            As the explorer would send it.
        """
        head = _HEAD_PAGE.match(address)

        def file_of(link: str) -> str | None:
            found = self._file(link, head[1] if head else None)
            if found is None:
                return None
            path, mark, query = found.partition("?")
            return quote(posixpath.relpath(path, posixpath.dirname(name) or ".")) + mark + query

        made = with_files(html, address, file_of, lambda part: self._site.get(part, part=True))
        self.add(name, made.encode())

    def picture(self, image_id: str) -> str:
        """Return the file of an image's small picture, which is written when it is first asked for."""
        if image_id not in self._pictures:
            data = self._site.thumbnails.get(self._index, image_id)
            self._pictures[image_id] = GONE if data is None else f"pictures/{image_id[:_SHORT]}.webp"
            if data is not None:
                self.add(self._pictures[image_id], data)
        return self._pictures[image_id]

    def _file(self, link: str, head: str | None) -> str | None:
        path = unquote(urlsplit(link).path)
        if path.startswith("/static/"):
            return self._static(path.removeprefix("/static/"))
        if found := _PICTURE.fullmatch(path):
            return self.picture(found[1])
        if found := _IMAGE.fullmatch(path):
            asked = f"?image={found[2][:_SHORT]}" + (f"&head={head}" if head else "")
            return nearest_file(found[1]) + asked if found[1] in self._searched else None
        return self._pages.get(canonical(link))

    def _static(self, name: str) -> str:
        for one in (name, *_IMPORTED.get(name, ())):
            if not (self._root / "static" / one).exists():
                self.add(f"static/{one}", (_STATIC / one).read_bytes())
        return f"static/{name}"
