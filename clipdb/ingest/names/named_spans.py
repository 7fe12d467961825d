"""What is judged: the first spans of each named head, with the name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clipdb.errors import ClipdbError
from clipdb.ingest.names.heads_with_spans import heads_with_spans
from clipdb.ingest.store.writer import Reader

CURRENT = "current"

# As in the views: where a name's own pool has no spans of the head, those of the pool that was spanned last do.
JUDGED = """
with judged as (
    select
        model_id, layer, head, property, text_id, any_value(text) as text, min(rank) as rank
    from source_names
    join head_pools using (model_id, layer, head)
    join (from spans where pool = $1 and rank <= $4) using (model_id, layer, head)
    where model_id = coalesce($2, model_id) and labeller = $3
        and if(list_contains(pools, given_from), given_from, last_pool) = $1
    group by model_id, layer, head, property, text_id
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
    """

    pool: str
    model_id: str | None = None
    labeller: str = CURRENT
    top: int = 5

    @property
    def values(self) -> tuple[object, ...]:
        """Parameters 1 to 4 of `JUDGED`."""
        return self.pool, self.model_id, self.labeller, self.top

    def arguments(self) -> dict[str, Any]:
        """What a run's row says of it."""
        return {"pool": self.pool, "model": self.model_id, "labeller": self.labeller, "top": self.top}


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
