"""What a fine-tune changed: each head beside the same head of the model that it started from."""

from __future__ import annotations

from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.head_pairs import check_images, head_pairs, models_standing, pair_rows
from clipdb.queries.functions.base.table_function import Rows, table_function
from clipdb.queries.functions.base.two_models import require_shared, two_models

_BASES = "select model_id, base from models where base is not null order by model_id"
_MEASURES = ("distance", "cka", "overlap", "images")
_RECORD = "`clipdb ingest images SRC --model MODEL --base MODEL` records one"


@table_function(
    model="VARCHAR",
    base="VARCHAR",
    head="VARCHAR",
    change="DOUBLE",
    cka="DOUBLE",
    overlap="DOUBLE",
    images="BIGINT",
)
def drift_heads(context: Context, model: str | None, base: str | None = None, images: int = 10000) -> Rows:
    """Measure how much each head of a fine-tuned model changed.

    Parameters
    ----------
    model
        The fine-tuned model; None for the only one whose base is recorded.
    base
        What it was fine-tuned from; None for what is recorded.
    images
        Vectors are compared over so many images that both have, those of the lowest ids. 0 stands for all.

    Returns
    -------
    list
        For each head ``(model, base, head, change, cka, overlap, images)``: change is the distance of the table
        head_pairs where both embed into one joint space, else 1 - cka.

    Raises
    ------
    ClipdbError
        If no base is known, the heads of the two don't correspond, or they share no images.
    """
    tuned, start = _asked(context, model, base)
    pairs = head_pairs(context, start, tuned, check_images(images))
    require_shared(context, start, tuned, pairs.found.images)
    # Who names a base says that the two embed into one space, but what is stored was computed without knowing it.
    measured = models_standing(context, start, tuned).same_space
    rows = []
    for head, other, distance, cka, overlap, number in pair_rows(pairs, _MEASURES):
        if head == other:
            change = distance if measured else None if cka is None else 1 - cka
            rows.append((tuned, start, head, change, cka, overlap, number))
    if not rows:
        raise ClipdbError(f"{tuned} and {start} have no heads of the same layer and number here", kind="absent")
    return rows


def _asked(context: Context, model: str | None, base: str | None) -> tuple[str, str]:
    recorded = {str(tuned): str(start) for tuned, start in context.rows(_BASES)}
    if model is None:
        if len(recorded) != 1:
            listed = (
                f"several models have a base ({', '.join(recorded)})" if recorded else f"no model has a base; {_RECORD}"
            )
            raise ClipdbError(f"choose the fine-tuned model, --model MODEL: {listed}", kind="absent")
        (model,) = recorded
    tuned = context.model(model)
    start = base or recorded.get(tuned)
    if start is None:
        raise ClipdbError(
            f"it is not recorded what {tuned} was fine-tuned from: name it, --base MODEL; {_RECORD}", kind="absent"
        )
    return two_models(context, tuned, start)


FUNCTION = drift_heads
