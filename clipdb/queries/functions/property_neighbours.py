"""The images alike in some properties, and not in others."""

from __future__ import annotations

from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.property_candidates import nearest_of_index, note_property_index, property_index
from clipdb.queries.functions.base.property_scan import best_rows, nearest_rows
from clipdb.queries.functions.base.property_search import Question, carriers_of, check_space
from clipdb.queries.functions.base.property_weights import parse_weights
from clipdb.queries.functions.base.similarity import check_k
from clipdb.queries.functions.base.table_function import Rows, table_function


@table_function(image_id="VARCHAR", score="FLOAT", rank="INTEGER")
def property_neighbours(
    context: Context,
    model: str | None,
    image: str,
    like: str,
    unlike: str | None = None,
    k: int = 10,
    space: str = "joint",
    partition: str | None = None,
    exact: bool = False,
) -> Rows:
    """Find the images that are most like an image in some properties, and not in others.

    The score is the mean over the properties of ``like``, by their weights, of the cosine of the two images over all
    heads of the property, after the heads' means are taken off. Each property of ``unlike`` takes off its weight,
    relative to those of ``like`` together, times that cosine as far as it is above 0: images that have nothing in
    common there are not preferred to one another.

    Where one property alone is asked about, in the joint space, and its heads have a vector index together, that is
    used, unless `exact` is true: then every image is compared. Scores are exact either way.

    Raises
    ------
    ClipdbError
        If a property is unknown or on both sides, or there is no such image or space.
    """
    check_space(space)
    check_k(k)
    model = context.model(model)
    carriers = carriers_of(context, model, partition)
    wanted = parse_weights(like, carriers, f" of {model}")
    unwanted = parse_weights(unlike, carriers, f" of {model}") if unlike is not None else {}
    if both := sorted(wanted.keys() & unwanted.keys()):
        raise ClipdbError(f"{', '.join(both)} can't be both like and unlike")
    heads = [head for name in (*wanted, *unwanted) for head in carriers[name]]
    row, found = context.subjects.image_heads(model, image, heads)
    if found is None:
        return []
    if len(wanted) == 1 and not unwanted and space == "joint" and not exact:
        by_index = property_index(context, model, heads)
        if by_index.index is not None:
            note_property_index(context, model, next(iter(wanted)), by_index.index)
            return nearest_of_index(context, model, by_index, found, row, k)
    vectors = dict(zip(heads, found, strict=True))

    def asked(name: str) -> Question:
        return Question.of(context, model, [vectors[head] for head in carriers[name]], carriers[name], space)

    weights = [*wanted.items(), *((name, -weight) for name, weight in unwanted.items())]
    rows, scores = nearest_rows(context, model, [(asked(name), weight) for name, weight in weights], k + 1)
    return best_rows(context, model, rows, scores, k, row)


FUNCTION = property_neighbours
