"""Failures that a person, or the program that called, can act on."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Literal

from clipdb._util.installing import pip_install
from clipdb._util.text import without_login

Kind = Literal["missing", "absent", "invalid", "busy", "newer"]


class ClipdbError(Exception):
    """A failure whose message is one line: what is wrong and what to do about it. It shows no password of a URL.

    Attributes
    ----------
    kind
        What a program can do about it:

        - ``missing``: a package that this needs isn't installed. The message has the command that installs it.
        - ``absent``: what was named, or what this needs, doesn't exist: an index, a file, a model, a head, an image, a
          pool, spans. Name another, or make it first.
        - ``busy``: another process, or another connection of this one, uses the index. Wait, and try again.
        - ``newer``: a newer clipdb made the index or the export. Upgrade clipdb.
        - ``invalid``: anything else: what was given can't be used, or contradicts what is there.

    Examples
    --------
    >>> try:
    ...     clipdb.open("nowhere.clipdb")
    ... except clipdb.ClipdbError as error:
    ...     print(error.kind)
    absent
    """

    def __init__(self, message: str, *, kind: Kind = "invalid") -> None:
        super().__init__(without_login(message))
        self.kind: Kind = kind


class MissingExtra(ClipdbError):
    """A command needs a part of clipdb that was not installed."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(f"{module} is not installed: run {pip_install(extra)}", kind="missing")


class Stopped(KeyboardInterrupt):
    """Ctrl-C in a writer: its message, if any, says what is in the index."""


def kind_of(error: OSError) -> Kind:
    """Return the kind of a failure to read a file: ``absent`` if it isn't there."""
    return "absent" if isinstance(error, FileNotFoundError) else "invalid"


def require_found(module: str, extra: str) -> None:
    """Check that a module is installed without importing it.

    Raises
    ------
    MissingExtra
        With the exact ``pip install`` line, when the module is not there.
    """
    if importlib.util.find_spec(module) is None:
        raise MissingExtra(module, extra)


@contextmanager
def stopped(kept: Callable[[], str]) -> Iterator[None]:
    """Turn Ctrl-C into `Stopped`, with what ``kept`` then says; it says nothing where nothing is in yet."""
    try:
        yield
    except KeyboardInterrupt as error:
        what = kept()
        raise Stopped(f"{what}; the same command resumes" if what else "") from error


def require(module: str, extra: str) -> ModuleType:
    """Import a module that an extra brings, which Ctrl-C doesn't leave half imported.

    Parameters
    ----------
    module
        Name to import, for example ``"open_clip"``.
    extra
        The extra of clipdb that brings it, for example ``"ingest"``.

    Raises
    ------
    MissingExtra
        With the exact ``pip install`` line, when the module is not there.
    """
    from clipdb._util.apart import apart

    try:
        return apart(lambda: importlib.import_module(module))
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or module, extra) from error
