"""What an index holds of one model, for its writer."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from clipdb.ingest.store.heads import store_statistics, stored_bases
from clipdb.ingest.store.moments import Halves, TakeHalves, head_halves
from clipdb.ingest.store.vector_table import VectorTable
from clipdb.ingest.store.writer import Writer
from clipdb.schema.names import Head
from clipdb.schema.vectors import component_columns, head_columns, part_columns


class ModelTables:
    """One model in an index: its vectors of images and of texts, and its heads.

    Parameters
    ----------
    writer
        The writer that holds the index.
    model_id
        The model.
    """

    def __init__(self, writer: Writer, model_id: str) -> None:
        self.writer = writer
        self.model_id = model_id

    @cached_property
    def images(self) -> VectorTable:
        """Vectors of images; opened at the first use, at the version that the catalog counts on."""
        return VectorTable(self.writer, self.model_id, "images")

    @cached_property
    def texts(self) -> VectorTable:
        """Vectors of texts; opened likewise."""
        return VectorTable(self.writer, self.model_id, "texts")

    def layers(self) -> set[int]:
        """Return the layers whose heads have columns in the vectors of images."""
        schema = self.images.schema
        return set() if schema is None else {layer for layer, _ in head_columns(schema)}

    def components(self) -> set[Head]:
        """Return the parts that are no heads and have columns in the vectors of images."""
        schema = self.images.schema
        return set() if schema is None else set(component_columns(schema))

    def component_bases(self) -> dict[Head, np.ndarray]:
        """Read the bases of the parts that are no heads, float64 ``[D, r]`` each."""
        return stored_bases(self.writer, self.model_id, components=True)

    def bases(self) -> dict[Head, np.ndarray]:
        """Read the bases of the heads, float64 ``[D, k]`` each."""
        return stored_bases(self.writer, self.model_id)

    def refresh_statistics(self, take: TakeHalves = head_halves) -> dict[Head, Halves]:
        """Take the moments of all vectors of images, and store the mean, variance and rank of each head and component.

        Parameters
        ----------
        take
            Takes the moments: in this process, or on a cluster.

        Returns
        -------
        dict
            ``{(layer, head): Halves}`` of the heads that have vectors.
        """
        dataset = self.images.dataset
        if dataset is None:
            return {}
        columns = part_columns(dataset.schema)
        by_column = take(dataset, list(columns.values()), self.images.path)
        halves = {part: by_column[column] for part, column in columns.items() if by_column[column].one.count}
        with self.writer.transaction() as connection:
            store_statistics(connection, self.model_id, {part: found.whole for part, found in halves.items()})
        return {head: found for head, found in halves.items() if head[1] >= 0}
