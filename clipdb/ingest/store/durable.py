"""A folder of files that has to be on the disk before a catalog vouches for it: Lance itself never asks for that."""

from __future__ import annotations

import os
from pathlib import Path

from clipdb._util.disk import sync
from clipdb.schema.vectors_place import VectorsPlace


class Durable:
    """Has the disk keep the files that are new in a folder.

    Parameters
    ----------
    folder
        The folder, which need not exist yet. What is in it already was kept when it was committed, or is about to be
        dropped. An object in a store is kept as soon as it is there, so nothing is done about a folder there.
    """

    def __init__(self, folder: VectorsPlace) -> None:
        self._folder = folder if isinstance(folder, Path) else None
        self._kept = {path for path, _ in self._files()}

    def keep(self) -> None:
        """Have the disk keep each file that has come since, then the folders that hold them, the innermost first."""
        changed = set()
        for path, parent in self._files():
            if path not in self._kept:
                sync(path)
                self._kept.add(path)
                changed |= {parent, *(one for one in parent.parents if self._holds(one))}
        for folder in sorted(changed, key=lambda folder: -len(folder.parts)):
            sync(folder)

    def _holds(self, folder: Path) -> bool:
        return self._folder is not None and folder.is_relative_to(self._folder.parent)

    def _files(self) -> list[tuple[Path, Path]]:
        """List the files that Lance has named; what it hasn't, another process may be writing."""
        if self._folder is None:
            return []
        return [
            (Path(parent, name), Path(parent))
            for parent, _, names in os.walk(self._folder)
            for name in names
            if not name.startswith(".tmp")
        ]
