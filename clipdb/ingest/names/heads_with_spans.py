"""The heads that have spans from a pool: what there is to name and to judge."""

from __future__ import annotations

from clipdb._util.notes import note
from clipdb.errors import ClipdbError
from clipdb.ingest.store.writer import Reader

DEFAULT_POOL = "general"


def chosen_pool(reader: Reader, pool: str | None, model_id: str | None = None) -> str:
    """Return the pool that was asked for, or the one that has spans.

    Parameters
    ----------
    pool
        What was asked for; None takes the only pool with spans, or ``general`` among several.
    model_id
        Only this model's spans count.

    Raises
    ------
    ClipdbError
        If none has spans, or several others do.
    """
    if pool is not None:
        return pool
    with_spans = "select distinct pool from spans where model_id = coalesce(?, model_id) order by pool"
    pools = [row[0] for row in reader.read(with_spans, model_id)]
    if not pools:
        raise ClipdbError(
            f"{reader.index} has no spans{f' of {model_id}' if model_id else ''} yet: run `clipdb span`", kind="absent"
        )
    if len(pools) > 1 and DEFAULT_POOL not in pools:
        raise ClipdbError(f"{reader.index} has spans from several pools: choose one with --pool ({', '.join(pools)})")
    if len(pools) == 1:
        return str(pools[0])
    others = ", ".join(name for name in pools if name != DEFAULT_POOL)
    note(f"note: the pool {DEFAULT_POOL} is used; --pool chooses another that has spans: {others}", warns=False)
    return DEFAULT_POOL


def heads_with_spans(reader: Reader, pool: str, model_id: str | None) -> int:
    """Count heads, of one model or of all, that have spans from a pool.

    Raises
    ------
    ClipdbError
        If none has.
    """
    count: int = reader.read(
        "select count(distinct (model_id, layer, head)) from spans where pool = ? and model_id = coalesce(?, model_id)",
        pool,
        model_id,
    )[0][0]
    if not count:
        of = f" of {model_id}" if model_id else ""
        raise ClipdbError(
            f"{reader.index} has no spans{of} from the pool {pool!r}: run `clipdb span --pool {pool}`", kind="absent"
        )
    return count
