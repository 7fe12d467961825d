"""Files of sources, on this machine or in a store, where ``s3://``, ``gs://`` and ``az://`` addresses are paths."""

from __future__ import annotations

import io
import posixpath
from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from glob import has_magic
from pathlib import Path
from typing import IO, Any

from clipdb.errors import ClipdbError
from clipdb.stores.address import StoreAddress, is_store
from clipdb.stores.failures import StoreFailed, explained, require_bucket
from clipdb.stores.objects import exists, listed, open_object

_STREAM_BYTES = 2**22  # a request of a file that is read from its beginning to its end


def is_file(path: str) -> bool:
    """Return whether there is a file at a path.

    Raises
    ------
    ClipdbError
        If a store refuses or fails.
    """
    return exists(StoreAddress(path)) if is_store(path) else Path(path).is_file()


def may_be_there(path: str) -> bool:
    """Return whether there is a file at a path, or was: what a store keeps back may be there still."""
    with suppress(ClipdbError):
        return is_file(path)
    return True


def open_file(path: str) -> IO[bytes]:
    """Open a file to be read from its beginning to its end.

    Raises
    ------
    OSError
        If it isn't there.
    ClipdbError
        If a store refuses or fails.
    """
    return open_object(StoreAddress(path), _STREAM_BYTES) if is_store(path) else Path(path).open("rb")


def open_text(path: str, **how: Any) -> IO[str]:
    """Open a file of text; ``how`` is as `open` takes it.

    Raises
    ------
    OSError
        If it isn't there.
    ClipdbError
        If a store refuses or fails.
    """
    return io.TextIOWrapper(open_file(path), **how) if is_store(path) else Path(path).open(**how)


def parquet_file(path: str) -> Any:
    """Return what pyarrow reads Parquet from: what it asks for, not the whole file."""
    if not is_store(path):
        return path
    from clipdb.stores.connecting import file_system
    from clipdb.stores.failures import reaching

    address = StoreAddress(path)
    with reaching(address):
        return file_system(address).open_input_file(address.path)


def folder_of(path: str) -> str:
    """Return the folder that a file is in."""
    return posixpath.dirname(path) if is_store(path) else str(Path(path).parent)


def below(folder: str, name: str) -> str:
    """Return what a name means in a folder in a store; ``..`` goes up, as it does on a disk.

    Raises
    ------
    ClipdbError
        If that is no address.
    """
    address = StoreAddress(folder)
    return str(StoreAddress(f"{address.scheme}://{address.bucket}/{posixpath.normpath(f'{address.key}/{name}')}"))


def raise_failure(path: str, error: Exception) -> None:
    """Raise why a store failed, if an error comes from reading a path there: a run stops then, and can be resumed.

    Raises
    ------
    StoreFailed
        If the store, not the file, is what failed.
    """
    if isinstance(error, StoreFailed):
        raise error
    if is_store(path) and isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
        failure = explained(StoreAddress(path), error)
        if isinstance(failure, StoreFailed):
            raise failure from None


def stored_files(folder: str) -> list[str]:
    """List the addresses of the files below a folder in a store, in order; those that are hidden are left out.

    Raises
    ------
    ClipdbError
        If there is no bucket, or the store refuses or fails.
    """
    return [f"{folder}/{name}" for name in listed(StoreAddress(folder)) if not _is_hidden(name)]


def expand_stored(path: str) -> list[str]:
    """Return what an address stands for, which may be a pattern: ``*``, ``?``, ``[...]``, and ``**`` for any folders.

    Raises
    ------
    ClipdbError
        If nothing is there, or the store refuses or fails.
    """
    from pyarrow.fs import FileType

    from clipdb.stores.connecting import file_system
    from clipdb.stores.failures import reaching

    scheme, _, rest = path.partition("://")
    parts = rest.split("/")
    plain = next((number for number, part in enumerate(parts) if has_magic(part)), None)
    if plain is None:
        address = StoreAddress(path)
        with reaching(address):
            kind = file_system(address).get_file_info(address.path).type
        if kind == FileType.NotFound:
            require_bucket(address)
            raise ClipdbError(f"no such object or folder in the store: {path}", kind="absent")
        return [str(address)]
    if not plain:
        raise ClipdbError(f"{path} names no bucket: only what follows it may be a pattern")
    folder = f"{scheme}://{'/'.join(parts[:plain])}"
    found = [one for one in stored_files(folder) if _fits(one.removeprefix(f"{folder}/").split("/"), parts[plain:])]
    if not found:
        raise ClipdbError(f"nothing matches {path}: check the pattern", kind="absent")
    return found


def _fits(names: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not names
    if pattern[0] == "**":
        return any(_fits(names[start:], pattern[1:]) for start in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], pattern[0]) and _fits(names[1:], pattern[1:])


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))
