"""Heads by their Concept Consistency Score."""

from __future__ import annotations

from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.context import Context
from clipdb.schema.names import Head

GROUPS = ("high", "moderate", "low")


def heads_of_ccs(context: Context, model: str, ccs: str, judge: str | None) -> set[Head]:
    """Find the heads whose first five spans all fit their property, of which at most one does, or those between.

    Parameters
    ----------
    context
        The index.
    model
        Model name.
    ccs
        ``high`` (5), ``low`` (0 or 1) or ``moderate`` (Concept Consistency Score, arXiv 2503.11103). Heads whose spans
        haven't all been judged are in none of these.
    judge
        Whose verdicts; None where there is one judge, or more of which a majority is known.

    Raises
    ------
    ClipdbError
        If nothing is judged, the judge is unknown or not clear, or no head has such a score.
    """
    if ccs not in GROUPS:
        raise ClipdbError(f"ccs is {ccs!r}: it is one of {', '.join(GROUPS)}")
    rows = context.rows("select judge, layer, head, ccs_group from ccs() where model_id = ? and judged > 0", model)
    judges = sorted({str(one) for one, *_ in rows})
    if not judges:
        raise ClipdbError(f"no head of {model} has a judged name: run `clipdb judge`", kind="absent")
    by = judge or ("majority" if "majority" in judges else judges[0])
    if by not in judges:
        raise ClipdbError(f"{by!r} has judged no head of {model}: judges here are {', '.join(judges)}", kind="absent")
    if judge is None and by != "majority" and len(judges) > 1:
        raise ClipdbError(f"{model} has several judges: choose one with judge, {' or '.join(judges)}")
    found = {(int(str(layer)), int(str(head))) for one, layer, head, group in rows if (one, group) == (by, ccs)}
    if not found:
        raise ClipdbError(f"no head of {model} has {ccs} ccs by {by}: see `clipdb query ccs`", kind="absent")
    return found
