"""Where the vectors of an index are: in its directory, or where they were to be kept when it was made.

The catalog of the latter has one more table, with one row. It is no relation of the schema: an export doesn't have it,
and an import doesn't take it. What opens a store is never in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb

from clipdb.errors import ClipdbError
from clipdb.schema import catalog
from clipdb.schema.connections import closing
from clipdb.schema.names import VECTORS, is_url, vectors_file
from clipdb.stores.address import StoreAddress, is_store, with_options

VectorsPlace = Path | StoreAddress

_TABLE = "clipdb_vectors"

_given: dict[str, str] = {}


@contextmanager
def giving(options: Mapping[str, str] | None) -> Iterator[None]:
    """Give what opens a store to all that this process does meanwhile with an index whose catalog names the store."""
    before = dict(_given)
    _given.update(options or {})
    try:
        yield
    finally:
        _given.clear()
        _given.update(before)


def chosen_place(
    index: Path, given: str | Path | None, options: Mapping[str, str] | None = None
) -> VectorsPlace | None:
    """Read where a person wants the vectors of an index to be; None where they didn't say.

    Raises
    ------
    ClipdbError
        If that is no place for them, or the options are for no store.
    """
    if given is None:
        if options and not has_vectors_in_store(index):
            raise ClipdbError(f"the vectors of {index} are in no store, so it takes no storage options: leave them out")
        return None
    if is_store(given):
        place = with_options(given, options)
        assert isinstance(place, StoreAddress)
        if not place.key:
            raise ClipdbError(f"{place} is a whole bucket: name a folder in it for the vectors, as in {place}/heads")
        return place
    if is_url(given):
        raise ClipdbError(f"{given} can't take vectors: write s3://BUCKET/PREFIX, gs://..., az://... or a folder")
    with_options(given, options)
    folder = Path(given).absolute()
    if folder.is_relative_to(index.absolute()):
        raise ClipdbError(f"{given} is inside the index, where vectors are anyway: leave --vectors out")
    return folder


def remember(connection: duckdb.DuckDBPyConnection, place: VectorsPlace | str) -> None:
    """Write into a new catalog where the vectors are to be."""
    connection.execute(f"create table main.{_TABLE} (place text not null)")
    connection.execute(f"insert into main.{_TABLE} values (?)", [str(place)])


def remembered(connection: duckdb.DuckDBPyConnection) -> str | None:
    """Read where the vectors are, if not in the directory of the index."""
    cursor = connection.cursor()  # another thread may be using the connection
    # Where there is no such table, DuckDB would look for a variable of that name in the callers' Python.
    known = "select 1 from duckdb_tables() where database_name = current_database() and table_name = ?"
    if cursor.execute(known, [_TABLE]).fetchone() is None:
        return None
    row = cursor.execute(f"select place from main.{_TABLE}").fetchone()
    return row[0] if row else None


def vectors_place(
    index: Path | StoreAddress, connection: duckdb.DuckDBPyConnection, options: Mapping[str, str] | None = None
) -> VectorsPlace:
    """Return the folder of the Lance tables of an index.

    Parameters
    ----------
    index
        Directory of the index, or where it is in a store; the vectors of the latter are beside its catalog.
    connection
        Its catalog.
    options
        What opens the store. Default: what `giving` gives.
    """
    if isinstance(index, StoreAddress):
        return index.below(VECTORS)
    place = remembered(connection)
    if place is None:
        return index / VECTORS
    return StoreAddress(place, options or _given) if is_store(place) else Path(place)


def has_vectors_in_store(path: Path | str) -> bool:
    """Return whether there is an index on a disk whose vectors are in a store.

    Raises
    ------
    ClipdbError
        If there is an index that can't be opened.
    """
    if is_url(path) or not catalog.exists(Path(path)):
        return False
    with closing(catalog.connect(Path(path))) as connection:
        place = remembered(connection)
    catalog.release(connection)
    return place is not None and is_store(place)


def table_in(place: VectorsPlace, model_id: str, kind: str) -> VectorsPlace:
    """Return the Lance table of a model in the folder of an index's tables."""
    return below(place, vectors_file(model_id, kind))


def below(place: VectorsPlace, name: str) -> VectorsPlace:
    """Return what has a name in a folder."""
    return place.below(name) if isinstance(place, StoreAddress) else place / name
