"""What of an index goes into an export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from clipdb.errors import ClipdbError
from clipdb.queries.resolve import one_model
from clipdb.queries.vectors.lance_tables import VectorTable
from clipdb.queries.vectors.store_table import StoreTable
from clipdb.queries.vectors.vector_tables import Kind
from clipdb.schema.layer_choice import parse_layers
from clipdb.schema.names import POOL, TRUNK, layer_name

if TYPE_CHECKING:
    import lance

_MOST_LAYERS = 10_000
Tables = dict[tuple[str, Kind], "lance.LanceDataset | StoreTable"]


@dataclass(frozen=True)
class Choice:
    """Models and layers that were chosen.

    Attributes
    ----------
    layers
        For each model, in order, the layers whose heads go in: of those asked for, the ones that have heads.
    whole
        Whether that is all there is; then nothing is filtered.
    all_models
        Whether no model is left out.
    """

    layers: dict[str, tuple[int, ...]]
    whole: bool
    all_models: bool


def choose(connection: duckdb.DuckDBPyConnection, models: Sequence[str], layers: str | None) -> Choice:
    """Find the models and layers that a person chose.

    Raises
    ------
    ClipdbError
        If the index has no models, not those, or no heads in those layers.
    """
    # Of a model whose heads were only named it isn't known how many layers it has.
    depth = dict(
        connection.execute(
            f"select model_id, coalesce(layers, {_MOST_LAYERS}) from models "
            "full join (select distinct model_id from heads) using (model_id) order by model_id"
        ).fetchall()
    )
    wanted = {one_model(list(depth), model) for model in models}
    kept: dict[str, tuple[int, ...]] = {model: () for model in depth if not models or model in wanted}
    if not depth:
        one_model([], None)
    for model in kept:
        found = connection.execute(
            "select distinct layer from heads where model_id = ? order by layer", [model]
        ).fetchall()
        present = [layer for (layer,) in found]
        asked = present if layers is None else parse_layers(layers, depth[model], pool=POOL in present)
        kept[model] = tuple(layer for layer in present if layer in asked)
        if layers is not None and not kept[model]:
            listed = ", ".join(map(layer_name, present)) or "none"
            raise ClipdbError(f"--layers {layers}: of {model} this index has layers {listed}", kind="absent")
    return Choice(kept, whole=len(kept) == len(depth) and layers is None, all_models=len(kept) == len(depth))


def make_tables(connection: duckdb.DuckDBPyConnection, choice: Choice, tables: Tables) -> None:
    """Make what the statements of an export join with, as temporary tables of the connection.

    ``kept`` has the (model_id, layer) that were chosen; ``kept_models`` the models; ``kept_images`` the images that
    these have vectors of; ``kept_runs`` the runs that wrote something of them.
    """
    run = connection.execute
    run("create temp table kept (model_id text, layer integer)")
    run("create temp table kept_models (model_id text)")
    run("create temp table kept_images (image_id text)")
    for model, layers in choice.layers.items():
        run("insert into kept_models values (?)", [model])
        # What is of no single layer goes with any.
        run("insert into kept select ?, unnest(?::integer[])", [model, [TRUNK, *layers]])
    for number, ((_, kind), table) in enumerate(tables.items()):
        if kind == "images" and not choice.all_models:
            connection.register(f"clipdb_export_{number}", VectorTable(table))
            run(f"insert into kept_images select image_id from clipdb_export_{number}")
    run(
        """
        create temp table kept_runs as
        from (
            select run from batches semi join kept_models using (model_id)
            union select run from aligners semi join kept_models using (model_id)
            union select run from spans semi join kept using (model_id, layer)
            union select run from directions semi join kept using (model_id, layer)
            union select run from labels semi join kept using (model_id, layer)
            union select run from label_scores semi join kept using (model_id, layer)
            union select run from judgements semi join kept using (model_id, layer)
            union select run from effects semi join kept_models using (model_id)
            union select run from pairs semi join kept_images on kept_images.image_id = image_a
        )
        """
    )


def unvouched(connection: duckdb.DuckDBPyConnection, table: lance.LanceDataset | StoreTable, kind: Kind) -> list[str]:
    """List the rows of a Lance table, by id, that the catalog doesn't have: in a whole index there are none."""
    key = f"{kind[:-1]}_id"
    connection.register("clipdb_export", VectorTable(table))
    ids = f"select {key} from clipdb_export anti join {kind} using ({key}) order by all"
    found = [row[0] for row in connection.execute(ids).fetchall()]
    connection.unregister("clipdb_export")
    return found
