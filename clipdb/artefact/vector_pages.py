"""How vectors lie in the Parquet files of an artefact: what a page is but for its numbers.

Where every list has the same length a page is its levels, which are the same for every page, and the numbers as they
lie in memory; so pages can be written and read as fast as they can be compressed. Parquet's format:
https://parquet.apache.org/docs/file-format/, its structs: parquet.thrift there.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from clipdb.artefact.format import GROUP_ROWS
from clipdb.artefact.thrift import Fields, i32, read_struct, read_varint, struct, varint, zigzag

# Of parquet.thrift: Encoding, CompressionCodec.
PLAIN, RLE = 0, 3
ZSTD = 6
_PAGE_BYTES = 2**20
_GROUP_BYTES = 64 * 2**20
_TEXT_BYTES = 64  # about; ids have as many


class Header(NamedTuple):
    """The header of a page: what comes before the length of the packed page, and what comes after it."""

    before: bytes
    after: bytes

    def with_length(self, packed: int) -> bytes:
        """Write the header of a page of so many bytes."""
        return self.before + varint(zigzag(packed)) + self.after

    def split(self, pages: memoryview) -> tuple[memoryview, memoryview]:
        """Give the packed bytes of the first of some pages, and the pages after it.

        Raises
        ------
        ValueError
            If its header is another, or it ends too soon.
        """
        packed = read_varint(pages, len(self.before))[0] >> 1
        header = self.with_length(packed)
        end = len(header) + packed
        if pages[: len(header)] != header or end > len(pages):
            raise ValueError("another page")
        return pages[len(header) : end], pages[end:]


class Chunk(NamedTuple):
    """Where the pages of a column of a row group lie, how many bytes they take, and how many levels they have."""

    start: int
    packed: int
    levels: int


def read_chunks(footer: bytes) -> list[list[Chunk | None]]:
    """Read off a footer where its columns lie, by row group; None where one is described in another way than ours.

    pyarrow can't be asked about a footer that anybody may have written: it ends the process over a codec that it
    doesn't know, or statistics that can't be.

    Raises
    ------
    ValueError, IndexError, RecursionError
        If it has anything that `clipdb export` doesn't write.
    """
    match read_struct(footer)[0]:
        case {4: (9, [*groups])}:
            return [_group(group) for group in groups]
    raise ValueError("no row groups")


def _group(group: Fields) -> list[Chunk | None]:
    match group:
        case {1: (9, [*chunks])}:
            return [_chunk(chunk) for chunk in chunks]
    raise ValueError("no columns")


def _chunk(chunk: Fields) -> Chunk | None:
    match chunk:
        case {
            2: _,
            3: (12, {1: _, 2: _, 3: _, 4: (5, codec), 5: (6, levels), 6: _, 7: (6, packed), 9: (6, start), **more}),
        } if codec == ZSTD and not more and len(chunk) == 2:
            return Chunk(start, packed, levels)
    return None


@lru_cache(64)
def page_header(levels: int, unpacked: int) -> Header:
    """Give the header of a page.

    Parameters
    ----------
    levels
        How many levels it has.
    unpacked
        Its bytes before compression.
    """
    start = struct({1: i32(0), 2: i32(unpacked), 3: i32(0)}).data
    whole = struct(
        {1: i32(0), 2: i32(unpacked), 3: i32(0), 5: struct({1: i32(levels), 2: i32(PLAIN), 3: i32(RLE), 4: i32(RLE)})}
    ).data
    return Header(start[:-2], whole[len(start) - 1 :])


def group_rows(schema: pa.Schema) -> int:
    """Say how many rows go into a row group at most: a power of two, so that shards have whole ones."""
    return min(GROUP_ROWS, 2 ** max(8, (_GROUP_BYTES // row_bytes(schema)).bit_length() - 1))


def row_bytes(schema: pa.Schema) -> int:
    """Say how many bytes the vectors of a row take."""
    return sum(_width(field.type) for field in schema if pa.types.is_fixed_size_list(field.type))


def page_rows(kind: pa.DataType) -> int:
    """Say how many values of a type go into a page."""
    return max(1, _PAGE_BYTES // _width(kind))


@lru_cache(64)
def full_levels(rows: int, size: int, nullable: bool) -> tuple[int, bytes]:
    """Give the number of levels of lists of which none is null, and the levels.

    Parameters
    ----------
    rows, size
        How many lists, and the length of each.
    nullable
        Whether the column may have nulls.
    """
    return list_levels(np.ones(rows, bool), size, nullable)


def list_levels(valid: np.ndarray, size: int, nullable: bool) -> tuple[int, bytes]:
    """Give the number of levels of lists of one size and nulls ``[rows]``, and the levels.

    There is one level for a null, and one for each number; repetition levels come first, then definition levels.
    """
    lengths = np.where(valid, size, 1)
    starts = np.cumsum(lengths) - lengths
    repetition = np.ones(lengths.sum(), np.uint8)
    repetition[starts] = 0
    most = 2 if nullable else 1
    definition = np.full(len(repetition), most, np.uint8)
    definition[starts[~valid]] = 0
    return len(repetition), _run(repetition, 1) + _run(definition, most)


def _run(levels: np.ndarray, width: int) -> bytes:
    """Encode levels of so many bits: one level repeated, or all of them packed; the length comes first."""
    if (levels == levels[0]).all():
        run = varint(len(levels) << 1) + bytes([levels[0]])
    else:
        padded = np.pad(levels, (0, -len(levels) % 8))
        bits = padded[:, None] >> np.arange(width, dtype=np.uint8) & 1
        run = varint(len(padded) // 8 << 1 | 1) + np.packbits(bits, bitorder="little").tobytes()
    return len(run).to_bytes(4, "little") + run


def _width(kind: pa.DataType) -> int:
    """Give the bytes of a value."""
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size) * _width(kind.value_type)
    return _TEXT_BYTES if pa.types.is_string(kind) else int(kind.bit_width) // 8
