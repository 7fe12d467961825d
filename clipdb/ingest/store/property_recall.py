"""How many of an image's nearest a vector index of several heads together finds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clipdb.ingest.store.fewest import RECALL, fewest
from clipdb.schema.property_index import Parts, PropertyIndex, candidates
from clipdb.schema.vector_indexes import AT

QUESTIONS = 256
"""Stored images that recall is measured with: to ask takes a hundredth of a second, and few of them may lie badly."""

_COMPARED = 25  # images that are compared for each that is asked for, at first
_IN_PARTITIONS = (1 + RECALL) / 2  # share that has to be in the partitions: estimates may lose as much again
_CLOSE = 1e-6  # what float32 may tell apart that is as near
_KNOWN = AT + 1  # an image itself is among its nearest, and always found


class Nearest:
    """Collects which of all images are as near to each question as its tenth nearest.

    Parameters
    ----------
    questions
        Unit vectors ``[q, embed_dim]``.
    """

    def __init__(self, questions: np.ndarray) -> None:
        self.questions = questions
        self._best = np.full((len(questions), _KNOWN), -2, np.float32)
        self._near: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, rows: np.ndarray, units: np.ndarray) -> None:
        """Compare more images: their rows ``[m]``, and unit vectors ``[m, embed_dim]``."""
        cosines = self.questions @ units.T
        self._best = -np.partition(-np.concatenate([self._best, cosines], axis=1), AT, axis=1)[:, :_KNOWN]
        question, column = np.nonzero(cosines >= self._best.min(axis=1, keepdims=True) - _CLOSE)
        self._near.append((question, rows[column], cosines[question, column]))

    def rows(self) -> list[np.ndarray]:
        """Return the rows of each question's nearest: itself, ten, and those that tie with the tenth."""
        question, rows, cosines = (np.concatenate(column) for column in zip(*self._near, strict=True))
        near = cosines >= self._best.min(axis=1)[question] - _CLOSE
        return [rows[near & (question == number)] for number in range(len(self.questions))]


def measured(index: PropertyIndex, centres: np.ndarray, parts: Parts, nearest: Nearest) -> PropertyIndex:
    """Choose how many partitions are searched and how many images compared, and measure the recall of that."""
    known = nearest.rows()

    def shares(tried: PropertyIndex) -> list[float]:
        found = []
        for query, near in zip(nearest.questions, known, strict=True):
            rows = candidates(tried, centres, query, _KNOWN, parts)
            found.append((min(int(np.count_nonzero(np.isin(near, rows))), _KNOWN) - 1) / AT)
        return found

    whole = replace(index, compared=index.images)
    nprobes, _ = fewest(1, index.partitions, lambda number: shares(replace(whole, nprobes=number)), _IN_PARTITIONS)
    index = replace(index, nprobes=nprobes)
    compared, recall = fewest(_COMPARED, index.images, lambda number: shares(replace(index, compared=number)))
    return replace(index, compared=compared, recall=recall)
