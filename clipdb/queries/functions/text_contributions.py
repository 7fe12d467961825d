"""Which heads of the text tower, and which words, make a text match an image."""

from __future__ import annotations

import numpy as np

from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.table_function import Rows, table_function
from clipdb.schema.names import head_name

REST = "no head"


@table_function(place="INTEGER", token="VARCHAR", layer="INTEGER", head="INTEGER", name="VARCHAR", share="DOUBLE")
def text_contributions(context: Context, model: str | None, image: str, text: str) -> Rows:
    """Split the cosine of an image and a text by the heads of the text tower and the tokens that they read.

    A text's embedding is a sum over its tower's heads, each of which is a sum over the tokens that it reads, and a
    rest: MLPs, biases, and the pooled token's own embedding (Gandelsman et al., arXiv 2310.05916, section 3, on the
    side of the text). Nothing of it is stored: the model reads the text for each call. Texts of a model that has an
    aligner are read by the text tower of the aligner's target.

    Returns
    -------
    list
        One row per token and head, ``(place, token, layer, head, name, share)``, of the tokens that are read; one for
        the rest, which has a name and a share.

    Raises
    ------
    ClipdbError
        If the weights can't be had, or the text tower is none whose heads clipdb reads.
    """
    model = context.model(model)
    along = context.subjects.image(model, image)[1].embedding.astype(np.float64)
    along /= np.linalg.norm(along)
    reads, aligner = model, context.heads(model).aligner
    if aligner is not None:
        context.subjects.note_aligner(model)
        reads, along = aligner.target, along @ aligner.matrix
    split = context.subjects.embedder.split_text(reads, text, along)
    rows: list[tuple[object, ...]] = [
        (at, split.tokens[at], layer, head, f"T.{head_name(layer, head)}", float(split.heads[layer, head, at]))
        for at in map(int, np.flatnonzero(np.abs(split.heads).max(axis=(0, 1))))  # nothing is behind the end mark
        for layer, head in np.ndindex(*split.heads.shape[:2])
    ]
    return [*rows, (None, None, None, None, REST, split.rest)]


FUNCTION = text_contributions
