"""What is judged: the first spans of each named head, with its name, or with those of others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clipdb.errors import ClipdbError
from clipdb.ingest.names.heads_with_spans import heads_with_spans
from clipdb.ingest.store.writer import Reader

CURRENT = "current"

# As in the views: where a name's own pool has no spans of the head, those of the pool that was spanned last do.
JUDGED = """
with named as (
    select
        model_id, layer, head, property, property_key, (labeller, pool, layer < 0) as source,
        if(list_contains(pools, given_from), given_from, last_pool) as span_pool
    from source_names join head_pools using (model_id, layer, head)
    where model_id = coalesce($2, model_id) and labeller = $3
),
others as ( -- names that heads of the same source carry, and this one does not; each in one spelling
    select named.model_id, named.layer, named.head, min(other.property) as property
    from named join named as other using (model_id, source)
    where $5 and named.span_pool = $1
    group by named.model_id, named.layer, named.head, other.property_key
    having not bool_or(other.property_key = named.property_key)
),
asked as (
    select model_id, layer, head, property, true as is_own from named where span_pool = $1
    union all
    select *, false from others
),
judged as (
    select model_id, layer, head, property, is_own, text_id, any_value(text) as text, min(rank) as rank
    from asked join (from spans where pool = $1 and rank <= $4) using (model_id, layer, head)
    group by model_id, layer, head, property, is_own, text_id
)
"""
"""Beginning of a query of what is judged, one row per description and name; `Judging.values` are its parameters."""

_POOLS = """
select distinct if(list_contains(pools, given_from), given_from, last_pool) as pool
from source_names join head_pools using (model_id, layer, head)
where model_id = coalesce($1, model_id) and labeller = $2
order by pool
"""


@dataclass(frozen=True)
class Judging:
    """Choose what is judged.

    Parameters
    ----------
    pool
        Pool whose spans are judged.
    model_id
        Only this model's heads.
    labeller
        Whose names; ``current`` for those that count now, whoever gave them.
    top
        How many of a head's first spans.
    chance
        Whether heads are judged by each other's names, too: what names shuffled over heads would give.
    """

    pool: str
    model_id: str | None = None
    labeller: str = CURRENT
    top: int = 5
    chance: bool = False

    @property
    def values(self) -> tuple[object, ...]:
        """Parameters 1 to 5 of `JUDGED`."""
        return self.pool, self.model_id, self.labeller, self.top, self.chance

    def arguments(self) -> dict[str, Any]:
        """What a run's row says of it."""
        said = {"pool": self.pool, "model": self.model_id, "labeller": self.labeller, "top": self.top}
        return said | ({"chance": True} if self.chance else {})


def check_judged(reader: Reader, judging: Judging) -> None:
    """Check that there is something to judge.

    Raises
    ------
    ClipdbError
        If there are no spans of the pool, or none that stand for a head with a name of this labeller.
    """
    heads_with_spans(reader, judging.pool, judging.model_id)
    if reader.read(f"{JUDGED} select 1 from judged limit 1", *judging.values):
        return
    labellers = [row[0] for row in reader.read("select distinct labeller from head_labels order by 1")]
    if not labellers and not reader.read("select 1 from labels where status = 'ok' limit 1"):
        raise ClipdbError(f"{reader.index} has no names yet: run `clipdb label --pool {judging.pool}`", kind="absent")
    of = f" of {judging.model_id}" if judging.model_id else ""
    whose = "" if judging.labeller == CURRENT else f" by {judging.labeller}"
    pools = ", ".join(row[0] for row in reader.read(_POOLS, judging.model_id, judging.labeller))
    if not labellers:
        advice = "no labeller found a clear name: see the notes of `clipdb query heads`"
    elif judging.labeller not in (CURRENT, *labellers):
        advice = f"choose with --labeller among {', '.join(labellers)}"
    elif pools:
        advice = f"the spans that stand for these names are from {pools}: choose with --pool"
    else:
        advice = f"there are names by {', '.join(labellers)}"
    raise ClipdbError(
        f"{reader.index} has no names{whose}{of} that spans from the pool {judging.pool!r} stand for: {advice}",
        kind="absent",
    )
