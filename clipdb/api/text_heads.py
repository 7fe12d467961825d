"""Which heads of the text tower, and which words, make a text match an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clipdb._util.apart import apart
from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.context import Context
from clipdb.schema.names import head_name

if TYPE_CHECKING:
    from clipdb.models.tracing.text import TextShares

REST = "no head"
COLUMNS = ("part", "heads", "share")
BY_TOKEN = ("place", *COLUMNS)

Row = tuple[int | str | float | None, ...]


def text_shares(context: Context, model: str, image: str, text: str, by: str) -> tuple[list[Row], float]:
    """Run a text through its model, and split its cosine with an image by the text tower's heads.

    Parameters
    ----------
    context
        The index, whose model it is.
    model
        Model name.
    image
        An image of the index, or a file.
    text
        The text.
    by
        ``head``, ``layer`` or ``token``: what shares are summed by. A token's is what heads read at it.

    Returns
    -------
    rows, cosine
        Rows with `COLUMNS`, or `BY_TOKEN`, the largest share first, tokens in their order; what is no head comes last.
        And the model's own cosine.

    Raises
    ------
    ClipdbError
        If shares are asked for that a text tower has not, its heads can't be read, or the weights can't be had.
    """
    if by not in ("head", "layer", "token"):
        raise ClipdbError(f"--by {by} is for the image tower: with --tower text give head, layer or token")
    along = context.subjects.image(model, image)[1].embedding.astype(np.float64)
    tower = context.subjects.embedder.model(model).text_tower
    tower.note([text])
    split = apart(lambda: tower.split(text, along / np.linalg.norm(along)))
    return _rows(split, by), split.cosine


def _rows(split: TextShares, by: str) -> list[Row]:
    layers, heads, _ = split.heads.shape
    if by == "token":
        shares = split.heads.sum(axis=(0, 1))
        read = map(int, np.flatnonzero(np.abs(split.heads).max(axis=(0, 1))))  # nothing is behind the end mark
        found: list[Row] = [(at, split.tokens[at], layers * heads, float(shares[at])) for at in read]
        return [*found, (None, REST, 0, split.rest)]
    by_head = split.heads.sum(axis=2)
    if by == "layer":
        found = [(f"T.L{layer}", heads, float(share)) for layer, share in enumerate(by_head.sum(axis=1))]
    else:
        found = [(f"T.{head_name(*at)}", 1, float(share)) for at, share in np.ndenumerate(by_head)]
    return [*sorted(found, key=lambda row: -abs(float(row[-1] or 0))), (REST, 0, split.rest)]
