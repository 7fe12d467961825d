"""Sets of heads, chosen by what is known of them, and what scores lose with their contributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.ccs_heads import heads_of_ccs
from clipdb.queries.functions.base.classification import Task
from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.partition import in_partition_of, one_partition
from clipdb.queries.resolve import no_names, spelled, unknown_property
from clipdb.schema.layer_choice import parse_layers
from clipdb.schema.names import Head, layer_name, parse_head

NOTE = "direct effects only"
"""What every row says: heads act on later layers too, and that is not undone."""


def choose_heads(
    context: Context,
    model: str,
    heads: str | None = None,
    properties: str | None = None,
    layers: str | None = None,
    labeller: str | None = None,
    partition: str | None = None,
    ccs: str | None = None,
    judge: str | None = None,
) -> list[Head]:
    """Choose the heads that meet all the conditions given, all of one partition of the embedding.

    Parameters
    ----------
    context
        The index.
    model
        Model name.
    heads
        Names with commas: ``L4.H1,L4.H2``.
    properties
        Properties with commas, or parts of their names: heads that carry any of them.
    layers
        ``3-4``, ``0,2``, ``last2``, ``pool``, or ``all`` that are stored.
    labeller
        Whose labels count, ``vote`` for example, in place of each head's current one. Alone, it chooses the heads that
        it has named.
    partition
        ``pool`` or ``trunk``; needed where the heads are of both.
    ccs, judge
        ``high``, ``moderate`` or ``low``, and by whose verdicts: see
        `clipdb.queries.functions.base.ccs_heads.heads_of_ccs`.

    Returns
    -------
    list
        ``(layer, head)`` in order; all heads that have vectors where no condition is given.

    Raises
    ------
    ClipdbError
        If a name is unknown, no head meets all conditions, or those that do are of both partitions.
    """
    chosen = set(context.store.heads(model))
    if heads is not None:
        named = [parse_head(name) for name in heads.split(",") if name.strip()]
        if not named:
            raise ClipdbError("the set of heads is empty: name some as L4.H1,L4.H2")
        for head in named:
            context.store.require_head(model, head)
        chosen &= set(named)
    if layers is not None and layers != "all":
        known = context.rows("select layers, coalesce(pool_heads, 0) from models where model_id = ?", model)[0]
        total, pool_heads = (int(str(one)) for one in known)
        wanted = parse_layers(layers, total, "layers", pool=pool_heads > 0)
        stored = {layer for layer, _ in context.store.heads(model)}
        if missing := sorted(set(wanted) - stored):
            raise ClipdbError(
                f"{model} has no vectors of layer {layer_name(missing[0])}: its layers here are "
                f"{', '.join(map(layer_name, sorted(stored)))}",
                kind="absent",
            )
        chosen = {head for head in chosen if head[0] in wanted}
    if properties is not None or labeller is not None:
        chosen &= _labelled(context, model, properties, labeller)
    if ccs is not None:
        chosen &= heads_of_ccs(context, model, ccs, judge)
    elif judge is not None:
        raise ClipdbError("a judge is given and no ccs: say which heads by ccs, as high or low")
    if not one_partition(chosen, partition):
        raise ClipdbError(
            "no head meets all of these conditions and has vectors: give fewer of heads, property, layers, labeller, "
            "ccs and partition",
            kind="absent",
        )
    return sorted(one_partition(chosen, partition))


def _labelled(context: Context, model: str, properties: str | None, labeller: str | None) -> set[Head]:
    """Find the heads that have a property, or any at all, by their current labels or one labeller's last."""
    rows = context.rows(
        "select layer, head, normal_property(property) as property, labeller from labels "
        "where model_id = ? and status = 'ok' and property is not null "
        "order by labeller_rank(labeller) desc, created_at nulls first, run, pool desc",
        model,
    )
    if not rows:
        raise no_names(context.rows, model)
    if labeller is not None:
        known = sorted({str(one) for *_, one in rows})
        rows = [row for row in rows if str(row[3]) == labeller]
        if not rows:
            raise ClipdbError(
                f"{labeller!r} has named no head of {model}: labellers here are {', '.join(known)}", kind="absent"
            )
    current = {(int(str(layer)), int(str(head))): str(name) for layer, head, name, _ in rows}  # the last one stays
    if properties is None:
        return set(current)
    chosen: set[Head] = set()
    for wanted in properties.split(","):
        matching = {head for head, name in current.items() if spelled(wanted) in spelled(name)}
        if not matching or not wanted.strip():
            raise unknown_property(wanted.strip(), sorted(set(current.values())))
        chosen |= matching
    return chosen


class _Shares:
    """What heads add to the scores of images and classes: <y, Q^T t> summed over them."""

    def __init__(self, context: Context, task: Task, heads: Sequence[Head]) -> None:
        self._known = context.heads(task.model)
        self._heads = heads
        # One matrix over all the heads' numbers, so that the sum is a product with [classes, sum of k].
        texts = [task.texts @ self._known.bases[head] for head in heads]
        self._texts = np.concatenate(texts, axis=1, dtype=np.float32)

    def mean(self) -> np.ndarray:
        """Return the mean over the model's images ``[classes]``."""
        shares: np.ndarray = np.concatenate([self._known.means[head] for head in self._heads]) @ self._texts.T
        return shares

    def of(self, vectors: Mapping[Head, np.ndarray], out: np.ndarray | None = None) -> np.ndarray:
        """Return those of images whose vectors are ``[n, k]``: ``[n, classes]``."""
        own = np.concatenate([vectors[head] for head in self._heads], axis=1)
        shares: np.ndarray = np.matmul(own, self._texts.T, out=out)
        return shares


class Removal:
    """What the scores of images and classes lose without a set of heads.

    Parameters
    ----------
    context
        The index.
    task
        Images and classes.
    heads
        The set.
    mean
        Whether a head's mean over the model's images stays, in place of nothing.

    Attributes
    ----------
    heads
        The set.
    """

    def __init__(self, context: Context, task: Task, heads: Sequence[Head], mean: bool) -> None:
        self.heads = heads
        self._kept: np.ndarray | None = None
        if not heads:
            return
        self._shares = _Shares(context, task, heads)
        if mean:
            self._kept = self._shares.mean()

    def subtract(self, vectors: Mapping[Head, np.ndarray], scores: np.ndarray, out: np.ndarray) -> None:
        """Put scores ``[n, classes]`` less what the heads add, whose vectors are ``[n, k]``, into ``out``.

        They aren't renormalised.
        """
        if not self.heads:
            np.copyto(out, scores)
            return
        self._shares.of(vectors, out)
        np.subtract(scores, out, out=out)
        if self._kept is not None:
            out += self._kept


class Remainder:
    """The scores that images have where all that isn't a head with vectors is replaced by its mean.

    What a score holds beside its heads' shares is ``<e, t> - sum <y, Q^T t>``. Of it the mean over the model's images
    that have vectors of all these heads takes its place, as in the mean ablation of Gandelsman et al., arXiv
    2310.05916, section 3.2: MLPs, biases and the heads of layers that aren't stored.

    Parameters
    ----------
    context
        The index.
    task
        Images and classes.
    heads
        All heads of the partition; none of them is replaced.

    Attributes
    ----------
    heads
        These heads.
    """

    def __init__(self, context: Context, task: Task, heads: Sequence[Head]) -> None:
        self.heads = heads
        self._shares = _Shares(context, task, heads)
        embeddings = context.store.embeddings(task.model, "images")[have_vectors(context, task.model, heads)]
        self._mean = embeddings.mean(axis=0, dtype=np.float64) @ task.texts.T - self._shares.mean()

    def scores(self, vectors: Mapping[Head, np.ndarray]) -> np.ndarray:
        """Return the scores ``[n, classes]`` of images whose vectors are ``[n, k]``."""
        shares = self._shares.of(vectors)
        shares += self._mean
        return shares


def have_vectors(context: Context, model: str, heads: Sequence[Head]) -> np.ndarray:
    """Return which images have vectors of all these heads; one layer or another may have been added later."""
    usable = np.ones(len(context.store.ids(model, "images")), bool)
    for head in heads:
        usable &= context.store.present(model, head)
    return usable


def require_means(context: Context, model: str, heads: Sequence[Head]) -> None:
    """Check that the heads' means are stored.

    Raises
    ------
    ClipdbError
        If one is not.
    """
    if any(head not in context.heads(model).means for head in heads):
        raise ClipdbError(
            f"{model} has heads whose mean is not stored: run `clipdb ingest images` to its end", kind="absent"
        )


def random_sets(heads: Sequence[Head], chosen: Sequence[Head], count: int, seed: int) -> list[list[Head]]:
    """Draw sets of as many heads as were chosen: from the others, or from all where the others are too few.

    Parameters
    ----------
    heads
        All heads; those of the other partition of the embedding are left out.
    chosen
        The set that they are the control of.
    count
        How many sets.
    seed
        Decides them.
    """
    if not chosen:
        return []
    same = in_partition_of(heads, chosen)
    others = [head for head in same if head not in set(chosen)]
    pool = others if len(others) >= len(chosen) else same
    random = np.random.default_rng(seed)
    return [[pool[i] for i in sorted(random.choice(len(pool), len(chosen), replace=False))] for _ in range(count)]
