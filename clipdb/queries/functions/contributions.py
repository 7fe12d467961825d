"""Each head's share of a cosine, or of the difference of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.partition import of_partition
from clipdb.queries.functions.base.subjects import ImageVectors, TextVectors
from clipdb.queries.functions.base.table_function import Rows, table_function
from clipdb.queries.vectors.model_heads import ModelHeads
from clipdb.schema.names import TRUNK, Head, head_name

REST = "not stored"


@table_function(layer="INTEGER", head="INTEGER", name="VARCHAR", property="VARCHAR", share="DOUBLE")
def contributions(
    context: Context,
    model: str | None,
    image: str,
    text: Sequence[str],
    text_b: str | None = None,
    partition: str | None = None,
) -> list[Rows]:
    """Split the cosine of an image and a text, or the difference of two cosines, into what each head adds.

    Parameters
    ----------
    partition
        ``pool`` or ``trunk``: whose heads, where the image has vectors of both.

    Returns
    -------
    list
        For each text one row per head and other component, by layer and head, and one for the rest.
    """
    model = context.model(model)
    heads, vectors = context.heads(model), context.subjects.image(model, image)[1]
    texts = [*text] if text_b is None else [*text, text_b]
    kept = replace(vectors, heads=of_partition(vectors.heads, partition))
    shares = [split_cosine(heads, kept, one) for one in context.subjects.texts(model, texts)]
    less = {} if text_b is None else shares.pop()
    return [[_row(heads, part, share - less.get(part, 0.0)) for part, share in one.items()] for one in shares]


def split_cosine(heads: ModelHeads, image: ImageVectors, text: TextVectors) -> dict[Head | None, float]:
    """Split one cosine: ``<y, Q^T t>`` is a head's share (arXiv 2310.05916, section 3, in head space).

    A head that the image has not been through counts in the rest, which is ``<e, t>`` less the shares: MLPs, biases and
    the stem as far as they are not stored, and the heads of layers that aren't.
    """
    shares: dict[Head | None, float] = {}
    for head, y in image.heads.items():
        direction = text.heads[head] if head in text.heads else heads.bases[head].T @ text.embedding
        shares[head] = float(y.astype(np.float64) @ direction.astype(np.float64))
    shares[None] = float(image.embedding.astype(np.float64) @ text.embedding.astype(np.float64)) - sum(shares.values())
    return shares


def _row(heads: ModelHeads, part: Head | None, share: float) -> tuple[Any, ...]:
    return *about(heads, part), share


def about(heads: ModelHeads, part: Head | None) -> tuple[int | None, int | None, str, str | None]:
    """Return what a row says of a part: layer, head, name and property, None as far as it has none."""
    if part is None:
        return None, None, REST, None
    layer, head = part
    if head < 0:
        return None if layer == TRUNK else layer, None, head_name(*part), None
    return layer, head, head_name(*part), heads.properties.get(part)


FUNCTION = contributions
