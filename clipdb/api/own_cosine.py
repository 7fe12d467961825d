"""The model's own cosine of an image and texts, or of two images, to hold the shares of its heads against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from clipdb._util.apart import apart
from clipdb.queries.functions.base.context import Context

if TYPE_CHECKING:
    from clipdb.models.embedder import Embedder


def own_cosines(context: Context, model: str, data: bytes, image: str, texts: Sequence[str]) -> list[float]:
    """Run a model's ``encode_image`` and ``encode_text``, as anybody would without clipdb.

    Parameters
    ----------
    context
        The index, whose model it is.
    model
        Model name.
    data, image
        The bytes of the image's file, and how it is called in a message.
    texts
        What the image is compared with.

    Raises
    ------
    ClipdbError
        If the weights can't be had, or the file is no image.
    """
    return apart(lambda: _cosines(context, context.subjects.embedder, model, image, data, texts))


def _cosines(
    context: Context, embedder: Embedder, model: str, image: str, data: bytes, texts: Sequence[str]
) -> list[float]:
    embedding = _embedding(embedder, model, data, image)
    cosines = []
    for text in texts:
        # A text that the index lacks went through encode_text for its shares; what an aligner maps is the target's.
        new = context.subjects.text_row(model, text) is None or context.heads(model).aligner is not None
        vector = context.subjects.text(model, text).embedding if new else embedder.texts(model, [text])[0]
        cosines.append(share_along(embedding, vector))
    return cosines


def own_cosine_of_images(context: Context, model: str, images: Sequence[tuple[bytes, str]]) -> float:
    """Run a model's ``encode_image`` on two images.

    Parameters
    ----------
    context
        The index, whose model it is.
    model
        Model name.
    images
        The bytes of each image's file, and how it is called in a message.

    Raises
    ------
    ClipdbError
        If the weights can't be had, or a file is no image.
    """
    embedder = context.subjects.embedder
    first, second = apart(lambda: [_embedding(embedder, model, data, name) for data, name in images])
    return share_along(first, second / np.linalg.norm(second))


def _embedding(embedder: Embedder, model: str, data: bytes, image: str) -> np.ndarray:
    import torch

    with torch.inference_mode():
        pixels = embedder.pixels(model, data, image)
        embedding: np.ndarray = embedder.model(model).network.encode_image(pixels)[0].double().cpu().numpy()
    return embedding


def share_along(embedding: np.ndarray, direction: np.ndarray) -> float:
    """Return what an embedding ``[D]``, brought to unit length, has along a direction ``[D]``.

    It is their cosine if the direction has unit length; what an aligner makes of a text has any.
    """
    wide = embedding.astype(np.float64)
    return float(wide @ direction.astype(np.float64) / np.linalg.norm(wide))
