"""Where the rows of an artefact's vectors are in an index's."""

from __future__ import annotations

from collections.abc import Iterable

import duckdb
import lance
import numpy as np
import pyarrow as pa

from clipdb.artefact.merge.checked_vectors import TheirVectors
from clipdb.artefact.merge.row_values import short


def stage_ids(connection: duckdb.DuckDBPyConnection, theirs: TheirVectors) -> None:
    """Lay the ids of vectors into the temporary table ``their_ids``, with their place.

    Raises
    ------
    ClipdbError
        If one comes twice, is no SHA-256, or is of a text that the artefact does not have.
    """
    _lay(connection, "their_ids", (batch.column(0) for batch in theirs.batches(keys_only=True)))
    rules = {
        "comes twice": "select id from their_ids group by id having count(*) > 1 order by id limit 1",
        "is no SHA-256": "select id from their_ids where not regexp_full_match(id, '[0-9a-f]{64}') order by id limit 1",
    }
    if theirs.kind == "texts":
        rules["is not among its texts"] = (
            "select id from their_ids where id not in (select text_id from their_texts) order by id limit 1"
        )
    for problem, query in rules.items():
        row = connection.execute(query).fetchone()
        if row is not None:
            raise theirs.wrong(f"{theirs.key} {short(row[0])} {problem}")


def find_places(
    connection: duckdb.DuckDBPyConnection, ours: lance.LanceDataset | None, theirs: TheirVectors
) -> np.ndarray:
    """Find where each of their ids is in our table, counted from 0; -1 where it is not."""
    if ours is None:
        return np.full(theirs.count, -1, np.int64)
    stored = ours.to_batches(columns=[theirs.key], batch_size=65_536)
    _lay(connection, "our_ids", (batch.column(0) for batch in stored))
    found = connection.execute(
        "select coalesce(o.place, -1) as place from their_ids t left join our_ids o using (id) order by t.place"
    ).fetchnumpy()
    return np.asarray(found["place"], np.int64)


def _lay(connection: duckdb.DuckDBPyConnection, name: str, ids: Iterable[pa.Array]) -> None:
    connection.execute(f"create or replace temp table {name} (id text, place bigint)")
    place = 0
    for some in ids:
        places = pa.array(range(place, place + len(some)), pa.int64())
        connection.register("clipdb_rows", pa.table([some, places], ["id", "place"]))
        connection.execute(f"insert into {name} from clipdb_rows")
        connection.unregister("clipdb_rows")
        place += len(some)
