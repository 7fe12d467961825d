"""What a decoder would not say of a PNG or JPEG file: that it is damaged, or made to take for ever."""

from __future__ import annotations

import re
import zlib

MOST_SCANS = 100
"""Scans of a JPEG that are decoded; each is a pass over the whole picture. Progressive files have about 10."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_ANCILLARY = 0x20  # of the first letter of a chunk's type: a decoder may pass over the chunk
# What comes after 0xff in a scan without ending it: a zero, restart markers, and 0xff that fills.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_SCAN, _END, _ALONE = 0xDA, 0xD9, (0x01, 0xD8)


def problem_of(data: bytes) -> str | None:
    """Look for damage that decoders pass over.

    Parameters
    ----------
    data
        An image file of any format.

    Returns
    -------
    str or None
        What is wrong, in one line. Of a PNG (third edition, section 5), a chunk that is needed and whose CRC is
        another: Pillow checks no pixels, and would show them black. Of a JPEG (ITU T.81, annex B), more than
        `MOST_SCANS` scans.
    """
    if data.startswith(_PNG):
        return _damaged_chunk(data)
    if data.startswith(_JPEG) and data.count(bytes((0xFF, _SCAN))) > MOST_SCANS:
        scans = _count_scans(data)
        return f"the JPEG has {scans:,} scans: more than {MOST_SCANS} are not read" if scans > MOST_SCANS else None
    return None


def _damaged_chunk(data: bytes) -> str | None:
    """Find the first critical chunk whose CRC is wrong; one that is cut short is the decoder's to find."""
    view, place = memoryview(data), len(_PNG)
    while place + 12 <= len(data):
        kind, end = data[place + 4 : place + 8], place + 8 + int.from_bytes(data[place : place + 4])
        stored = data[end : end + 4]
        if (
            len(stored) == 4
            and not kind[0] & _ANCILLARY
            and int.from_bytes(stored) != zlib.crc32(view[place + 4 : end])
        ):
            return f"damaged: the CRC of the PNG's chunk at byte {place:,} is wrong"
        if kind == b"IEND":
            break
        place = end + 4
    return None


def _count_scans(data: bytes) -> int:
    """Count scans from marker to marker: their like in a thumbnail, or after the picture, are none."""
    scans, place = 0, 2
    while (found := _MARKER.search(data, place)) and data[found.end() - 1] != _END:
        marker, place = data[found.end() - 1], found.end()
        scans += marker == _SCAN
        if marker not in _ALONE:
            place += int.from_bytes(data[place : place + 2])
    return scans
