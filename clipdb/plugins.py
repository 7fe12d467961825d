"""What other packages add to clipdb: named in their entry points, and found when they are installed."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from clipdb.errors import ClipdbError


@cache
def entries(kind: str) -> tuple[EntryPoint, ...]:
    """List the entry points of a group, ``clipdb.KIND``, by name."""
    return tuple(sorted(entry_points(group=f"clipdb.{kind}"), key=lambda entry: (entry.name, entry.value)))


@cache
def folders(kind: str) -> tuple[Path, ...]:
    """List the folders of packages that entry points of a group name; nothing of them is imported.

    Raises
    ------
    ClipdbError
        If an entry point names no package.
    """
    found = []
    for entry in entries(kind):
        try:
            spec = find_spec(entry.value)
        except (ImportError, ValueError):
            spec = None
        if spec is None or not spec.submodule_search_locations:
            raise ClipdbError(
                f"the entry point {entry.name} of clipdb.{kind} names {entry.value}, which is not a package: "
                "correct or uninstall the distribution that has it"
            )
        found += [Path(place) for place in spec.submodule_search_locations]
    return tuple(found)
