"""Comparisons of two heads as they are defined, over the Gram matrices of the images or by least squares."""

from __future__ import annotations

import numpy as np


def cka(x: np.ndarray, y: np.ndarray) -> float:
    """Linear CKA (Kornblith et al., arXiv 1905.00414) by the Gram matrices of the images."""
    number = len(x)
    centring = np.eye(number) - 1 / number
    k, l = centring @ x @ x.T @ centring, centring @ y @ y.T @ centring  # noqa: E741
    return float((k * l).sum() / np.sqrt((k * k).sum() * (l * l).sum()))


def explained(x: np.ndarray, y: np.ndarray) -> float:
    """Adjusted R^2 of the least-squares regression of x on y."""
    design = np.hstack([np.ones((len(y), 1)), y])
    left = x - design @ np.linalg.lstsq(design, x, rcond=None)[0]
    total = ((x - x.mean(axis=0)) ** 2).sum()
    return float(1 - (left**2).sum() / total * (len(x) - 1) / (len(x) - 1 - y.shape[1]))


def distance(x: np.ndarray, y: np.ndarray, q_x: np.ndarray, q_y: np.ndarray) -> float:
    """Mean squared distance of what two heads write, each about its mean, over the sum of their variances."""
    a, b = ((v - v.mean(axis=0)) @ q.T for v, q in ((x, q_x), (y, q_y)))
    return float(((a - b) ** 2).sum() / ((a**2).sum() + (b**2).sum()))


def overlap(q_x: np.ndarray, q_y: np.ndarray) -> float:
    """Mean squared cosine of the principal angles between two subspaces."""
    return float(np.mean(np.linalg.svd(q_x.T @ q_y, compute_uv=False) ** 2))
