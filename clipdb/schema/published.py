"""An index in a store, as `clipdb export index` writes it and readers find it.

    INDEX/published.json                     which state is the newest; the only object that is ever replaced
    INDEX/snapshots/000017-HASH.duckdb       the catalog of a state, by its number and the beginning of its SHA-256
    INDEX/vectors/MODEL.images.lance/...     Lance tables, whose files never change either

Nobody can lock an object. So a state that was superseded is kept for `GRACE`, for those who have it open, and goes with
the first publication after that.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

from clipdb.errors import ClipdbError
from clipdb.schema.names import MANIFEST
from clipdb.schema.snapshots import CATALOG, SNAPSHOTS, Versions
from clipdb.stores.address import StoreAddress
from clipdb.stores.failures import require_bucket
from clipdb.stores.objects import download, read_object, write_object

POINTER = "published.json"
GRACE = timedelta(days=1)

_FORMAT = 1
_MOST_BYTES = 2**20
_CATALOG = re.compile(rf"{SNAPSHOTS}/\d{{6,}}-[0-9a-f]{{16}}\.duckdb")
_TRIES = 3


@dataclass(frozen=True)
class State:
    """A state of an index in a store.

    Attributes
    ----------
    catalog
        Name of its catalog in the index.
    sha256
        Of the catalog, in hexadecimal.
    versions
        The versions of the Lance tables that it vouches for.
    last_run
        The newest run in it: what is published next has to have it, too. None before the first.
    superseded_at
        When another took its place.
    """

    catalog: str
    sha256: str
    versions: Versions
    last_run: str | None
    superseded_at: datetime | None = None

    def superseded(self) -> State:
        """Return the state as one that has just been superseded."""
        return State(self.catalog, self.sha256, self.versions, self.last_run, datetime.now(UTC))


@dataclass(frozen=True)
class Published:
    """What the pointer says: the newest state, and those that are kept for a while."""

    newest: State
    kept: tuple[State, ...] = field(default=())


@dataclass(frozen=True)
class Local:
    """A state's catalog on this machine, for as long as anybody has this object."""

    state: State
    folder: tempfile.TemporaryDirectory[str]

    @property
    def file(self) -> Path:
        """The catalog, by the name that DuckDB calls it by."""
        return Path(self.folder.name, CATALOG)


_downloading = Lock()
_downloaded: dict[StoreAddress, Local] = {}  # the newest that this process has of each


def read_published(index: StoreAddress) -> Published | None:
    """Read which states an index in a store has; None if there is no index.

    Raises
    ------
    ClipdbError
        If the store refuses or fails, or a newer clipdb wrote it.
    """
    data = read_object(index.below(POINTER), _MOST_BYTES)
    if data is None:
        return None
    try:
        said = json.loads(data)
        version = int(said["format"])
        newest = _state(said["newest"]) if version == _FORMAT else None
        kept = tuple(map(_state, said["kept"])) if newest else ()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClipdbError(
            f"{index.below(POINTER)} isn't as `clipdb export index` writes it: export it again"
        ) from error
    if newest is None:
        raise ClipdbError(f"{index} has format {version} and this clipdb knows {_FORMAT}: upgrade clipdb", kind="newer")
    return Published(newest, kept)


def write_published(index: StoreAddress, published: Published) -> None:
    """Make a state the newest: from now on readers find it.

    Raises
    ------
    ClipdbError
        If the store refuses or fails.
    """
    said = {"format": _FORMAT, **asdict(published)}
    write_object(index.below(POINTER), json.dumps(said, indent=1, default=datetime.isoformat).encode())


def catalog_name(number: str, sha256: str) -> str:
    """Name a catalog in a store: no two have one name, so none is ever replaced."""
    return f"{SNAPSHOTS}/{number}-{sha256[:16]}.duckdb"


def get_newest(index: StoreAddress) -> Local | None:
    """Download the newest catalog of an index, once in a process; it is gone from the disk when nobody has it.

    None if there is no index.

    Raises
    ------
    ClipdbError
        If the store refuses or fails, or what comes isn't what was published.
    """
    with _downloading:
        for _ in range(_TRIES):
            published = read_published(index)
            if published is None:
                return None
            known = _downloaded.get(index)
            if known is not None and known.state.catalog == published.newest.catalog:
                return known
            local = Local(published.newest, tempfile.TemporaryDirectory(prefix="clipdb-"))
            try:
                download(index.below(published.newest.catalog), local.file)
            except FileNotFoundError:  # it was superseded long ago and deleted just now
                continue
            with local.file.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != published.newest.sha256:
                    raise ClipdbError(f"{index.below(published.newest.catalog)} is damaged: export the index again")
            _downloaded[index] = local
            return local
    raise ClipdbError(f"{index} names a catalog that isn't there: export the index again", kind="absent")


def absent(index: StoreAddress) -> ClipdbError:
    """Return what to do where there is no index; raise why, if there isn't even a bucket."""
    require_bucket(index)
    return ClipdbError(
        f"no index and no export at {index}: it has neither {POINTER} nor {MANIFEST}. `clipdb export index {index} -i "
        "INDEX` puts an index there",
        kind="absent",
    )


def _state(said: Mapping[str, Any]) -> State:
    if not _CATALOG.fullmatch(said["catalog"]):
        raise ValueError(said["catalog"])
    when = said["superseded_at"]
    versions = {str(name): int(version) for name, version in said["versions"].items()}
    return State(
        said["catalog"], str(said["sha256"]), versions, said["last_run"], when and datetime.fromisoformat(when)
    )
