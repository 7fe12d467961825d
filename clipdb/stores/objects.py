"""Read, write and list objects of a store, whole; what fails says why in one line."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from clipdb.errors import ClipdbError
from clipdb.stores.address import StoreAddress
from clipdb.stores.connecting import file_system
from clipdb.stores.failures import reaching, require_bucket

_CHUNK = 2**23  # a request; one that breaks off is asked for again


def read_object(address: StoreAddress, most: int) -> bytes | None:
    """Read a small object; None if there is none, or no such bucket.

    Raises
    ------
    ClipdbError
        If the store refuses or fails, or the object is larger.
    """
    with reaching(address):
        try:
            with file_system(address).open_input_stream(address.path) as stream:
                data = bytes(stream.read(most + 1))
        except FileNotFoundError:
            return None
    if len(data) > most:
        raise ClipdbError(f"{address} has more than {most:,} bytes: it isn't what its name says")
    return data


def exists(address: StoreAddress) -> bool:
    """Return whether there is such an object.

    Raises
    ------
    ClipdbError
        If the store refuses or fails.
    """
    from pyarrow.fs import FileType

    with reaching(address):
        return bool(file_system(address).get_file_info(address.path).type == FileType.File)


def open_object(address: StoreAddress, buffer: int = _CHUNK) -> IO[bytes]:
    """Open an object to be read from its beginning to its end, in requests of this many bytes.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ClipdbError
        If the store refuses or fails.
    """
    with reaching(address):
        stream: IO[bytes] = file_system(address).open_input_stream(address.path, buffer_size=buffer)
        return stream


def download(address: StoreAddress, file: Path) -> None:
    """Copy an object into a file.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ClipdbError
        If the store refuses or fails, or the disk is full.
    """
    with file.open("wb") as out, reaching(address), file_system(address).open_input_stream(address.path) as stream:
        while data := stream.read(_CHUNK):
            try:
                out.write(data)
            except OSError as error:
                raise ClipdbError(f"can't write {file}: {error.strerror}: run the same command again") from error


def upload(file: Path, address: StoreAddress) -> None:
    """Copy a file into an object; after a failure it isn't there, or is shorter.

    Raises
    ------
    ClipdbError
        If the store refuses or fails.
    """
    files = file_system(address)
    with file.open("rb") as data, reaching(address, "writing"), files.open_output_stream(address.path) as stream:
        shutil.copyfileobj(data, stream, _CHUNK)


def write_object(address: StoreAddress, data: bytes) -> None:
    """Write a small object in one request, over one that is there.

    Raises
    ------
    ClipdbError
        If the store refuses or fails.
    """
    with reaching(address, "writing"), file_system(address).open_output_stream(address.path) as stream:
        stream.write(data)


@dataclass(frozen=True)
class Object:
    """An object in a list: its size in bytes, and when it was written."""

    size: int
    written_at: datetime


def listed(address: StoreAddress) -> dict[str, Object]:
    """Return the objects below a folder, by their names there, in order; empty if there are none.

    Raises
    ------
    ClipdbError
        If there is no bucket, or the store refuses or fails.
    """
    from pyarrow.fs import FileSelector, FileType

    with reaching(address, "listing"):
        found = file_system(address).get_file_info(FileSelector(address.path, recursive=True, allow_not_found=True))
    if not found:
        require_bucket(address)
    return {
        one.path.removeprefix(f"{address.path}/"): Object(one.size, one.mtime)
        for one in sorted(found, key=lambda one: one.path)
        if one.type == FileType.File
    }


def delete(address: StoreAddress) -> None:
    """Delete an object, if it is there.

    Raises
    ------
    ClipdbError
        If the store refuses or fails.
    """
    with reaching(address, "deleting"):
        try:
            file_system(address).delete_file(address.path)
        except FileNotFoundError:
            return


def has_objects(address: StoreAddress) -> bool:
    """Return whether there is any object below a folder.

    Raises
    ------
    ClipdbError
        If there is no bucket, or the store refuses or fails.
    """
    from pyarrow.fs import FileSelector

    with reaching(address, "listing"):
        found = file_system(address).get_file_info(FileSelector(address.path, allow_not_found=True))
    if not found:
        require_bucket(address)
    return bool(found)


def delete_folder(address: StoreAddress) -> None:
    """Delete all objects below a folder.

    Raises
    ------
    ClipdbError
        If the store refuses or fails.
    """
    with reaching(address, "deleting"):
        for name in listed(address):
            delete(address.below(name))
