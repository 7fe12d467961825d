"""What other packages add to clipdb: named in their entry points, and found when they are installed."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from clipdb.errors import ClipdbError


@cache
def entries(kind: str) -> tuple[EntryPoint, ...]:
    """List the entry points of a group, ``clipdb.KIND``, by name."""
    return tuple(sorted(_installed().select(group=f"clipdb.{kind}"), key=lambda entry: (entry.name, entry.value)))


@cache
def _installed() -> Any:
    """Read the entry points of everything that is installed, once: it takes some 10 ms."""
    return entry_points()


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


@cache
def modules(kind: str, package: str) -> dict[str, str]:
    """Find the modules of a kind of thing by the names of the things, without importing any.

    Parameters
    ----------
    kind
        Entry points of the group ``clipdb.KIND`` are modules of other packages, by name.
    package
        clipdb's own package of the kind, whose files are the things: ``zero_shot.py`` is called ``zero-shot``.

    Raises
    ------
    ClipdbError
        If an entry point has the name of one of clipdb's own.
    """
    spec = find_spec(package)
    assert spec is not None and spec.submodule_search_locations, package
    place = Path(spec.submodule_search_locations[0])
    files = sorted(path.stem for path in place.glob("*.py") if not path.stem.startswith("_"))
    found = {stem.replace("_", "-"): f"{package}.{stem}" for stem in files}
    for entry in entries(kind):
        if entry.name in found:
            raise ClipdbError(
                f"the entry point {entry.name} of clipdb.{kind} ({entry.value}) has the name of another: rename it"
            )
        found[entry.name] = entry.value
    return found


def load(kind: str, package: str, name: str) -> ModuleType:
    """Import the module of a thing of a kind: see `modules`.

    Raises
    ------
    ClipdbError
        If nothing has the name.
    """
    known = modules(kind, package)
    if name not in known:
        raise ClipdbError(
            f"no {kind.removesuffix('s')} is called {name!r}: there are {', '.join(known)}", kind="absent"
        )
    return import_module(known[name])
