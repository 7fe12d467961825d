"""What the operating system is asked beyond Python's own library: to keep files for good, and to swap two names."""

from __future__ import annotations

import os
from pathlib import Path

_HERE = -100  # AT_FDCWD on Linux
_SWAP = 2  # RENAME_EXCHANGE on Linux, RENAME_SWAP on macOS


def sync(path: Path) -> None:
    """Have the disk keep a file's content or a folder's entries, whatever happens to the machine."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def swapped(one: Path, other: Path) -> bool:
    """Swap what two names stand for, in one step; return False where the system or the file system can't."""
    import ctypes

    libc = ctypes.CDLL(None)
    first, second = os.fsencode(one), os.fsencode(other)
    if hasattr(libc, "renameat2"):
        return bool(libc.renameat2(_HERE, first, _HERE, second, _SWAP) == 0)
    if hasattr(libc, "renamex_np"):
        return bool(libc.renamex_np(first, second, _SWAP) == 0)
    return False
