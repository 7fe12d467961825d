"""The writing of edited weights, as `clipdb.export_weights` asks for it: with torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clipdb._util.disk import sync
from clipdb.api.index_images import IndexImages, head_means
from clipdb.artefact.export.export_directory import building
from clipdb.artefact.export.weight_files import (
    FOLDER,
    SUFFIX,
    WrittenWeights,
    card_of,
    check_place,
    write_folder,
    write_weights,
)
from clipdb.artefact.export.weights_card import weights_card
from clipdb.errors import ClipdbError
from clipdb.models.ablation.weights import EditedWeights, edit_weights
from clipdb.models.loader_files import how_to_load, loader_files, weights_name
from clipdb.models.model import Model
from clipdb.queries.functions.base.context import Context
from clipdb.schema.leftovers import replacing
from clipdb.schema.names import Head


class WeightExport:
    """Edit a model's weights and write them.

    Parameters
    ----------
    context
        The index.
    name
        The model.
    heads
        The heads to take out.
    recipe
        What is known of the edit so far.
    most
        Over how many images at most the mean is taken; None for all.
    """

    def __init__(
        self, context: Context, name: str, heads: Sequence[Head], recipe: dict[str, Any], most: int | None
    ) -> None:
        self._context, self._name, self._heads, self._recipe, self._most = context, name, heads, recipe, most

    def write(self, out: Path, replace: bool) -> WrittenWeights:
        """Write a file with its card, or a folder.

        Raises
        ------
        ClipdbError
            If something is in the way, or the weights can't be had or edited.
        """
        if out.suffix != SUFFIX:
            with building(out, replace, FOLDER) as made:
                model, edited, recipe, written = self._edited()
                card = weights_card(recipe, how_to_load(model, out))
                write_folder(edited, recipe, made, weights_name(model), loader_files(model), card)
            return written
        check_place(out, replace)
        with replacing(out) as file, replacing(card_of(out)) as card_file:
            model, edited, recipe, written = self._edited()
            if out.resolve() in {one.resolve() for one in model.weights}:
                raise ClipdbError(f"{out} holds the model's own weights: choose another name")
            write_weights(edited, recipe, file)
            card_file.write_text(weights_card(recipe, how_to_load(model, out)), encoding="utf-8")
            sync(card_file)
        sync(out.absolute().parent)
        return written

    def _edited(self) -> tuple[Model, EditedWeights, dict[str, Any], WrittenWeights]:
        model = self._context.subjects.embedder.model(self._name)
        means, over, unread = None, 0, 0
        if self._recipe["mode"] == "mean":
            count = len(self._context.store.ids(self._name, "images"))
            pictures = IndexImages(self._context, self._name, np.arange(min(count, self._most or count)))
            means = head_means(model.adapter, pictures, sorted({layer for layer, _ in self._heads}), by_token=False)
            over, unread = len(pictures.rows), pictures.unread
        edited = edit_weights(model, self._heads, means)
        recipe = self._recipe | {
            "weights_sha256": model.weights_sha256,
            "tensors_sha256": model.tensors_sha256,
            "images": over if means is not None else None,
            "changed": list(edited.changed),
        }
        return model, edited, recipe, WrittenWeights(self._name, tuple(self._heads), edited.changed, over, unread)
