"""Name heads by the property with the largest share, if it is clear which that is, and keep all shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from clipdb.ingest.names.shares import Share
from clipdb.ingest.names.unchanged import Labelled, news
from clipdb.ingest.store.rows import put
from clipdb.ingest.store.writer import Reader, Writer

MARGIN = 1.3
"""How many times the second largest share the largest has to be for its property to be the head's name."""

_NEWEST_SHARES = """
select model_id, layer, head, property, share
from label_scores
where pool = ? and labeller = ?
qualify rank() over (partition by model_id, layer, head order by run desc) = 1
"""


def store_shares(
    writer: Writer,
    labeller: str,
    pool: str,
    measured: Mapping[tuple[str, int, int], Sequence[Share]],
    of: str = "its variance",
) -> Labelled:
    """Write a label and the shares of each head; one whose label and shares are as before keeps them.

    Parameters
    ----------
    labeller, pool
        Who measured, and what was compared.
    measured
        Shares by model, layer and head.
    of
        What they are shares of, for the labels' reasons.
    """
    labels: list[dict[str, Any]] = []
    scores: list[dict[str, Any]] = []
    about = {"pool": pool, "labeller": labeller, "run": writer.run}
    for (model_id, layer, head), shares in measured.items():
        key = {"model_id": model_id, "layer": layer, "head": head} | about
        labels.append(key | decide(shares, of) | {"status": "ok", "created_at": datetime.now(UTC)})
        scores += [key | {"property": s.property, "share": s.share, "chance": s.chance} for s in shares]
    changed = {_head(label) for label in news(writer, "labels", labels)} | _changed(writer, labeller, pool, scores)
    new = [label for label in labels if _head(label) in changed]
    named = sum(label["property"] is not None for label in new)
    writer.added, writer.skipped = len(new), len(labels) - len(new)
    if new:
        with writer.transaction() as connection:
            put(connection, "labels", new)
            put(connection, "label_scores", [score for score in scores if _head(score) in changed])
    return Labelled(named, len(new) - named, writer.skipped, "without a clear name")


def decide(shares: Sequence[Share], of: str) -> dict[str, Any]:
    """Choose the name, or say why there is none."""
    ranked = sorted(shares, key=lambda share: -share.share)  # of equal shares the pool's order decides which is shown
    named: dict[str, Any] = {"property": None, "confidence": None}
    if not ranked:
        return named | {"rationale": "no clear name: its vectors don't vary, or there are too few images"}
    best, second = ranked[0], ranked[1] if len(ranked) > 1 else None
    if best.chance is None or best.share <= best.chance:
        chance = "unknown" if best.chance is None else _short(best.chance)
        return named | {"rationale": f"no clear name: {best.property} {_short(best.share)}, chance {chance}"}
    both = f"{best.property} {_short(best.share)}" + (f", {second.property} {_short(second.share)}" if second else "")
    if second is not None and best.share < MARGIN * second.share:
        return named | {"rationale": f"no clear name: {both}"}
    return {"property": best.property, "confidence": best.share, "rationale": f"{both} of {of}"}


def _short(share: float) -> str:
    """Write a share as .12."""
    return f"{share:.2f}".replace("0.", ".", 1)


def _head(row: Mapping[str, Any]) -> tuple[str, int, int]:
    return row["model_id"], row["layer"], row["head"]


def _changed(
    reader: Reader, labeller: str, pool: str, scores: Sequence[Mapping[str, Any]]
) -> set[tuple[str, int, int]]:
    """Find the heads whose shares are not those that were stored last."""
    before = {tuple(row[:4]): row[4] for row in reader.read(_NEWEST_SHARES, pool, labeller)}
    now = {(*_head(score), score["property"]): score["share"] for score in scores}
    heads = {key[:3] for key in now}
    return {key[:3] for key in now.keys() | before.keys() if key[:3] in heads and now.get(key) != before.get(key)}
