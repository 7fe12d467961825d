"""How much of what a property's search finds is right, beside a search by the whole embedding."""

from __future__ import annotations

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.ablation import have_vectors
from clipdb.queries.functions.base.classification import metadata_keys, values_by_image
from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.property_search import carriers_of, check_space, similarities
from clipdb.queries.functions.base.property_weights import normal_property, parse_weights
from clipdb.queries.functions.base.similarity import check_k, embedding_candidates
from clipdb.queries.functions.base.table_function import Rows, table_function
from clipdb.schema.names import Head

_NORMAL_95 = 1.959964  # standard errors on each side of a mean


@table_function(
    property="VARCHAR",
    target="VARCHAR",
    heads="BIGINT",
    images="BIGINT",
    precision="DOUBLE",
    embedding="DOUBLE",
    chance="DOUBLE",
    difference="DOUBLE",
    low="DOUBLE",
    high="DOUBLE",
)
def search_precision(
    context: Context,
    model: str | None,
    property: str | None = None,
    target: str | None = None,
    k: int = 10,
    images: int = 200,
    space: str = "joint",
    partition: str | None = None,
) -> Rows:
    """Measure how often the images nearest in a property's heads share the property's true value.

    Parameters
    ----------
    property
        A property that heads carry; None for each that a key of the metadata is called after.
    target
        What is true of an image: ``label``, or a key of the metadata. None for the key that is called as the property.
    k
        How many neighbours of each image are looked at.
    images
        How many images are asked about, those of the lowest ids, which are hashes: a fixed random sample.
    space, partition
        As in ``property_neighbours``.

    Returns
    -------
    list
        A row per property. precision, embedding and chance are the mean share of an image's k neighbours with its
        value: by the property's heads, by the whole embedding, and of images drawn at random. difference is precision
        less embedding, and low to high its 95 % interval, from the standard error over the images asked about. Only
        images with a value and vectors of these heads are compared.

    Raises
    ------
    ClipdbError
        If no head carries the property, no image has such a value, or nothing is called as a property.
    """
    check_space(space)
    check_k(k)
    if images < 2:
        raise ClipdbError(f"images is {images}: ask about at least 2")
    model = context.model(model)
    carriers = carriers_of(context, model, partition)
    wanted = carriers if property is None else parse_weights(property, carriers, f" of {model}")
    keys = {normal_property(key): key for key in metadata_keys(context)}
    targets = {name: target or keys.get(name) for name in wanted}
    if None in targets.values() and property is not None:
        raise ClipdbError(
            f"no key of the metadata is called {next(iter(targets))!r}: say with --target what is true of an image"
            + (f"; the keys are {', '.join(sorted(keys.values()))}" if keys else "; `label` is one, where there is one")
        )
    known = {name: key for name, key in targets.items() if key is not None}
    if not known:
        raise ClipdbError(
            "no property of a head is also a key of the images' metadata: give --property and --target", kind="absent"
        )
    found = [
        (name, key, _measure(context, model, carriers[name], key, k, images, space)) for name, key in known.items()
    ]
    return [(name, key, len(carriers[name]), *measured) for name, key, measured in found]


def _measure(
    context: Context, model: str, heads: list[Head], target: str, k: int, images: int, space: str
) -> tuple[int | float, ...]:
    """Return how many images were asked about, the three shares, and the difference with its interval."""
    store = context.store
    values = values_by_image(context, target)
    ids = store.ids(model, "images").astype(str)
    truth = np.array([values.get(one, "") for one in ids])
    rows = np.flatnonzero(have_vectors(context, model, heads) & np.array([one in values for one in ids]))
    if len(rows) <= k:
        raise ClipdbError(
            f"{len(rows)} images of {model} have {target!r} and vectors of these heads: more than {k} are needed"
        )
    truth, asked = truth[rows], range(min(images, len(rows)))
    whole = embedding_candidates(context, model)
    shares = np.empty((len(asked), 3))
    for place in asked:
        vectors = [store.head(model, "images", head)[rows[place]] for head in heads]
        by_property = similarities(context, model, vectors, heads, space)[rows]
        by_embedding = whole.scores(whole.vectors[rows[place]][None])[0, rows]
        same = truth == truth[place]
        for column, scores in enumerate((by_property, by_embedding)):
            scores[place] = -np.inf
            shares[place, column] = same[np.argpartition(-scores, k - 1)[:k]].mean()
        shares[place, 2] = (same.sum() - 1) / (len(rows) - 1)
    apart = shares[:, 0] - shares[:, 1]
    error = _NORMAL_95 * apart.std(ddof=1) / np.sqrt(len(asked))
    middle = float(apart.mean())
    return (len(asked), *shares.mean(axis=0).tolist(), middle, float(middle - error), float(middle + error))


FUNCTION = search_precision
