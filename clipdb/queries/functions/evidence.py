"""How a head's output goes with what is true of the images."""

from __future__ import annotations

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.head_evidence import Evidence, head_evidence, together
from clipdb.queries.functions.base.table_function import Rows, table_function
from clipdb.queries.functions.base.truths import Truth, read_truths, truth_keys
from clipdb.queries.functions.base.zero_shot_answers import ZeroShotAnswers
from clipdb.schema.names import head_name, parse_head

METADATA, ANSWERS = "metadata", "zero-shot without the head"
_HELD_OUT = (b"c", b"d", b"e", b"f")  # last digits of the ids of one image in four


@table_function(
    head="VARCHAR",
    key="VARCHAR",
    values="BIGINT",
    images="BIGINT",
    share="DOUBLE",
    chance="DOUBLE",
    p="DOUBLE",
    accuracy="DOUBLE",
    majority="DOUBLE",
    accuracy_chance="DOUBLE",
    accuracy_p="DOUBLE",
    held_out="BIGINT",
    split="VARCHAR",
    truth="VARCHAR",
)
def evidence(
    context: Context, model: str | None, head: str | None = None, key: str | None = None, pool: str | None = None
) -> Rows:
    """Measure how far each head goes with each key of the images' metadata, and with their label.

    If nothing is known of the images, the model's own answers take its place: for each property of a pool, the
    description to which an image is nearest once the head is taken from its embedding.

    Parameters
    ----------
    head
        One head; every head of the model where it is None.
    key
        A key of the metadata, or ``label``; where it is None every one with two values or more, and twice as many
        images. Of answers, a property.
    pool
        Compare with answers by this pool's descriptions; where it is None, by those of the only pool that has
        properties, if nothing is known of the images.

    Returns
    -------
    list
        A row per head and key. share is the share of the head's variance that lies between images of different values,
        eta squared, adjusted for their number as 1 - (1 - eta^2) (n - 1) / (n - groups); chance is what 5 % of all
        permutations of the images would exceed, p how many would reach share. accuracy is how many of the held-out
        images a linear probe (`linear_probe.fit`) gets right; majority how many the most frequent value does;
        accuracy_chance and accuracy_p the mean accuracy where values are permuted over them, and how many permutations
        are as accurate. split says which images are held out: ``images.split``, those of a split other than train
        where some are of train; else ``image_id``, one image in four by the last digit of its id, which is a hash.
        truth is ``metadata``, or ``zero-shot without the head``, which isn't true, but what the model says.

    Raises
    ------
    ClipdbError
        If there is no such head, no such key, or nothing that groups images; of answers, if it isn't clear which pool
        is meant, or the model hasn't embedded its texts.

    Notes
    -----
    Images of minimal pairs (`specificity`) don't count, so that the two are independent of each other.
    """
    model = context.model(model)
    store = context.store
    heads = store.heads(model)
    if head is not None:
        wanted = parse_head(head)
        store.require_head(model, wanted)
        heads = [wanted]
    ids = store.ids(model, "images")
    answers = ZeroShotAnswers(context, model, pool) if pool is not None or not truth_keys(context) else None
    known = [] if answers else read_truths(context, model, key)
    train, test, split = _split(context, ids)
    groups = together(known)
    rows = []
    for one in heads:
        vectors = store.head(model, "images", one)
        truths = _asked(answers.without(one), key, answers.pool) if answers else known
        groups = together(truths) if answers else groups
        measured: dict[str, Evidence] = {}
        for keys in groups:
            measured |= head_evidence(vectors, keys, train, test)
        for truth in truths:
            found = measured[truth.key]
            hits = found.probe
            probe = (hits.accuracy, hits.majority, hits.chance, hits.p, hits.images) if hits else (None,) * 5
            about = (head_name(*one), truth.key, truth.values, found.images)
            kind = ANSWERS if answers else METADATA
            rows.append((*about, found.share, found.chance, found.p, *probe, split if hits else None, kind))
    return rows


def _asked(truths: list[Truth], key: str | None, pool: str) -> list[Truth]:
    """Choose the property that is asked for, all if none is."""
    if key is None:
        return truths
    chosen = [truth for truth in truths if truth.key == key]
    if not chosen:
        named = ", ".join(truth.key for truth in truths)
        raise ClipdbError(f"the pool {pool} has no property {key!r} that groups the images: it has {named}")
    return chosen


def _split(context: Context, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """Say which images a probe is fitted to, which it is tried on, and by what they were told apart."""
    rows = context.rows("select image_id, split from images where split is not null")
    splits = {str(image_id): str(split) for image_id, split in rows}
    names = np.array([splits.get(one.decode(), "") for one in ids])
    train = names == "train"
    test = (names != "") & ~train
    if train.any() and test.any():
        return train, test, "images.split"
    held = np.isin([one[-1:] for one in ids], _HELD_OUT)
    return ~held, held, "image_id"


FUNCTION = evidence
