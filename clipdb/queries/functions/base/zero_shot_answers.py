"""What a model says of images when nobody knows what is true of them: its own zero-shot answers, without one head."""

from __future__ import annotations

from typing import cast

import numpy as np

from clipdb._util.kinds_of_descriptions import kinds_of_descriptions
from clipdb._util.notes import note
from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.classification import text_embeddings
from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.truths import Truth, outside_pairs, problem_of
from clipdb.schema.names import Head

_POOLS = """
select pool, count(distinct normal_property(property)) as properties from pool_texts
where normal_property(property) is not null group by pool having properties > 1 order by pool
"""
_DESCRIPTIONS = """
select first(property order by position), list(text order by position)
from pool_texts join texts using (text_id)
where pool = ? and normal_property(property) is not null
group by normal_property(property) order by min(position)
"""


class ZeroShotAnswers:
    """For each property of a pool, the description that an image is nearest to.

    Parameters
    ----------
    context
        The index.
    model
        The model.
    pool
        Whose descriptions; None for the only pool that has any with properties.

    Raises
    ------
    ClipdbError
        If it isn't clear which pool is meant, or the model hasn't embedded its texts.
    """

    def __init__(self, context: Context, model: str, pool: str | None) -> None:
        self._store, self._model = context.store, model
        heads = context.heads(model)
        self._bases, self.pool = heads.bases, _chosen(context, pool)
        if ("answers", model, self.pool) not in context.noted:
            context.noted.add(("answers", model, self.pool))
            note(f"note: compared with what {model} itself says without each head, by the pool {self.pool}")
        ids = [one.decode() for one in self._store.ids(model, "images")]
        self._usable = outside_pairs(context, ids)
        texted = model if heads.aligner is None else heads.aligner.target
        self._kinds = {}
        for name, listed in context.rows(_DESCRIPTIONS, self.pool):
            texts = cast("list[str]", listed)
            if any(context.subjects.text_row(texted, text) is None for text in texts):
                raise ClipdbError(
                    f"{model} has no embeddings of some texts of the pool {self.pool!r}: "
                    f"run `clipdb span --pool {self.pool}`",
                    kind="absent",
                )
            kinds = kinds_of_descriptions(text_embeddings(context, texted, texts).astype(np.float64))
            if len(kinds) > 1:
                self._kinds[str(name)] = heads.aligner(kinds) if heads.aligner else kinds.astype(np.float32)
        embeddings = self._store.embeddings(model, "images")
        self._scores = {name: embeddings @ np.ascontiguousarray(kinds.T) for name, kinds in self._kinds.items()}

    def without(self, head: Head) -> list[Truth]:
        """Answer by embeddings from which a head's contribution is taken, centred over the images.

        Images of minimal pairs have no answer, nor have those that lack the head's vector.
        """
        vectors, basis = self._store.head(self._model, "images", head), self._bases[head]
        answers = []
        for name, kinds in self._kinds.items():
            scores = self._scores[name] - vectors @ np.ascontiguousarray(basis.T @ kinds.T)
            known = self._usable & ~np.isnan(scores[:, 0])
            members = np.full(len(scores), -1, np.int32)
            if known.any():
                members[known] = (scores[known] - scores[known].mean(axis=0)).argmax(axis=1)
            answers.append(Truth(name, len(kinds), members))
        return [answer for answer in answers if problem_of(answer) is None]


def _chosen(context: Context, pool: str | None) -> str:
    found = [str(name) for name, _ in context.rows(_POOLS)]
    if pool is not None and pool not in found:
        raise ClipdbError(f"{pool} is no pool whose texts have two properties or more: {_said(found)}", kind="missing")
    if pool is None and len(found) != 1:
        raise ClipdbError(
            f"nothing is known of the images, so that the model's own zero-shot answers take its place: {_said(found)}",
            kind="absent",
        )
    return found[0] if pool is None else pool


def _said(pools: list[str]) -> str:
    if not pools:
        return "no pool has texts with properties: run `clipdb span --pool general`"
    return f"choose one with --pool: {', '.join(pools)}"
