"""Name heads by a rule of one's own: a function from a head's spans to a name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from clipdb.errors import ClipdbError
from clipdb.ingest.names.heads_with_spans import heads_with_spans
from clipdb.ingest.names.unchanged import Labelled, store_news
from clipdb.ingest.store.writer import Writer

_SPANS = """
select model_id, layer, head, text, property, variance_explained
from spans left join pool_texts using (pool, text_id)
where pool = $1 and model_id = coalesce($2, model_id)
order by model_id, layer, head, rank
"""


@dataclass(frozen=True)
class Span:
    """A description that TEXTSPAN picked for a head, in the order of the picks.

    Attributes
    ----------
    text
        The description.
    property
        What the pool says that it describes, if it does.
    variance_explained
        Share of the head's variance, 0..1; None for spans that were imported without it.
    """

    text: str
    property: str | None
    variance_explained: float | None


@dataclass(frozen=True)
class Name:
    """The ``property`` that a rule gives a head, how sure it is (0..1, or None), and why, in a few words."""

    property: str
    confidence: float | None = None
    rationale: str | None = None


def label_by_rule(
    index: Path, labeller: str, pool: str, model_id: str | None, rule: Callable[[Sequence[Span]], Name | None]
) -> Labelled:
    """Name every head that has spans from a pool by a rule; a head whose label would be the same keeps the one it has.

    Parameters
    ----------
    index
        Directory of the index.
    labeller
        Who names, as the labels say.
    pool
        Pool whose spans the rule sees.
    model_id
        Only this model.
    rule
        Gives a head a name from its spans, or none.

    Raises
    ------
    ClipdbError
        If there is no index, it has no spans of this pool, or the rule gives an empty name.
    """
    with Writer(index, "label", {"labeller": labeller, "pool": pool, "model": model_id}, empty_run=False) as writer:
        heads = heads_with_spans(writer, pool, model_id)
        about = {"pool": pool, "labeller": labeller, "run": writer.run, "status": "ok", "created_at": datetime.now(UTC)}
        rows = []
        for key, picked in groupby(writer.read(_SPANS, pool, model_id), key=lambda row: row[:3]):
            name = rule([Span(*row[3:]) for row in picked])
            if name is None:
                continue
            if not name.property.strip():
                raise ClipdbError(f"the labeller {labeller} gives L{key[1]}.H{key[2]} an empty name")
            rows.append(dict(zip(("model_id", "layer", "head"), key, strict=True)) | about | asdict(name))
        new = store_news(writer, "labels", rows)
        return Labelled(new, heads - len(rows), len(rows) - new)
