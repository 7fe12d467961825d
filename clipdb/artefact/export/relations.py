"""The relations of an export: a Parquet file each, rows by primary key."""

from __future__ import annotations

from pathlib import Path

import duckdb
from sqlalchemy import JSON

from clipdb.artefact.export.parquet_writer import HashedFile, regroup, write_parquet
from clipdb.artefact.export.selection import Choice
from clipdb.artefact.format import File, relation_path
from clipdb.artefact.parquet_columns import relation_schema
from clipdb.schema import tables

_GROUP_ROWS = 65_536
# A row of heads has a basis, half a megabyte in a large model, and one of directions a vector.
_GROUP_ROWS_OF = {"heads": 64, "components": 64, "aligners": 1, "directions": 1024}

_OF_MODEL = "semi join kept_models using (model_id)"
_OF_LAYER = "semi join kept using (model_id, layer)"
_OF_SET = (
    "where list_has_all((select list(name) from heads semi join kept using (model_id, layer) "
    "where heads.model_id = effects.model_id), string_split(ablated, ','))"
)
_OF_RUN = "semi join kept_runs using (run)"
# Texts and pools belong to no model.
_CHOSEN = {
    "models": _OF_MODEL,
    "heads": _OF_LAYER,
    "aligners": _OF_MODEL,
    "components": _OF_LAYER,
    "spans": _OF_LAYER,
    "directions": _OF_LAYER,
    "labels": _OF_LAYER,
    "label_scores": _OF_LAYER,
    "judgements": _OF_LAYER,
    "effects": _OF_SET,
    "runs": _OF_RUN,
    "image_failures": _OF_RUN,
}
# A run that imported an artefact wrote no row of its own: without it, what was imported is exported as it came.
_ROWS = {"runs": "(from runs where command <> 'import artefact') runs"}
# A file of weights is of one machine, and no other loads it from where an artefact says.
_WITHOUT_CHECKPOINT = """(case when (arguments->>'$.checkpoint') is null then arguments
    else json_merge_patch(arguments, '{"checkpoint": null}') end)"""
_VALUES = {("runs", "arguments"): _WITHOUT_CHECKPOINT}
# What says where images came from, as a value that says nothing. A run's arguments name files, under names of its own.
_WITHOUT_IMAGES = {("images", "uri"): "''", ("images", "metadata"): "null", ("runs", "arguments"): "null"}


def write_relation(
    connection: duckdb.DuckDBPyConnection, root: Path, table: str, choice: Choice, with_images: bool
) -> File:
    """Write a relation's rows as far as they are chosen.

    Parameters
    ----------
    connection
        The catalog, with the tables that `clipdb.artefact.export.selection.make_tables` makes.
    root
        Directory of the export.
    table
        Name of the relation.
    choice
        What was chosen.
    with_images
        Whether it may say where images came from.
    """
    schema = relation_schema(table)
    rows = connection.execute(_select(table, choice, with_images)).to_arrow_reader(2048)
    groups = regroup(rows, schema, _GROUP_ROWS_OF.get(table, _GROUP_ROWS))
    file = HashedFile(root, relation_path(table), "relation", table)
    return write_parquet(file, schema, groups, use_content_defined_chunking=True).finished()


def _select(table: str, choice: Choice, with_images: bool) -> str:
    relation = tables.metadata.tables[table]
    values = _VALUES if with_images else _WITHOUT_IMAGES
    columns = []
    for column in relation.columns:
        value = values.get((table, column.name), column.name)
        columns.append(f"{value}{'::text' if isinstance(column.type, JSON) else ''} as {column.name}")
    chosen = "" if choice.whole else _CHOSEN.get(table, "")
    if table == "images" and not choice.all_models:
        chosen = "semi join kept_images using (image_id)"
    if table == "pairs" and not choice.all_models:
        chosen = "where image_a in (from kept_images) and image_b in (from kept_images)"
    keys = ", ".join(f"{table}.{column.name}" for column in relation.primary_key)
    return f"select {', '.join(columns)} from {_ROWS.get(table, table)} {chosen} order by {keys}"
