"""Where an export is made: under a temporary name beside its place, which it takes when it is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from clipdb._util.disk import swapped, sync
from clipdb.artefact.manifest import read_manifest
from clipdb.errors import ClipdbError
from clipdb.schema.leftovers import delete_leftovers, make_locked
from clipdb.schema.names import MANIFEST


@dataclass(frozen=True)
class Kind:
    """A kind of folder that is built as a whole.

    Attributes
    ----------
    noun, article
        What a person is told that it is.
    marker
        The file that makes a directory one of them, written last.
    files
        Lists the other files of one that is there, relative to it, from the marker's bytes and the directory's name.
    """

    noun: str
    article: str
    marker: str
    files: Callable[[bytes, str], set[str]]


ARTEFACT = Kind(
    "export", "an", MANIFEST, lambda marker, place: {file.path for file in read_manifest(marker, place).files}
)


@contextmanager
def building(directory: Path, replace: bool, kind: Kind = ARTEFACT) -> Iterator[Path]:
    """Return a directory to build in, which takes its place when the block ends well.

    What a killed export left beside this place is cleaned up: it has no marker, which is written last.

    Parameters
    ----------
    directory
        Where the export is to be.
    replace
        Whether an export that is there already may go.
    kind
        What is built.

    Raises
    ------
    ClipdbError
        If something else is in the way, or the place can't be written.
    """
    directory = directory.resolve()
    _check(directory, replace, kind)
    made = directory.with_name(f".{directory.name}.{uuid4().hex}")
    try:
        handle = make_locked(made)
        try:
            _clean(directory, kind, keep_whole=True)
            yield made
            for folder, _, _ in os.walk(made, topdown=False):
                sync(Path(folder))
            _put(made, directory, replace, kind)
            sync(directory.parent)
            _clean(directory, kind, keep_whole=False)
        finally:
            if handle is not None:
                os.close(handle)
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        _check(directory, replace, kind)  # another export may have taken the place meanwhile
        raise ClipdbError(f"can't export to {directory}: {error.strerror or error}") from error


def _check(directory: Path, replace: bool, kind: Kind) -> None:
    """Refuse what would be lost: only an export with nothing else in it is replaced."""
    noun, a_noun = kind.noun, f"{kind.article} {kind.noun}"
    if not directory.name:
        raise ClipdbError(f"{directory} isn't a valid name for {a_noun}: name a directory that is not there yet")
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return
    if not (directory / kind.marker).is_file():
        raise ClipdbError(f"{directory} is there and is no {noun}: choose another name")
    if not replace:
        raise ClipdbError(f"{directory} is {a_noun} already: add --replace, or choose another name")
    known = {kind.marker, *kind.files((directory / kind.marker).read_bytes(), str(directory))}
    for file in sorted(directory.rglob("*")):
        name = file.relative_to(directory).as_posix()
        if (file.is_symlink() or not file.is_dir()) and name not in known:
            raise ClipdbError(f"{directory} holds {name}, which is no part of the {noun} there: move it away first")


def _put(made: Path, directory: Path, replace: bool, kind: Kind) -> None:
    """Rename; an export that is there stays, under a temporary name, until the new one is in its place.

    Where names can be swapped there is no moment without an export: the old one then has the temporary name.
    """
    if not (replace and (directory / kind.marker).exists()):
        made.rename(directory)  # also over an empty directory, and over nothing else
        return
    if swapped(made, directory):
        return
    old = directory.with_name(f".{directory.name}.{uuid4().hex}")
    directory.rename(old)
    try:
        made.rename(directory)
    except OSError:
        old.rename(directory)
        raise


def _clean(directory: Path, kind: Kind, keep_whole: bool) -> None:
    """Delete what exports to this place left that were killed."""
    delete_leftovers(directory, "[0-9a-f]{32}", lambda other: not (keep_whole and (other / kind.marker).exists()))
