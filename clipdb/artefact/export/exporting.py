"""Export an index: what goes in, in which order, from one state of the index."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import duckdb

from clipdb.artefact.card import card
from clipdb.artefact.card.metrics import metrics
from clipdb.artefact.export.export_directory import building
from clipdb.artefact.export.parquet_writer import HashedFile
from clipdb.artefact.export.relations import write_relation
from clipdb.artefact.export.selection import Choice, Tables, choose, make_tables, unvouched
from clipdb.artefact.export.thumbnail_files import Thumbnail, images_of, write_thumbnails
from clipdb.artefact.export.vector_shards import Source, writing_vectors
from clipdb.artefact.format import CARD, OF_SOURCES, RELATIONS, WITH_VECTORS, File, Manifest, ModelEntry, What
from clipdb.artefact.manifest import read_manifest
from clipdb.errors import ClipdbError
from clipdb.queries.vectors.lance_tables import open_vectors
from clipdb.schema import catalog
from clipdb.schema.names import MANIFEST
from clipdb.schema.vectors import reading_vectors
from clipdb.schema.vectors_place import table_in, vectors_place

Progress = Callable[[File], None]


@dataclass(frozen=True)
class Options:
    """What goes into an export.

    Attributes
    ----------
    what
        The relations, the vectors with the relations that they can't be read without, or all.
    models, layers
        Which models and whose heads; all where nothing is said.
    images
        Whether the export says where images came from.
    licence, citation
        For the card and the manifest.
    replace
        Whether an export that is there already may go.
    """

    what: What = "all"
    models: tuple[str, ...] = ()
    layers: str | None = None
    images: bool = True
    licence: str = ""
    citation: str = ""
    replace: bool = False


@dataclass(frozen=True)
class Exported:
    """What was exported: the manifest, and how many images have no thumbnail though thumbnails were asked for."""

    manifest: Manifest
    without_thumbnail: int


def export_index(
    index: Path,
    directory: Path,
    options: Options,
    thumbnail: Thumbnail | None = None,
    progress: Progress = lambda _: None,
) -> Exported:
    """Write an index as an artefact; the same index gives the same bytes.

    The catalog stays open while relations and vectors are read, so an ingest that runs meanwhile waits with its next
    commit, and everything exported is of one state. Thumbnails, which take longest, are made after that.

    Parameters
    ----------
    index
        Directory of the index.
    directory
        Where to; it is there whole or not at all.
    options
        What goes in.
    thumbnail
        Makes a small picture of an image, if they are to go in.
    progress
        Called with each file that is on disk.

    Raises
    ------
    ClipdbError
        If the index can't be read, has not what was chosen, or the directory can't be written or holds something else.
    """
    with (
        catalog.connect(index) as connection,
        reading_vectors(index, connection),
        building(directory, options.replace) as root,
    ):
        choice = choose(connection, options.models, options.layers)
        tables: Tables = {}
        if options.what != "relations" or not choice.all_models:
            place = vectors_place(index, connection)
            for key, committed in catalog.committed_versions(connection).items():
                if key[0] in choice.layers:
                    tables[key] = open_vectors(index, table_in(place, *key), committed)
        if options.what == "vectors" and not tables:
            raise ClipdbError("this index has no vectors of what was chosen: leave out --what vectors", kind="absent")
        make_tables(connection, choice, tables)
        files: list[File] = []

        def add(file: File) -> None:
            files.append(file)
            progress(file)

        sources = [] if options.what == "relations" else _sources(connection, choice, tables)
        with writing_vectors(root, sources) as shards:
            for table in WITH_VECTORS if options.what == "vectors" else RELATIONS:
                if options.images or table not in OF_SOURCES:
                    add(write_relation(connection, root, table, choice, options.images))
            scores = "" if options.what == "vectors" else metrics(root)
            for file in shards:
                add(file)
        models = _models(connection, choice, files)
        without = 0
        if thumbnail is not None:
            pictured = images_of(connection, choice)
            for file in write_thumbnails(pictured, root, thumbnail):
                add(file)
            without = len(pictured) - sum(file.rows for file in files if file.kind == "thumbnails")
        manifest = Manifest(
            clipdb_version=version("clipdb"),
            schema_version=catalog.SCHEMA_VERSION,
            what=options.what,
            models=models,
            files=tuple(files),
            licence=options.licence,
            citation=options.citation,
        )
        add(_write(root, CARD, card(manifest, root, scores)))
        text = replace(manifest, files=tuple(files)).to_json()
        manifest = read_manifest(text, str(directory))  # nothing leaves that no import would accept
        _write(root, MANIFEST, text)
    return Exported(manifest, without)


def _sources(connection: duckdb.DuckDBPyConnection, choice: Choice, tables: Tables) -> list[Source]:
    return [
        Source(model, kind, table, choice.layers[model], unvouched(connection, table, kind))
        for (model, kind), table in tables.items()
    ]


def _models(connection: duckdb.DuckDBPyConnection, choice: Choice, files: list[File]) -> tuple[ModelEntry, ...]:
    rows = connection.execute(
        "select model_id, weights_sha256, preprocess, max(run) from models left join "
        "(from batches where kind = 'images') using (model_id) group by all order by model_id"
    ).fetchall()
    counts = {
        (model, kind): sum(file.rows for file in files if (file.kind, file.name) == (kind, model))
        for model in choice.layers
        for kind in ("images", "texts")
    }
    return tuple(
        ModelEntry(
            model_id=model,
            weights_sha256=sha256,
            preprocess=json.loads(preprocess) if preprocess else None,
            layers=choice.layers[model],
            images=counts[model, "images"],
            texts=counts[model, "texts"],
            images_run=images_run if counts[model, "images"] else None,
        )
        for model, sha256, preprocess, images_run in rows
        if model in choice.layers
    )


def _write(root: Path, path: str, text: str) -> File:
    file = HashedFile(root, path, "card")
    file.write(text.encode())
    return file.finished()
