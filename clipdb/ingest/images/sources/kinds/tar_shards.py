"""Tar shards, plain or compressed, as WebDataset writes them; streamed, never unpacked."""

from __future__ import annotations

import json
import math
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, Any

from clipdb.errors import ClipdbError
from clipdb.ingest.images.sources.files import open_file, raise_failure
from clipdb.ingest.images.sources.item import (
    SourceItem,
    bytes_item,
    clean,
    failed_item,
    is_image,
    parent_of,
    split_of,
    too_large,
)
from clipdb.ingest.images.sources.source import Source
from clipdb.models.preprocess import MAX_BYTES

_SIDECARS = ("cls", "json", "txt")
_SIDECAR_BYTES = 2**24
_HELD = 64 * 2**20  # bytes of one key's images that wait for side files; IMG.1.jpg, IMG.2.jpg, ... are all one key


@dataclass
class _Sample:
    """The members that share a WebDataset key."""

    key: str
    images: list[tuple[str, bytes]] = field(default_factory=list)
    label: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


class _Member(tarfile.TarInfo):
    """A member; it notes why reading stopped, as tarfile takes damage between members for the end."""

    @classmethod
    def fromtarfile(cls, tarfile: Any) -> _Member:
        """Read the next header."""
        try:
            return super().fromtarfile(tarfile)
        except Exception as error:
            tarfile.stopped_by = error
            raise


class TarShard(Source):
    """The images in the tar file `path`.

    Members that share a key (the name up to its first dot) belong together: ``.cls`` gives the label, ``.json``
    and ``.txt`` the metadata. Links, pipes and devices are ``left_out``: how many of them there are is known when all
    images have been read.
    """

    suffixes = (".tar", ".tar.gz", ".tgz")

    def __iter__(self) -> Iterator[SourceItem]:
        """Yield the images in order; damage is an item that fails, after all images before it."""
        self.left_out = 0
        uri, split, sample = clean(self.path), split_of(PurePosixPath(self.path).name), _Sample("")
        try:
            with open_file(self.path) as file, tarfile.open(fileobj=file, mode="r|*", tarinfo=_Member) as archive:
                while (member := archive.next()) is not None:
                    archive.members.clear()  # type: ignore[attr-defined] # or a long archive fills the memory
                    name = member.name
                    folder, _, base = name.rpartition("/")
                    self.left_out += not (member.isreg() or member.isdir())
                    if not member.isreg() or base.startswith("."):
                        continue
                    stem, _, extension = base.partition(".")
                    key = f"{folder}/{stem}"
                    if key != sample.key or sum(len(data) for _, data in sample.images) > _HELD:
                        yield from self._items(sample, uri, split)
                        sample = _Sample(key)
                    if is_image(base):
                        if member.size > MAX_BYTES:
                            yield failed_item(f"{uri}#{clean(name)}", too_large(member.size))
                        else:
                            sample.images.append((name, _read(archive, member)))
                    elif extension.lower() in _SIDECARS and member.size <= _SIDECAR_BYTES:
                        _annotate(sample, extension.lower(), _read(archive, member))
                if not isinstance(archive.stopped_by, tarfile.EOFHeaderError):  # type: ignore[attr-defined]
                    raise tarfile.ReadError("it has no end mark, so it was cut short or damaged")
        except Exception as error:  # damaged archives raise nearly anything
            raise_failure(self.path, error)
            yield from self._items(sample, uri, split)
            yield failed_item(uri, f"the archive cannot be read to its end: {error}")
            return
        yield from self._items(sample, uri, split)

    def read(self, part: str) -> bytes:
        """Read one image by its name in the shard.

        Raises
        ------
        ClipdbError
            When the shard has no such image.
        """
        with open_file(self.path) as file, tarfile.open(fileobj=file, mode="r|*") as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined] # as above
                if member.isreg() and clean(member.name) == part and member.size <= MAX_BYTES:
                    return _read(archive, member)
        raise ClipdbError(f"{self.path} has no image of that name")

    def _items(self, sample: _Sample, uri: str, split: str | None) -> Iterator[SourceItem]:
        """Yield a sample's images."""
        for name, data in sample.images:
            yield bytes_item(
                f"{uri}#{clean(name)}",
                data,
                label=sample.label,
                split=split,
                metadata=sample.metadata or None,
                parent=parent_of(name),
            )


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """Read a whole member or raise."""
    file: IO[bytes] | None = archive.extractfile(member)
    data = file.read() if file else b""
    if len(data) != member.size:
        raise tarfile.ReadError("unexpected end of data")
    return data


def _annotate(sample: _Sample, kind: str, data: bytes) -> None:
    """Put a side file into its sample; JSON that is no object, or that no database takes, is kept as it stands."""
    text = data.decode("utf-8", "replace").strip()
    if kind == "cls":
        sample.label = text or None
    elif kind == "txt":
        sample.metadata["text"] = text
    else:
        try:
            value = json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
        except (ValueError, RecursionError):
            value = text
        sample.metadata.update(value if isinstance(value, dict) else {"json": value})


def _finite(number: str) -> float | None:
    """Read a number, null where it is too large for one."""
    value = float(number)
    return value if math.isfinite(value) else None


SOURCE = TarShard
