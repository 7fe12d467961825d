"""An artefact, opened where it lies: its Parquet files as the relations of a catalog in memory."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from clipdb._util.text import first_line, without_login
from clipdb.artefact.format import RELATIONS, RUN_ARGUMENTS, File, columns_since, derived
from clipdb.artefact.manifest import MOST_BYTES, check_size, read_manifest
from clipdb.artefact.reading.parquet_sql import listed, parquet
from clipdb.artefact.reading.remote import better_address, load_httpfs, use_options
from clipdb.errors import ClipdbError, kind_of
from clipdb.schema import catalog
from clipdb.schema.named_views import NamedViews
from clipdb.schema.names import MANIFEST, is_url
from clipdb.stores.address import StoreAddress
from clipdb.stores.failures import explained

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from clipdb.artefact.reading.parquet_vectors import ParquetVectors


_MOST_REASON = 300


class Artefact:
    """An artefact that DuckDB reads: of each file what a question needs, and when it needs it.

    Parameters
    ----------
    place
        Its directory, or the URL of it.

    Attributes
    ----------
    where
        The place as messages and paths begin.
    connection
        A catalog in memory: a view a relation of the artefact, and an empty table for each that it lacks. Of the views
        that every catalog has, those that `make_views` made. The caller closes it.
    manifest
        What it says of itself.

    Raises
    ------
    ClipdbError
        If there is none, it can't be read, is of a newer version, or its files are not as its manifest says.

    Notes
    -----
    Nothing is hashed, since that would read everything: the manifest and the length of each table are checked.
    """

    def __init__(self, place: str | Path) -> None:
        self.where = str(place).rstrip("/")
        self._store = place if isinstance(place, StoreAddress) else None
        self.connection = catalog.in_memory()
        self._views = NamedViews()
        try:
            if is_url(self.where):
                load_httpfs(self.connection, self.where)
                if self._store is not None:
                    use_options(self.connection, self._store)
            elif {"*", "?"} & set(self.where):
                raise ClipdbError(
                    f"{self.where} can't be read: DuckDB takes * and ? for patterns: rename the directory"
                )
            self.manifest = read_manifest(self._read_manifest(), self.where)
            self._make_relations()
        except duckdb.Error as error:
            self.connection.close()
            raise self.unreadable(error) from error
        except ClipdbError:
            self.connection.close()
            raise

    def path(self, file: str) -> str:
        """Return where a file of the artefact is."""
        return f"{self.where}/{file}"

    @property
    def stale(self) -> bool:
        """Return False: nobody writes to an artefact."""
        return False

    def newest(self) -> Artefact:
        """Return this: there is no other."""
        return self

    def make_views(self, statement: str | None) -> bool:
        """Make the views that a statement may read, or all of them; return whether any were lacking.

        Raises
        ------
        ClipdbError
            If the relations are not as the views take them.
        """
        try:
            return self._views.make(self.connection, statement)
        except duckdb.Error as error:
            raise self.unreadable(error) from error

    def again(self) -> Artefact:
        """Return the artefact with a connection of its own."""
        other = copy(self)
        other.connection = self.connection.cursor()
        return other

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def vectors(self) -> ParquetVectors:
        """Return its tables of vectors."""
        from clipdb.artefact.reading.parquet_vectors import ParquetVectors

        return ParquetVectors(self)

    def engine(self) -> Engine:
        """Make a SQLAlchemy engine over its relations and views."""
        from clipdb.schema.engine import engine_on

        self.make_views(None)
        return engine_on(self.connection.cursor)

    def thumbnails(self, image_ids: Sequence[str]) -> dict[str, bytes]:
        """Return the small pictures of images that have one, by image_id.

        Raises
        ------
        ClipdbError
            If they can't be read.
        """
        files = [self.path(file.path) for file in self.manifest.of("thumbnails")]
        if not files or not image_ids:
            return {}
        query = f"select image_id, image.bytes from {parquet(files)} where list_contains(?, image_id)"
        try:
            found = self.connection.cursor().execute(query, [list(image_ids)]).fetchall()
        except duckdb.Error as error:
            raise self.unreadable(error) from error
        return {image_id: data for image_id, data in found if isinstance(data, bytes)}

    def check_rows(self, files: Sequence[File]) -> None:
        """Read the footers of files, all at once, and hold the rows that they have against the manifest.

        DuckDB keeps the footers of what is remote, and doesn't ask for them again.

        Raises
        ------
        ClipdbError
            If one differs.
        """
        paths = listed([self.path(file.path) for file in files])
        counts = f"select file_name, num_rows from parquet_file_metadata({paths})"
        found = dict(self.connection.cursor().execute(counts).fetchall())
        for file in files:
            if (rows := found.get(self.path(file.path))) != file.rows:
                raise ClipdbError(
                    f"{self.path(file.path)} has {rows} rows, and {MANIFEST} says {file.rows}: get the artefact again"
                )

    def is_about(self, error: Exception) -> bool:
        """Return whether DuckDB complains of this artefact; a host may go by another name than its URL."""
        message = str(error)
        if "found in Parquet file" in message:  # of JSON that is none, whose file DuckDB doesn't name
            return True
        return self.where in message or any(file.path in message for file in self.manifest.files)

    def unreadable(self, error: Exception) -> ClipdbError:
        """Return, in one line, why DuckDB could not read it."""
        if self._store is not None and isinstance(error, duckdb.IOException) and "404" not in str(error):
            return explained(self._store, error)
        reason = without_login(first_line(error))  # before it is cut
        reason = reason if len(reason) <= _MOST_REASON else f"{reason[:_MOST_REASON]}..."
        advice = "get the artefact again"
        if is_url(self.where) and isinstance(error, duckdb.IOException):
            better = better_address(self.where)
            advice = f"write {better}" if better else "check the address, and DuckDB's secret for it if it is private"
        return ClipdbError(f"{self.where} can't be read: {advice} ({reason})")

    def _read_manifest(self) -> bytes:
        """Read no more than a manifest may have."""
        path = self.path(MANIFEST)
        if is_url(self.where):
            ((size,),) = self.connection.execute("select size from read_blob(?)", [path]).fetchall()
            check_size(size, self.where)
            ((content,),) = self.connection.execute("select content from read_blob(?)", [path]).fetchall()
            return bytes(content)
        try:
            with Path(path).open("rb") as file:
                return file.read(MOST_BYTES + 1)
        except OSError as error:
            raise ClipdbError(f"{path} can't be read: {error.strerror}", kind=kind_of(error)) from error

    def _make_relations(self) -> None:
        files = {file.name: file for file in self.manifest.of("relation")}
        self.check_rows(list(files.values()))
        if lacking := [name for name in RELATIONS if name not in files]:
            from clipdb.schema.ddl import ddl

            for statement in ddl(lacking, plain=True, comments=False):
                self.connection.execute(statement)
        for name in RELATIONS:
            if name in files:
                source = parquet([self.path(files[name].path)])
                columns = f"* replace ({RUN_ARGUMENTS} as arguments)" if name == "runs" else "*"
                for column in columns_since(name, self.manifest.schema_version):
                    columns += f", {derived(name, column)} as {column}"
                self.connection.execute(f"create view {name} as select {columns} from {source} as {name}")
