"""The files of an artefact: whole, regular, inside its directory, and byte for byte what its manifest says."""

from __future__ import annotations

import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from clipdb.artefact.format import File, Manifest
from clipdb.artefact.manifest import MOST_BYTES, read_manifest
from clipdb.errors import ClipdbError
from clipdb.schema.names import MANIFEST


class _State(NamedTuple):
    """What is another whenever a file is written or another takes its place."""

    size: int
    inode: int
    changed_ns: int


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
    states
        What the file system said of each file before it was checked.
    """

    directory: Path
    manifest: Manifest
    digest: str
    others: tuple[str, ...]
    states: dict[str, _State]

    def path(self, file: File) -> Path:
        """Return where a file lies."""
        return self.directory / file.path

    def require_unchanged(self) -> None:
        """Check that what was read since the files were checked is what was checked.

        Raises
        ------
        ClipdbError
            Naming a file that was written or replaced meanwhile.
        """
        for path, state in self.states.items():
            if _state(self.directory, path) != state:
                raise ClipdbError(f"{self.directory / path} was changed while it was imported: import it again")


def open_artefact(directory: Path) -> Artefact:
    """Read an artefact's manifest, and check every file that it names.

    Raises
    ------
    ClipdbError
        Naming the file that is missing, changed, no regular file or a symbolic link.
    """
    if not directory.is_dir():
        table = directory.suffix.lower() in (".csv", ".parquet")
        what = "; import a file with spans FILE, labels FILE or reviews FILE" if table else ""
        raise ClipdbError(
            f"no artefact at {directory}: name a directory that `clipdb export` wrote{what}", kind="absent"
        )
    if not (directory / MANIFEST).exists():
        raise ClipdbError(f"{directory} is not an artefact: it has no {MANIFEST}", kind="absent")
    _state(directory, MANIFEST)
    with (directory / MANIFEST).open("rb") as opened:
        text = opened.read(MOST_BYTES + 1)
    manifest = read_manifest(text, str(directory))
    states = {file.path: _state(directory, file.path) for file in manifest.files}
    for file in manifest.files:
        if (size := states[file.path].size) != file.bytes:
            raise _changed(directory, file, f"it has {size} bytes, not {file.bytes}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        digests = pool.map(lambda file: _sha256(directory, file), manifest.files)
        for file, digest in zip(manifest.files, digests, strict=True):
            if digest != file.sha256:
                raise _changed(directory, file, "its SHA-256 is another")
    others = sorted(_visible(directory) - {MANIFEST, *states})
    return Artefact(directory, manifest, hashlib.sha256(text).hexdigest(), tuple(others), states)


def _state(directory: Path, path: str) -> _State:
    """Check that nothing on the way to a file leads elsewhere; give its state."""
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
    return _State(status.st_size, status.st_ino, status.st_ctime_ns)


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
