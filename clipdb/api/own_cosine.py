"""The model's own cosine of an image and texts, to hold the shares of its heads against."""

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
    import torch

    with torch.inference_mode():
        pixels = embedder.pixels(model, data, image)
        embedding = embedder.model(model).network.encode_image(pixels)[0].double().cpu().numpy()
    cosines = []
    for text in texts:
        # A text that the index lacks has been through encode_text for its shares already.
        new = context.subjects.text_row(model, text) is None
        vector = context.subjects.text(model, text).embedding if new else embedder.texts(model, [text])[0]
        words = vector.astype(np.float64)
        cosines.append(float(embedding @ words / np.linalg.norm(embedding) / np.linalg.norm(words)))
    return cosines
