"""Each head's share of the cosine of two images, on either side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.partition import of_partition
from clipdb.queries.functions.base.subjects import ImageVectors, TextVectors
from clipdb.queries.functions.base.table_function import Rows, table_function
from clipdb.queries.functions.contributions import about, split_cosine


@table_function(layer="INTEGER", head="INTEGER", name="VARCHAR", property="VARCHAR", share="DOUBLE", share_b="DOUBLE")
def image_contributions(
    context: Context, model: str | None, image: str, image_b: Sequence[str], partition: str | None = None
) -> list[Rows]:
    """Split the cosine of two images into what each head of the first adds, and each head of the second.

    What a head writes for one image is projected onto the whole embedding of the other: two sums of the same cosine,
    one over the heads of each image.

    Parameters
    ----------
    partition
        ``pool`` or ``trunk``: whose heads, where the images have vectors of both.

    Returns
    -------
    list
        For each second image one row per head and other component, by layer and head, and one for the rest.
    """
    model = context.model(model)
    heads, first = context.heads(model), _kept(context.subjects.image(model, image)[1], partition)
    found: list[Rows] = []
    for name in image_b:
        second = _kept(context.subjects.image(model, name)[1], partition)
        shares = split_cosine(heads, first, TextVectors(second.embedding, {}))
        shares_b = split_cosine(heads, second, TextVectors(first.embedding, {}))
        rows = []
        for part in sorted(shares.keys() | shares_b.keys(), key=lambda part: (part is None, part or ())):
            rows.append((*about(heads, part), shares.get(part), shares_b.get(part)))
        found.append(rows)
    return found


def _kept(image: ImageVectors, partition: str | None) -> ImageVectors:
    return replace(image, heads=of_partition(image.heads, partition))


FUNCTION = image_contributions
