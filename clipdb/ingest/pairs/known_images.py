"""The images of an index by what people write: an id or its beginning, a uri, a path, a file's name."""

from __future__ import annotations

import bisect
import hashlib
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from clipdb.errors import ClipdbError


class KnownImages:
    """Finds images by name.

    Parameters
    ----------
    images
        image_id and uri of each.
    folder
        Where paths that are written relative begin.
    """

    def __init__(self, images: Iterable[tuple[str, str]], folder: Path) -> None:
        self._folder = folder
        self._ids: list[str] = []
        self._uris: dict[str, str] = {}
        self._names: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for image_id, uri in images:
            self._ids.append(image_id)
            self._uris[uri] = image_id
            self._names[_last(uri)].append((uri, image_id))
        self._ids.sort()

    def find(self, written: str) -> str | None:
        """Return the id of the image that was meant; None if there is none.

        Raises
        ------
        ClipdbError
            If it may be several.
        """
        name = written.removeprefix("./")
        for exact in (name, str(Path(name).absolute()), str((self._folder / name).absolute())):
            if exact in self._uris:
                return self._uris[exact]
        ends = ("/" + name, "#" + name)
        found = {image_id for uri, image_id in self._names.get(_last(name), ()) if uri.endswith(ends)}
        start = bisect.bisect_left(self._ids, name.lower())
        found |= {one for one in self._ids[start : start + 2] if one.startswith(name.lower())}
        if name.lower() in found:
            return name.lower()
        if len(found) > 1:
            raise ClipdbError(f"{written!r} may be several images of this index: write more of the path or the id")
        return next(iter(found), None) or self._by_content(name)

    def file_of(self, written: str) -> str:
        """Return the path from here of a file that is written relative to the folder, if it is there."""
        path = self._folder / written
        return str(path) if path.is_file() else written

    def _by_content(self, name: str) -> str | None:
        """Find the file's content: the same picture may have been ingested under another path."""
        for path in (self._folder / name, Path(name)):
            with suppress(OSError, ValueError):
                image_id = hashlib.sha256(path.read_bytes()).hexdigest()
                place = bisect.bisect_left(self._ids, image_id)
                if self._ids[place : place + 1] == [image_id]:
                    return image_id
        return None


def _last(uri: str) -> str:
    return uri.replace("#", "/").rpartition("/")[2]
