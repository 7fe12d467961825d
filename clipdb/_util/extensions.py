"""What other packages add to clipdb: their entry points, found without reading what is known of every package."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from functools import cache
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoints, entry_points

_GROUP = re.compile(rb"^\s*\[\s*clipdb\.", re.MULTILINE)
_INFORMATION = (".dist-info", "egg-info")


@cache
def extensions() -> EntryPoints:
    """Return the entry points of the groups ``clipdb.KIND``.

    Python reads the names of all packages to list any entry points, which takes some 30 ms of processor time where
    hundreds are installed. Where no package has such a group, it isn't asked.
    """
    if not _may_be_any():
        return EntryPoints(())
    known = entry_points()
    groups = sorted(group for group in known.groups if group.startswith("clipdb."))
    return EntryPoints(entry for group in groups for entry in known.select(group=group))


def _may_be_any() -> bool:
    """Return whether a package has such a group, or may have one where only Python looks, as in an archive."""
    if any(hasattr(finder, "find_distributions") for finder in sys.meta_path if finder is not PathFinder):
        return True
    for place in sys.path:
        try:
            names = os.listdir(place or ".")  # noqa: PTH208 - hundreds of paths would take longer than to read them
        except NotADirectoryError:
            return True
        except OSError:
            continue
        for name in names:
            if name.lower().endswith(_INFORMATION):
                with suppress(OSError), open(f"{place or '.'}/{name}/entry_points.txt", "rb") as file:  # noqa: PTH123
                    if _GROUP.search(file.read()):
                        return True
    return False
