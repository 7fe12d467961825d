"""What is true of images, as groups of them: the values of keys of the metadata, and of the label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.classification import LABEL, metadata_keys, values_by_image
from clipdb.queries.functions.base.context import Context

_EACH = 2  # images a value has on average at least: with fewer, groups explain most of anything


@dataclass(frozen=True)
class Truth:
    """The values of a key.

    Attributes
    ----------
    key
        ``label``, or a key of ``images.metadata``.
    values
        How many different ones there are.
    members
        Number of each image's value, from 0, in the store's order ``[n]``; -1 where it has none.
    names
        The values, by number.
    """

    key: str
    values: int
    members: np.ndarray
    names: Sequence[str] = ()


def read_truths(context: Context, model: str, key: str | None) -> list[Truth]:
    """Read a key, or every key that groups images: one with two values or more, and twice as many images.

    Images of minimal pairs have no value here: what is measured by truths and by pairs shall be independent.

    Raises
    ------
    ClipdbError
        If images have no such key, or it doesn't group them; if no key does.
    """
    ids = [one.decode() for one in context.store.ids(model, "images")]
    usable = outside_pairs(context, ids)
    if key is not None:
        truth = _truth(context, key, ids, usable)
        if problem := problem_of(truth):
            raise ClipdbError(problem)
        return [truth]
    keys = truth_keys(context)
    if not keys:
        raise ClipdbError(
            "nothing is known of the images: ingest a list whose columns say what is true of them, as in "
            "`clipdb ingest images LIST.csv`",
            kind="absent",
        )
    truths = [_truth(context, one, ids, usable) for one in keys]
    problems = [problem_of(truth) for truth in truths]
    if all(problems):
        raise ClipdbError(f"no key of the metadata groups the images: {'; '.join(filter(None, problems[:3]))}")
    return [truth for truth, problem in zip(truths, problems, strict=True) if problem is None]


def truth_keys(context: Context) -> list[str]:
    """List the keys of the metadata, and ``label`` if images have one."""
    labelled = context.rows("select 1 from images where label is not null limit 1")
    return [*metadata_keys(context), *([LABEL] if labelled else [])]


def outside_pairs(context: Context, ids: Sequence[str]) -> np.ndarray:
    """Return which images are in no minimal pair: bool ``[n]``."""
    in_pairs = {one for row in context.rows("select image_a, image_b from pairs") for one in row}
    return np.array([one not in in_pairs for one in ids], bool)


def _truth(context: Context, key: str, ids: Sequence[str], usable: np.ndarray) -> Truth:
    values = values_by_image(context, key)
    known = np.array([one in values for one in ids]) & usable
    found, numbers = np.unique(
        np.array([values[ids[row]] for row in np.flatnonzero(known).tolist()], str), return_inverse=True
    )
    members = np.full(len(ids), -1, np.int32)
    members[known] = numbers
    return Truth(key, len(found), members, found.tolist())


def problem_of(truth: Truth) -> str | None:
    """Say why values don't group images; None if they do."""
    images = int((truth.members >= 0).sum())
    if truth.values < 2:
        return f"images have {'one value' if truth.values else 'no value'} of {truth.key!r}: at least two are compared"
    if images < _EACH * truth.values:
        return (
            f"{truth.key!r} has {truth.values:,} values for {images:,} images: with fewer than {_EACH} images each "
            "a value says nothing"
        )
    return None
