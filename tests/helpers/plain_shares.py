"""The labeller zero-shot as loops: what the tests compare it with."""

from __future__ import annotations

import numpy as np


def merged(embeddings: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """Join the two groups of descriptions with the highest mean cosine, as long as that is over the threshold."""
    centred = [row - embeddings.mean(axis=0) for row in embeddings]
    units = [row / np.linalg.norm(row) for row in centred if np.linalg.norm(row) > 1e-4]
    groups = [[row] for row in units]
    while len(groups) > 1:
        mean = {
            (a, b): np.mean([one @ other for one in groups[a] for other in groups[b]])
            for a in range(len(groups))
            for b in range(a + 1, len(groups))
        }
        a, b = max(mean, key=mean.__getitem__)
        if mean[a, b] <= threshold:
            break
        groups[a] += groups.pop(b)
    sums = [np.sum(group, axis=0) for group in groups]
    return np.array([total / np.linalg.norm(total) for total in sums]).reshape(-1, embeddings.shape[1])


def nearest(embeddings: np.ndarray, directions: np.ndarray) -> list[int]:
    """The direction that each embedding, less their mean, is nearest to."""
    mean = embeddings.mean(axis=0)
    return [int(np.argmax([(row - mean) @ direction for direction in directions])) for row in embeddings]


def share_of(vectors: np.ndarray, members: np.ndarray) -> float:
    """Share of the variance that lies between groups, adjusted for their number."""
    mean, values = vectors.mean(axis=0), sorted(set(members))
    total = sum(float((row - mean) @ (row - mean)) for row in vectors)
    between = 0.0
    for value in values:
        away = vectors[members == value].mean(axis=0) - mean
        between += (members == value).sum() * float(away @ away)
    return 1 - (1 - between / total) * (len(vectors) - 1) / (len(vectors) - len(values))
