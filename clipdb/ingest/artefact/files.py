"""The files of an artefact: whole, regular, inside its directory, and byte for byte what its manifest says."""

from __future__ import annotations

import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from clipdb.errors import ClipdbError
from clipdb.schema.artefact import MANIFEST, File, Manifest, read_manifest

_MOST_MANIFEST = 64 * 2**20


@dataclass(frozen=True)
class Artefact:
    """An artefact whose files are those of its manifest.

    Attributes
    ----------
    directory
        Where it lies.
    manifest
        What it says of itself.
    digest
        Hex SHA-256 of the manifest, and so of everything in it.
    others
        Files beside those of the manifest, which nothing reads.
    """

    directory: Path
    manifest: Manifest
    digest: str
    others: tuple[str, ...]

    def path(self, file: File) -> Path:
        """Say where a file lies."""
        return self.directory / file.path


def open_artefact(directory: Path) -> Artefact:
    """Read an artefact's manifest, and check every file that it names.

    Raises
    ------
    ClipdbError
        Naming the file that is missing, changed, no regular file or a symbolic link.
    """
    if not directory.is_dir():
        raise ClipdbError(f"no artefact at {directory}: name a directory that `clipdb export` wrote")
    if not (directory / MANIFEST).exists():
        raise ClipdbError(f"{directory} is not an artefact: it has no {MANIFEST}")
    _require_regular(directory, MANIFEST)
    with (directory / MANIFEST).open("rb") as opened:
        text = opened.read(_MOST_MANIFEST + 1)
    manifest = read_manifest(text, str(directory))
    for file in manifest.files:
        size = _require_regular(directory, file.path)
        if size != file.bytes:
            raise _changed(directory, file, f"it has {size} bytes, not {file.bytes}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        digests = pool.map(lambda file: _sha256(directory, file), manifest.files)
        for file, digest in zip(manifest.files, digests, strict=True):
            if digest != file.sha256:
                raise _changed(directory, file, "its SHA-256 is another")
    named = {MANIFEST, *(file.path for file in manifest.files)}
    return Artefact(directory, manifest, hashlib.sha256(text).hexdigest(), tuple(sorted(_visible(directory) - named)))


def _require_regular(directory: Path, path: str) -> int:
    """Check that nothing on the way to a file leads elsewhere; give its size."""
    place = directory
    for part in path.split("/"):
        place = place / part
        try:
            status = place.lstat()
        except OSError as error:
            raise ClipdbError(
                f"{directory} lacks {path}, which its {MANIFEST} names ({error.strerror}): get the artefact again"
            ) from error
        if stat.S_ISLNK(status.st_mode):
            raise ClipdbError(f"{place} is a symbolic link: an artefact has none; copy it with `cp -rL`")
    if not stat.S_ISREG(status.st_mode):
        raise ClipdbError(f"{place} is not a regular file: get the artefact again")
    return status.st_size


def _sha256(directory: Path, file: File) -> str:
    try:
        with (directory / file.path).open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise ClipdbError(f"{directory / file.path} can't be read: {error.strerror}") from error


def _changed(directory: Path, file: File, how: str) -> ClipdbError:
    return ClipdbError(f"{directory / file.path} was changed since it was exported ({how}): get the artefact again")


def _visible(directory: Path) -> set[str]:
    """List files by their path, without those of hidden folders and names, as git and the Hub keep them."""
    found = set()
    for folder, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith(".")]
        place = Path(folder).relative_to(directory)
        found |= {(place / name).as_posix() for name in names if not name.startswith(".")}
    return found
