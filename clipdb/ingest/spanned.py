"""The heads that have spans from a pool: what there is to name and to judge."""

from __future__ import annotations

from clipdb.errors import ClipdbError
from clipdb.ingest.writer import Reader


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
        raise ClipdbError(f"{reader.index} has no spans{of} from the pool {pool!r}: run `clipdb span --pool {pool}`")
    return count
