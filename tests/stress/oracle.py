"""What an index holds, read by DuckDB and Lance alone: is it all there, does it agree, and is nothing else there?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from support import Table, assert_same_vectors, table

Ask = Callable[[str], list[tuple[Any, ...]]]
Vectors = Callable[[str, str], list[tuple[str, str, int]]]
Rows = dict[str, list[tuple[Any, ...]]]
State = Rows
"""The rows of each relation in order, but for runs, times and numbers that depend on the batches; and whose vectors
there are. Fractions are not among them: they are compared at the end alone."""

FRACTIONS = "'FLOAT', 'FLOAT[]', 'DOUBLE'"
HISTORY = "'clipdb_schema', 'runs', 'batches'"
COLUMNS = f"""
select table_name, string_agg(column_name, ', ' order by column_index) from duckdb_columns()
where database_name = current_database() and not internal and table_name not in ({HISTORY})
    and table_name in (select table_name from duckdb_tables()) and column_name <> 'run'
    and not starts_with(data_type, 'TIMESTAMP') and {{}} group by all order by all"""


def state(ask: Ask, vectors: Vectors) -> State:
    """Read a state; what is wrong with it fails."""
    found = {name: ask(f"select {kept} from {name} order by all") for name, kept in
             ask(COLUMNS.format(f"data_type not in ({FRACTIONS})"))}  # fmt: skip
    for model, kind in ask("select distinct model_id, kind from batches order by all"):
        rows = vectors(model, kind)
        ids, key = sorted((one,) for one, _, _ in rows), f"{kind[:-1]}_id"
        named = {one for (one,) in ask(f"select {key} from {kind}")}
        committed = set(ask("select run, batch from batches"))
        assert len(set(ids)) == len(ids), f"{kind} twice"
        assert {(run, batch) for _, run, batch in rows} <= committed, f"{kind} that were not committed"
        assert {one for (one,) in ids} <= named if kind == "texts" else {one for (one,) in ids} == named, kind
        found[f"{kind} with vectors"] = ids
    return found


@dataclass(frozen=True)
class Content:
    """All that an index holds: its state, the fractions of each relation, and the vectors of each model and kind."""

    state: State
    fractions: Rows
    vectors: dict[tuple[str, str], Table]


def stored(index: Path) -> tuple[State, Rows]:
    """Read the newest snapshot of an index: its state, and the fractions of each relation in the order of its keys."""
    import lance

    with duckdb.connect(str(index / "catalog.duckdb"), read_only=True) as connection:

        def ask(sql: str) -> list[tuple[Any, ...]]:
            return connection.execute(sql).fetchall()

        def vectors(model: str, kind: str) -> list[tuple[str, str, int]]:
            path, version = _table(index, model, kind), _committed(ask)[model, kind]
            columns = [f"{kind[:-1]}_id", "_run", "_batch"]
            held = lance.dataset(str(path), version=version).to_table(columns=columns)
            return list(zip(*(held.column(name).to_pylist() for name in columns), strict=True))

        keys = dict(ask(COLUMNS.format(f"data_type not in ({FRACTIONS})")))
        # The error of reconstruction is of the pictures that a run began with.
        wanted = f"data_type in ({FRACTIONS}) and column_name <> 'reconstruction_error'"
        fractions = {name: ask(f"select {kept} from {name} order by {keys[name]}") for name, kept in
                     ask(COLUMNS.format(wanted))}  # fmt: skip
        return state(ask, vectors), fractions


def content(index: Path) -> Content:
    """Read all that the newest snapshot of an index holds."""
    with duckdb.connect(str(index / "catalog.duckdb"), read_only=True) as connection:
        tables = _committed(lambda sql: connection.execute(sql).fetchall())
    vectors = {(model, kind): table(index, kind, model, version) for (model, kind), version in tables.items()}
    return Content(*stored(index), vectors)


def assert_equal(index: Path, straight: Path) -> None:
    """Check that an index holds what another does, of the same commands without a kill."""
    assert_same_content(content(index), content(straight))


def assert_same_content(ours: Content, theirs: Content) -> None:
    """Check that two indexes hold the same, but for the rounding of fractions and vectors."""
    assert ours.state.keys() == theirs.state.keys()
    for name, rows in ours.state.items():
        assert rows == theirs.state[name], f"{name}: {set(rows) ^ set(theirs.state[name])}"
    for name, values in ours.fractions.items():
        (sizes, our), (their_sizes, their) = _flat(values), _flat(theirs.fractions[name])
        assert sizes == their_sizes, name
        np.testing.assert_allclose(our, their, 1e-3, 1e-6, err_msg=name)
    assert ours.vectors.keys() == theirs.vectors.keys()
    for key, vectors in ours.vectors.items():
        assert_same_vectors(vectors, theirs.vectors[key])


def leftovers(index: Path) -> Iterator[str]:
    """List what an index has that no reader needs, once nobody holds an older state."""
    import lance

    own = {"catalog.duckdb", "work.duckdb", "snapshots", "vectors", "writer.lock"}
    yield from (one.name for one in index.iterdir() if one.name not in own)
    yield from (str(one) for one in index.rglob("*") if one.name.startswith(".") or one.name.endswith(".tmp"))
    yield from [str(one) for one in sorted((index / "snapshots").iterdir())][:-1]
    with duckdb.connect(str(index / "catalog.duckdb"), read_only=True) as connection:
        committed = _committed(lambda sql: connection.execute(sql).fetchall())
    known = {_table(index, *key): version for key, version in committed.items()}
    yield from (str(one) for one in (index / "vectors").iterdir() if one not in known)
    for path, version in known.items():
        dataset = lance.dataset(str(path))
        versions, tags = [one["version"] for one in dataset.versions()], dataset.tags.list()
        if versions != [version] or [one["version"] for one in tags.values()] != [version]:
            yield f"{path.name}: versions {versions} and tags {list(tags)}, where {version} is committed"
        used = {file.path for fragment in dataset.get_fragments() for file in fragment.data_files()}
        yield from (str(one) for one in (path / "data").iterdir() if one.name not in used)


def _flat(rows: list[tuple[Any, ...]]) -> tuple[list[int], np.ndarray]:
    """Return how many numbers each cell has, and all of them; null is NaN."""
    cells = [np.atleast_1d(np.array(cell, float)) for row in rows for cell in row]
    return [cell.size for cell in cells], np.concatenate([np.empty(0), *cells])


def _table(index: Path, model: str, kind: str) -> Path:
    return index / "vectors" / f"{model.replace('/', '__')}.{kind}.lance"


def _committed(ask: Ask) -> dict[tuple[str, str], int]:
    newest = ask("select model_id, kind, max(lance_version) from batches group by all order by all")
    return {(model, kind): version for model, kind, version in newest}
