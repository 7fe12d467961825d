"""Run an index's models on an image or a text that the index lacks; nothing is written."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

import numpy as np
import torch

from clipdb._util.apart import apart
from clipdb.errors import ClipdbError
from clipdb.models.decomposition import Decomposer
from clipdb.models.model import Model
from clipdb.models.preprocess import Decoded, Undecodable, decode
from clipdb.models.text_shares import TextShares
from clipdb.schema.names import Head


class KnownModels(Protocol):
    """Models that somebody knows how to load, each with the bases of its heads."""

    def load(self, model_id: str) -> Model:
        """Load a model.

        Raises
        ------
        ClipdbError
            If the weights can't be had, or aren't the ones that are known.
        """

    def identity(self, model_id: str) -> Hashable:
        """Return what must be equal for one loaded model to stand for another."""

    def bases(self, model_id: str) -> dict[Head, np.ndarray]:
        """Return the bases Q of its heads, float64 ``[D, k]`` each."""


class Embedder:
    """Loads each model once, when it is first needed.

    Parameters
    ----------
    known
        The models, and how each is loaded.
    kept
        Models that others have loaded, and where to put those that are loaded here.
    """

    def __init__(self, known: KnownModels, kept: dict[Hashable, Model] | None = None) -> None:
        self._known = known
        self._models: dict[str, Model] = {}
        self._kept = {} if kept is None else kept
        self._decomposers: dict[str, Decomposer] = {}

    def model(self, model_id: str) -> Model:
        """Load a model, once.

        Raises
        ------
        ClipdbError
            If the weights can't be had or are not those of the index.
        """
        if model_id not in self._models:
            key = self._known.identity(model_id)
            if key not in self._kept:
                self._kept[key] = self._known.load(model_id)
            self._models[model_id] = self._kept[key]
        return self._models[model_id]

    def decomposer(self, model_id: str) -> Decomposer:
        """Return the decomposition of the layers that the index has, in its bases."""
        if model_id not in self._decomposers:
            bases = self._known.bases(model_id)
            layers = sorted({layer for layer, _ in bases})
            self._decomposers[model_id] = Decomposer(self.model(model_id).adapter, layers, bases)
        return self._decomposers[model_id]

    def pixels(self, model_id: str, data: bytes, name: str) -> torch.Tensor:
        """Decode and preprocess an image file's bytes, ``[1, 3, S, S]``.

        Raises
        ------
        ClipdbError
            If they are no image.
        """
        pixels = torch.from_numpy(self.decode(model_id, data, name).pixels[None])
        return self.model(model_id).pixels_to_input(pixels)

    def decode(self, model_id: str, data: bytes, name: str) -> Decoded:
        """Decode and preprocess an image file's bytes.

        Raises
        ------
        ClipdbError
            If they are no image.
        """
        try:
            return decode(data, self.model(model_id).preprocess)
        except Undecodable as error:
            raise ClipdbError(f"{name} can't be read as an image: {error}") from error

    def image(self, model_id: str, data: bytes, name: str) -> tuple[np.ndarray, float, dict[Head, np.ndarray]]:
        """Embed an image file's bytes.

        Parameters
        ----------
        name
            How the image is called in a message.

        Returns
        -------
        embedding, norm, heads
            Unit embedding ``[D]``, its norm before, and y ``[k]`` by ``(layer, head)``, all float32.

        Raises
        ------
        ClipdbError
            If they are no image, or the weights can't be had.
        """
        return apart(lambda: self._image(model_id, data, name))

    def _image(self, model_id: str, data: bytes, name: str) -> tuple[np.ndarray, float, dict[Head, np.ndarray]]:
        decomposer = self.decomposer(model_id)
        embedding, norm, heads = decomposer(self.pixels(model_id, data, name))
        vectors = {
            (layer, head): vector for layer, y in heads.items() for head, vector in enumerate(y[0].cpu().numpy())
        }
        return embedding[0].cpu().numpy(), float(norm), vectors

    def split_text(self, model_id: str, text: str, along: np.ndarray) -> TextShares:
        """Split the cosine of a text and a direction ``[D]`` by the heads of the text tower and by tokens.

        Raises
        ------
        ClipdbError
            If the weights can't be had, or the text tower is none whose heads clipdb reads.
        """

        def split() -> TextShares:
            tower = self.model(model_id).text_tower
            tower.note([text])
            return tower.split(text, along)

        return apart(split)

    def texts(self, model_id: str, texts: list[str]) -> np.ndarray:
        """Embed texts as unit vectors, float32 ``[n, D]``; the number that were cut goes to stderr."""
        return apart(lambda: self.model(model_id).embed_texts(texts, 256))
