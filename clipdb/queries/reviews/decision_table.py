"""People's decisions and verdicts as one table, for a file that other people can read, edit and import."""

from __future__ import annotations

from pathlib import Path

from clipdb.errors import ClipdbError
from clipdb.queries.index import Index
from clipdb.schema.leftovers import replacing

# A verdict has no time of its own: run ids begin with it, and sort by it.
_REVIEWS = """
select
    split_part(model_id, '/', 1) as model, split_part(model_id, '/', 2) as pretrained, layer, head, pool,
    labeller[7:] as reviewer, if(status = 'ok', 'named', 'rejected') as decision, property, null as text,
    1 + 4 * confidence as rating, strftime(created_at at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ') as decided_at, run
from labels where labeller like 'human:%' and status in ('ok', 'rejected')
union all
select
    split_part(model_id, '/', 1), split_part(model_id, '/', 2), layer, head, null, judge[7:],
    case when verdict then 'fits' when not verdict then 'does not fit' else 'unsure' end,
    property, text, null, null, run
from judgements join texts using (text_id) where judge like 'human:%' and status = 'ok'
order by run, model, pretrained, layer, head, text nulls first
"""


def write_reviews(index: Index, file: Path) -> int:
    """Write what people decided: one row per decision on a name, and one row per verdict on a description.

    The columns are those that `clipdb import reviews` reads; layer and head count from 0, a rating is 1 to 5, and times
    are UTC.

    Parameters
    ----------
    index
        An open index.
    file
        ``FILE.csv`` or ``FILE.parquet``.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    ClipdbError
        If the file is of another kind, or can't be written.
    """
    form = file.suffix.lower()
    if form not in (".csv", ".parquet"):
        raise ClipdbError(f"{file}: reviews are written as .csv or .parquet")
    rows = index.sql(_REVIEWS)
    with replacing(file) as building:
        if form == ".csv":
            rows.write_csv(str(building), use_tmp_file=False)
        else:
            rows.write_parquet(str(building), compression="zstd", use_tmp_file=False)
    return len(rows)
