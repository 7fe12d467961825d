"""Put minimal pairs into an index: all of a file, or nothing."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipdb._util.text import counted
from clipdb.errors import ClipdbError
from clipdb.ingest.pairs.known_images import KnownImages
from clipdb.ingest.pairs.pair_file import PairLine, read_pairs
from clipdb.ingest.store.rows import put
from clipdb.ingest.store.writer import Writer

_SHOWN = 5
_KEY = ("image_a", "image_b", "attribute")
_SAYS = (*_KEY, "value_a", "value_b")


@dataclass(frozen=True)
class PairCounts:
    """Pairs ``added``, those ``skipped`` because they were known, and how many there now are of all ``attributes``."""

    added: int
    skipped: int
    attributes: dict[str, int]


def ingest_pairs(index: Path, file: Path) -> PairCounts:
    """Store the pairs of a file; one that the index has takes the values of the file.

    Raises
    ------
    ClipdbError
        If there is no index, the file doesn't hold pairs, or images of them are not in the index; nothing is written.
    """
    lines = read_pairs(file)
    with Writer(index, "ingest pairs", {"file": str(file)}, empty_run=False) as writer:
        images = KnownImages(writer.read("select image_id, uri from images"), file.parent)
        rows = _rows(index, lines, images, writer.models()[0])
        stored = set(writer.read(f"select {', '.join(_SAYS)} from pairs"))
        new = [row | {"run": writer.run} for row in rows if tuple(row[name] for name in _SAYS) not in stored]
        writer.added, writer.skipped = len(new), len(rows) - len(new)
        if new:
            with writer.transaction() as connection:
                put(connection, "pairs", new, replace=True)
        counts = writer.read("select attribute, count(*) from pairs group by attribute order by attribute")
        return PairCounts(len(new), len(rows) - len(new), dict(counts))


def _rows(index: Path, lines: Sequence[PairLine], images: KnownImages, model: str) -> list[dict[str, Any]]:
    """Find the images of every line; the same pair twice is one."""
    found: dict[tuple[str, ...], tuple[dict[str, Any], str]] = {}
    unknown: dict[str, str] = {}
    for line in lines:
        ids = []
        for name in (line.image_a, line.image_b):
            try:
                image_id = images.find(name)
            except ClipdbError as error:
                raise ClipdbError(f"{line.place}: {error}") from None
            if image_id is None:
                unknown.setdefault(name, line.place)
            else:
                ids.append(image_id)
        if len(ids) < 2:
            continue
        if ids[0] == ids[1]:
            raise ClipdbError(f"{line.place}: {line.image_a} and {line.image_b} are the same image: a pair has two")
        sides = sorted(zip(ids, (line.value_a, line.value_b), strict=True))
        row = {
            "image_a": sides[0][0],
            "image_b": sides[1][0],
            "attribute": line.attribute,
            "value_a": sides[0][1],
            "value_b": sides[1][1],
        }
        before, place = found.setdefault(tuple(row[name] for name in _KEY), (row, line.place))
        if before != row:
            raise ClipdbError(f"{line.place}: the pair of {place} again, with other values: take one of the rows out")
    if unknown:
        name, place = next(iter(unknown.items()))
        more = f", and {counted(len(unknown) - 1, 'more image')} of this file" if len(unknown) > 1 else ""
        files = [images.file_of(one) for one in list(unknown)[:_SHOWN]]
        named = " ".join(map(shlex.quote, files)) + (" ..." if len(unknown) > _SHOWN else "")
        raise ClipdbError(
            f"{place}: {name} is no image of {index}{more}: first run `clipdb ingest images {named} "
            f"--model {shlex.quote(model)} -i {shlex.quote(str(index))}`",
            kind="absent",
        )
    return [row for row, _ in found.values()]
