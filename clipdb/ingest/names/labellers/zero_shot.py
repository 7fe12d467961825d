"""Label heads by the property that explains most of how their output varies over the images; or by none.

The model's own zero-shot answers stand in for the truth: for each property, every image gets the description that its
whole embedding is nearest to, and the share of a head's variance that lies between images of different descriptions
says how far the head goes with the property. Only stored vectors are used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.ingest.descriptions.texts import missing_texts, reached_by_texts, text_embeddings
from clipdb.ingest.names.shares import Share, head_shares
from clipdb.ingest.names.unchanged import Labelled, news
from clipdb.ingest.names.zero_shot_groups import group_images, kinds_of_descriptions
from clipdb.ingest.store.model_tables import ModelTables
from clipdb.ingest.store.rows import put
from clipdb.ingest.store.writer import Reader, Writer
from clipdb.schema.aligned_texts import STORED, stored_aligner
from clipdb.schema.names import Head

ZERO_SHOT = "zero-shot"
MARGIN = 1.3
"""How many times the second largest share the largest has to be for its property to be the head's name."""

_DESCRIPTIONS = """
select first(property order by position), list(text_id order by position)
from pool_texts
where pool = ? and normal_property(property) is not null
group by normal_property(property)
order by min(position)
"""

_NEWEST_SHARES = """
select model_id, layer, head, property, share
from label_scores
where pool = ? and labeller = ?
qualify rank() over (partition by model_id, layer, head order by run desc) = 1
"""


def label(index: Path, pool: str, model_id: str | None = None) -> Labelled:
    """Name each head by the property with the largest share of its variance, if it is clear which that is.

    A head whose largest share is under `MARGIN` times the second, or no more than chance, gets a label without a
    property that says so. One whose label and shares are as before keeps them.

    Parameters
    ----------
    index
        Directory of the index.
    pool
        Pool whose descriptions and properties are used.
    model_id
        Only this model.

    Raises
    ------
    ClipdbError
        If there is no index, no image, no such model or pool, a text that a model has not embedded, or fewer than two
        properties that have descriptions to tell images apart by.
    """
    with Writer(index, "label", {"labeller": ZERO_SHOT, "pool": pool, "model": model_id}, empty_run=False) as writer:
        chosen = reached_by_texts(writer, writer.models(model_id), model_id)
        descriptions = _descriptions(writer, pool)
        labels: list[dict[str, Any]] = []
        scores: list[dict[str, Any]] = []
        about = {"pool": pool, "labeller": ZERO_SHOT, "run": writer.run}
        for name in chosen:
            for (layer, head), shares in _measure(writer, name, pool, descriptions).items():
                key = {"model_id": name, "layer": layer, "head": head} | about
                labels.append(key | _decide(shares) | {"status": "ok", "created_at": datetime.now(UTC)})
                scores += [key | {"property": s.property, "share": s.share, "chance": s.chance} for s in shares]
        changed = {_head(label) for label in news(writer, "labels", labels)} | _changed(writer, pool, scores)
        new = [label for label in labels if _head(label) in changed]
        named = sum(label["property"] is not None for label in new)
        writer.added, writer.skipped = len(new), len(labels) - len(new)
        if new:
            with writer.transaction() as connection:
                put(connection, "labels", new)
                put(connection, "label_scores", [score for score in scores if _head(score) in changed])
        return Labelled(named, len(new) - named, writer.skipped, "without a clear name")


def _descriptions(reader: Reader, pool: str) -> dict[str, list[str]]:
    """List the ids of each property's descriptions; spellings of one property (`normal_property`) are one."""
    if not reader.read("select 1 from pool_texts where pool = ? limit 1", pool):
        raise ClipdbError(
            f"{reader.index} has no descriptions from the pool {pool!r}: run `clipdb span --pool {pool}`", kind="absent"
        )
    descriptions = dict(reader.read(_DESCRIPTIONS, pool))
    if not descriptions:
        raise ClipdbError(f"the texts of the pool {pool!r} have no properties: {_elsewhere(pool)}", kind="absent")
    return descriptions


def _measure(
    writer: Writer, model_id: str, pool: str, descriptions: Mapping[str, Sequence[str]]
) -> dict[Head, list[Share]]:
    """Measure how much each property of the pool explains of each head of a model."""
    images = ModelTables(writer, model_id).images
    # An aligner maps directions; which descriptions mean the same, the model that embedded them says.
    aligner = stored_aligner(writer.read(STORED, model_id))
    texts = ModelTables(writer, model_id if aligner is None else aligner.target).texts
    ids = [key for keys in descriptions.values() for key in keys]
    if missing := missing_texts(texts, ids):
        raise ClipdbError(
            f"{model_id} has no embeddings of {len(missing)} of the {len(ids)} descriptions from the pool {pool!r}: "
            f"run `clipdb span --pool {pool} --model {model_id}`",
            kind="absent",
        )
    embeddings = np.split(text_embeddings(texts, ids), np.cumsum([len(keys) for keys in descriptions.values()])[:-1])
    kinds = {name: kinds_of_descriptions(rows) for name, rows in zip(descriptions, embeddings, strict=True)}
    directions = {name: aligner(rows) if aligner else rows for name, rows in kinds.items() if len(rows) > 1}
    if len(directions) < 2:
        raise ClipdbError(
            f"the pool {pool!r} has fewer than two properties with descriptions of more than one meaning, so there is "
            f"nothing to compare: {_elsewhere(pool)}"
        )
    assert images.dataset is not None
    return head_shares(images.dataset, group_images(images.dataset, directions))


def _elsewhere(pool: str) -> str:
    return (
        f"name these heads with `clipdb label --labeller llm --pool {pool}`, or take a pool whose texts have properties"
    )


def _decide(shares: Sequence[Share]) -> dict[str, Any]:
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
    return {"property": best.property, "confidence": best.share, "rationale": f"{both} of its variance"}


def _short(share: float) -> str:
    """Write a share as .12."""
    return f"{share:.2f}".replace("0.", ".", 1)


def _head(row: Mapping[str, Any]) -> tuple[str, int, int]:
    return row["model_id"], row["layer"], row["head"]


def _changed(reader: Reader, pool: str, scores: Sequence[Mapping[str, Any]]) -> set[tuple[str, int, int]]:
    """Find the heads whose shares are not those that were stored last."""
    before = {tuple(row[:4]): row[4] for row in reader.read(_NEWEST_SHARES, pool, ZERO_SHOT)}
    now = {(*_head(score), score["property"]): score["share"] for score in scores}
    heads = {key[:3] for key in now}
    return {key[:3] for key in now.keys() | before.keys() if key[:3] in heads and now.get(key) != before.get(key)}
