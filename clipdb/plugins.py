"""What other packages add to clipdb: named in their entry points, and found when they are installed."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from clipdb._util.extensions import extensions
from clipdb._util.notes import note
from clipdb._util.text import first_line
from clipdb.errors import ClipdbError

_MEND = "correct it or uninstall {}"


@cache
def entries(kind: str) -> tuple[EntryPoint, ...]:
    """List the entry points of a group, ``clipdb.KIND``, by name."""
    return tuple(sorted(extensions().select(group=f"clipdb.{kind}"), key=lambda entry: (entry.name, entry.value)))


@cache
def folders(kind: str) -> tuple[Path, ...]:
    """List the folders of packages that entry points of a group name; nothing of them is imported.

    An entry point that names no package is left out, with a note.
    """
    found = []
    for entry in entries(kind):
        try:
            spec = find_spec(entry.value)
        except (ImportError, ValueError):
            spec = None
        if spec is None or not spec.submodule_search_locations:
            what = f"the entry point {entry.name} of clipdb.{kind} names {entry.value}, which is not a package"
            note(f"note: {what}: left out; {_advice(entry)}")
            continue
        # A folder without an __init__.py is seen in the current directory, too: one of its places is enough.
        found.append(Path(next(iter(spec.submodule_search_locations))))
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
        If an entry point has the name of another or of one of clipdb's own.
    """
    spec = find_spec(package)
    assert spec is not None and spec.submodule_search_locations, package
    place = Path(spec.submodule_search_locations[0])
    files = sorted(path.stem for path in place.glob("*.py") if not path.stem.startswith("_"))
    found = {stem.replace("_", "-"): f"{package}.{stem}" for stem in files}
    for entry in entries(kind):
        if entry.name in found:
            where = entry.dist.name if entry.dist else entry.value
            raise ClipdbError(
                f"the entry point {entry.name} of clipdb.{kind} ({entry.value}) has the name of another, "
                f"{found[entry.name]}: rename it in {where}, or uninstall that"
            )
        found[entry.name] = entry.value
    return found


def load(kind: str, package: str, name: str, member: str, others: tuple[str, ...] = ()) -> Any:
    """Import the module of a thing of a kind, and return what is needed of it: see `modules`.

    A message about an unknown name lists ``others`` too, which the caller knows without a module.

    Raises
    ------
    ClipdbError
        If nothing has the name, or its module can't be imported or lacks the member.
    """
    known = modules(kind, package)
    if name not in known:
        one = kind.removesuffix("s")
        raise ClipdbError(f"no {one} is called {name!r}: there are {', '.join([*known, *others])}", kind="absent")
    return member_of(kind, known[name], member)


def members(kind: str, package: str, member: str) -> dict[str, Any]:
    """Import every module of a kind, and return what is needed of each by the names of the things: see `modules`.

    A module of another package that can't be used is left out, with a note: what doesn't need it goes on.
    """
    others = {entry.value for entry in entries(kind)}
    found = {}
    for name, module in modules(kind, package).items():
        try:
            found[name] = member_of(kind, module, member)
        except ClipdbError as error:
            if module not in others:
                raise
            note(f"note: left out: {error}")
    return found


def member_of(kind: str, module: str, member: str) -> Any:
    """Import a module of a kind, and return what is needed of it.

    Raises
    ------
    ClipdbError
        If it can't be imported, or lacks the member.
    """
    try:
        return getattr(import_module(module), member)
    except ClipdbError:
        raise
    except Exception as error:  # whatever is in somebody's module
        why = f"{type(error).__name__}: {first_line(error)}"
        advice = next((_advice(entry) for entry in entries(kind) if entry.value == module), _MEND.format("it"))
        raise ClipdbError(f"{module} (clipdb.{kind}) can't be used: {why}: {advice}") from error


def _advice(entry: EntryPoint) -> str:
    """Name the distribution that is to be corrected or uninstalled."""
    return _MEND.format(entry.dist.name if entry.dist else "it")
