"""Label heads by the property that explains most of how their output varies over the images; or by none.

The model's own zero-shot answers stand in for the truth: for each property, every image gets the description that its
whole embedding is nearest to, and the share of a head's variance that lies between images of different descriptions
says how far the head goes with the property. Only stored vectors are used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from clipdb._util.kinds_of_descriptions import kinds_of_descriptions
from clipdb.errors import ClipdbError
from clipdb.ingest.descriptions.texts import missing_texts, reached_by_texts, text_embeddings
from clipdb.ingest.names.share_labels import store_shares
from clipdb.ingest.names.shares import Share, head_shares
from clipdb.ingest.names.unchanged import Labelled
from clipdb.ingest.names.zero_shot_groups import group_images
from clipdb.ingest.store.model_tables import ModelTables
from clipdb.ingest.store.writer import Reader, Writer
from clipdb.schema.aligned_texts import STORED, stored_aligner
from clipdb.schema.names import Head

ZERO_SHOT = "zero-shot"
_DESCRIPTIONS = """
select first(property order by position), list(text_id order by position)
from pool_texts
where pool = ? and normal_property(property) is not null
group by normal_property(property)
order by min(position)
"""


def label(index: Path, pool: str, model_id: str | None = None) -> Labelled:
    """Name each head by the property with the largest share of its variance, if it is clear which that is.

    A head whose largest share is under 1.3 times the second, or no more than chance, gets a label without a
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
        shares = {
            (name, *head): of_head
            for name in chosen
            for head, of_head in _measure(writer, name, pool, descriptions).items()
        }
        return store_shares(writer, ZERO_SHOT, pool, shares)


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
