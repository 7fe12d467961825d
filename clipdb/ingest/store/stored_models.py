"""The models of an index, loaded as its catalog says."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import numpy as np

from clipdb.ingest.store.heads import stored_bases
from clipdb.ingest.store.known_models import reload
from clipdb.ingest.store.writer import Reader
from clipdb.models.model import Model
from clipdb.schema.names import Head


class OpenReader(Reader):
    """The catalog of an index that is open already, or of an artefact.

    Parameters
    ----------
    index
        As messages call it.
    read
        Runs one query on it.
    """

    def __init__(self, index: Path | str, read: Callable[..., list[tuple[Any, ...]]]) -> None:
        super().__init__(Path(index))
        self._read = read

    def read(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run one query on the catalog."""
        return self._read(sql, *parameters)


class StoredModels:
    """The models of an index: what an `clipdb.models.embedder.Embedder` loads.

    Parameters
    ----------
    reader
        The catalog of the index.
    device
        Where to run: ``auto``, ``cpu``, ``cuda`` ...
    checkpoint
        The file of a model's weights, if not where its ingest had them.
    """

    def __init__(self, reader: Reader, device: str = "auto", checkpoint: Path | None = None) -> None:
        self._reader = reader
        self._device = device
        self._checkpoint = checkpoint

    def load(self, model_id: str) -> Model:
        """Load a model, from the checkpoint or where its ingest had the weights.

        Raises
        ------
        ClipdbError
            If the weights can't be had or are not those of the index.
        """
        return reload(self._reader, model_id, self._checkpoint, self._device)

    def identity(self, model_id: str) -> Hashable:
        """Return what must be equal for a model of one index to stand for that of another."""
        facts = self._reader.read("select weights_sha256, preprocess::varchar from models where model_id = ?", model_id)
        known = bool(facts) and None not in facts[0]
        return model_id, *(facts if known else [str(self._reader.index)]), self._checkpoint, self._device

    def bases(self, model_id: str) -> dict[Head, np.ndarray]:
        """Return the bases Q of a model's heads and other components, float64 ``[D, r]`` each."""
        return stored_bases(self._reader, model_id) | stored_bases(self._reader, model_id, components=True)
