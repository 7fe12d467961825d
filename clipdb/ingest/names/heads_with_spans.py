"""The heads that have spans from a pool: what there is to name and to judge."""

from __future__ import annotations

from clipdb._util.notes import note
from clipdb.errors import ClipdbError
from clipdb.ingest.store.writer import Reader
from clipdb.pools import shipped

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
        If the index has no such model, no pool has spans, or several others do.
    """
    _check_model(reader, model_id)
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
        If none has, or the index has no such model.
    """
    _check_model(reader, model_id)
    count: int = reader.read(
        "select count(distinct (model_id, layer, head)) from spans where pool = ? and model_id = coalesce(?, model_id)",
        pool,
        model_id,
    )[0][0]
    if not count:
        of = f" of {model_id}" if model_id else ""
        raise ClipdbError(
            f"{reader.index} has no spans{of} from the pool {pool!r}: {_without_spans(reader, pool, model_id)}",
            kind="absent",
        )
    return count


def _check_model(reader: Reader, model_id: str | None) -> None:
    """Check that the index has a model, or names of its heads; None stands for all that it has."""
    known = [row[0] for row in reader.read("select model_id from models union select model_id from heads order by 1")]
    if model_id is not None and model_id not in known:
        listed = ", ".join(known) or "none yet"
        raise ClipdbError(f"{reader.index} has no model {model_id!r}: it has {listed}", kind="absent")


def _without_spans(reader: Reader, pool: str, model_id: str | None) -> str:
    """Say what to do about a pool without spans: spanning helps only where there are descriptions."""
    if pool in shipped() or reader.read("select 1 from pool_texts where pool = ? limit 1", pool):
        return f"run `clipdb span --pool {pool}`"
    spanned = "select distinct pool from spans where model_id = coalesce(?, model_id) order by pool"
    if others := [row[0] for row in reader.read(spanned, model_id)]:
        return f"it has spans from {', '.join(others)}"
    return "there is no such pool, nor spans from another: run `clipdb span`"
