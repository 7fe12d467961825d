"""Judge spans by the tags of the pool: deterministic, and no network.

The judge ``vote`` sees what the labeller ``vote`` saw, and the tags and text embeddings that the labeller ``zero-shot``
used: so its verdicts are independent of neither's labels, and the views keep them apart from other judges'.
"""

from __future__ import annotations

from pathlib import Path

from clipdb.errors import ClipdbError
from clipdb.ingest.names.named_spans import JUDGED, Judging, check_judged
from clipdb.ingest.names.unchanged import Judged, store_news
from clipdb.ingest.store.writer import Writer

VOTE = "vote"

_JUDGE = f"""
{JUDGED}
select model_id, layer, head, text_id, judged.property,
       normal_property(pool_texts.property) = normal_property(judged.property) as verdict
from judged join (from pool_texts where pool = $1 and property is not null) as pool_texts using (text_id)
order by all
"""
_JUDGE_COLUMNS = ("model_id", "layer", "head", "text_id", "property", "verdict")


def judge(index: Path, judging: Judging) -> Judged:
    """Judge each named head's first spans: does the pool's tag equal the head's property?

    Returns
    -------
    Judged
        Verdicts that are new, and those that were given before.

    Raises
    ------
    ClipdbError
        If there is no index, no spans of this pool, no names of heads with these spans, or no property in the pool.
    """
    with Writer(index, "judge", {"judge": VOTE} | judging.arguments(), empty_run=False) as writer:
        check_judged(writer, judging)
        if not writer.read("select 1 from pool_texts where pool = ? and property is not null limit 1", judging.pool):
            raise ClipdbError(
                f"the pool {judging.pool!r} names no properties to judge by: ask a language model with --judge llm, or "
                "judge yourself with `clipdb review --verdicts`",
                kind="absent",
            )
        about = {"judge": VOTE, "run": writer.run, "status": "ok"}
        found = writer.read(_JUDGE, *judging.values)
        rows = [dict(zip(_JUDGE_COLUMNS, row, strict=True)) | about for row in found]
        new = store_news(writer, "judgements", rows)
        return Judged(new, len(rows) - new, "not independent of labels by zero-shot or vote")
