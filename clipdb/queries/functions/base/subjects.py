"""What a question is about: an image or a text, known to the index or new, as vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clipdb._util.notes import note
from clipdb.errors import ClipdbError
from clipdb.queries.find_image import LISTED, is_file, one_image
from clipdb.queries.vectors.cache import VectorStore
from clipdb.queries.vectors.model_heads import ModelHeads
from clipdb.schema.names import Head, text_id

if TYPE_CHECKING:
    from clipdb.models.embedder import Embedder


@dataclass(frozen=True)
class ImageVectors:
    """An image under one model: unit ``embedding`` [D], its ``norm`` before, and y [r] by head, all float32.

    ``heads`` has other components, too, where the index has them.
    """

    embedding: np.ndarray
    norm: float
    heads: dict[Head, np.ndarray]


@dataclass(frozen=True)
class TextVectors:
    """A text under one model: ``embedding`` [D] of unit length, or W t, and Q^T of it [head_dim] by head, float32."""

    embedding: np.ndarray
    heads: dict[Head, np.ndarray]


class Subjects:
    """Finds images and texts in an index, and has a model run on those that it lacks, once each.

    Parameters
    ----------
    store
        The index's vectors.
    heads_of
        Gives a model's heads.
    named
        Finds the images that a name may mean: ``image_id, uri``.
    embedder
        Makes the embedder when it is first needed, since that imports torch.
    files
        Whether an image may be a file.
    """

    def __init__(
        self,
        store: VectorStore,
        heads_of: Callable[[str], ModelHeads],
        named: Callable[[str], list[tuple[str, str | None]]],
        embedder: Callable[[], Embedder],
        files: bool = True,
    ) -> None:
        self._store = store
        self._heads_of = heads_of
        self._named = named
        self._make_embedder = embedder
        self._files = files
        self._embedder: Embedder | None = None
        self._images: dict[tuple[str, str], ImageVectors] = {}
        self._texts: dict[tuple[str, str], TextVectors] = {}
        self._noted: set[str] = set()  # models whose aligner was spoken of

    @property
    def embedder(self) -> Embedder:
        """The embedder; importing torch and loading weights take seconds, so it is made when it is first used."""
        if self._embedder is None:
            self._embedder = self._make_embedder()
        return self._embedder

    def image_id(self, model: str, image: str) -> str:
        """Find an image's id: of a file by its bytes, else by its file's name, its uri or the beginning of its id.

        Raises
        ------
        ClipdbError
            If it is neither a file nor the name of one image of the model.
        """
        if self._files and is_file(image):
            return hashlib.sha256(_bytes(image)).hexdigest()
        begin_so = self._store.beginning(model, "images", image.strip().lower(), LISTED + 1)
        if len(begin_so) == 1:
            return begin_so[0]
        found = [row for row in self._named(image) if self._store.position(model, "images", row[0]) is not None]
        # An export may have vectors without saying of which files.
        found += [(image_id, None) for image_id in begin_so if image_id not in dict(found)]
        return one_image(image, found, self._files, f"among the images of {model}")

    def image(self, model: str, image: str) -> tuple[str, ImageVectors]:
        """Return an image's id and vectors; one that the index lacks goes through the model once.

        Parameters
        ----------
        model
            Model name.
        image
            A file's path; or an image's file name, its uri or the beginning of its id.

        Raises
        ------
        ClipdbError
            If there is no such image, or the model is needed and can't be loaded.
        """
        image_id = self.image_id(model, image)
        if (model, image_id) in self._images:
            return image_id, self._images[model, image_id]
        row = self._store.position(model, "images", image_id)
        if row is not None:
            embedding, heads = self._store.row(model, "images", row)
            return image_id, ImageVectors(embedding, float("nan"), heads)
        vectors = ImageVectors(*self.embedder.image(model, _bytes(image), image))
        self._images[model, image_id] = vectors
        return image_id, vectors

    def image_row(self, model: str, image: str) -> int | None:
        """Return an image's row among the store's ids, None where the index lacks it."""
        return self._store.position(model, "images", self.image_id(model, image))

    def text_row(self, model: str, text: str) -> int | None:
        """Return a text's row among the store's ids, None where the index lacks it."""
        self.note_aligner(model)
        if not self._store.has(model, "texts"):
            return None
        return self._store.position(model, "texts", text_id(text))

    def image_heads(self, model: str, image: str, heads: Sequence[Head]) -> tuple[int | None, list[np.ndarray] | None]:
        """Return an image's row and its vectors under some heads.

        Returns
        -------
        row, vectors
            The row among the store's ids, None where the index lacks the image; ``[head_dim]`` by head, None where
            the image has not been through all of these heads.

        Raises
        ------
        ClipdbError
            If there is no such image, or the model is needed and can't be loaded.
        """
        row = self._store.position(model, "images", self.image_id(model, image))
        if row is not None:
            vectors = [of_head[0] for of_head in self._store.of_rows(model, heads, np.array([row]))]
        else:
            computed = self.image(model, image)[1].heads
            vectors = [computed[head] for head in heads]
        return row, None if any(np.isnan(vector[0]) for vector in vectors) else vectors

    def text_head(self, model: str, text: str, head: Head) -> tuple[int | None, np.ndarray]:
        """Return a text's row among the store's ids, None where the index lacks it, and Q^T t ``[head_dim]`` of a head.

        Raises
        ------
        ClipdbError
            If the text is empty, or the model is needed and can't be loaded.
        """
        row = self.text_row(model, text)
        if row is not None and head in self._store.heads(model, "texts"):
            vector = self._store.head(model, "texts", head)[row]
            if not np.isnan(vector[0]):
                return row, vector
        return row, self._heads_of(model).bases[head].T @ self.text(model, text).embedding

    def text(self, model: str, text: str) -> TextVectors:
        """Return a text's vectors; one that the index lacks goes through the model once.

        Raises
        ------
        ClipdbError
            If the text is empty, or the model is needed and can't be loaded.
        """
        return self.texts(model, [text])[0]

    def texts(self, model: str, texts: Sequence[str]) -> list[TextVectors]:
        """Return the vectors of texts; those that the index lacks go through the model together.

        Raises
        ------
        ClipdbError
            If a text is empty, or the model is needed and can't be loaded.
        """
        for text in texts:
            if not text.strip():
                raise ClipdbError("the text is empty: write what to look for")
        if texts:
            self.note_aligner(model)
        unknown = [text for text in dict.fromkeys(texts) if not self._known_text(model, text)]
        if unknown:
            known = self._heads_of(model)
            if known.aligner is None:
                embeddings = self.embedder.texts(model, unknown)
            else:
                embeddings = known.aligner(np.stack([t.embedding for t in self.texts(known.aligner.target, unknown)]))
            for text, embedding in zip(unknown, embeddings, strict=True):
                heads = {head: q.T @ embedding for head, q in known.bases.items()}
                self._texts[model, text] = TextVectors(embedding, heads)
        return [self._texts[model, text] for text in texts]

    def note_aligner(self, model: str) -> None:
        """Say once how good the aligner is through which texts reach a model."""
        aligner = self._heads_of(model).aligner
        if aligner is not None and model not in self._noted:
            self._noted.add(model)
            note(f"note: texts reach {model} through an aligner to {aligner.target}, R^2 {aligner.r2:.2f}")

    def _known_text(self, model: str, text: str) -> bool:
        if (model, text) in self._texts:
            return True
        if not self._store.has(model, "texts"):
            return False
        row = self._store.position(model, "texts", text_id(text))
        if row is None:
            return False
        self._texts[model, text] = TextVectors(*self._store.row(model, "texts", row))
        return True


def _bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ClipdbError(f"{path} can't be read: {error.strerror}") from error
