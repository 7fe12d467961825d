"""`clipdb.align`: let the texts of a CLIP model reach a model without a text tower."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clipdb.errors import require

if TYPE_CHECKING:
    from clipdb.ingest.descriptions.aligning import Aligned


def align(index: str | Path, *, model: str, to: str) -> Aligned:
    """Let the texts of a CLIP model reach a model that has no text tower, DINOv2 for example.

    A linear map W is fitted over the images that the index has of both, so that ``W^T e`` predicts the CLIP model's
    embedding of an image from the model's own, e (ridge regression). A text t of the CLIP model is then ``W t`` in the
    model's space. An aligner that the model had is replaced, and its spans are deleted.

    Parameters
    ----------
    index
        Directory of the index.
    model
        The model without a text tower.
    to
        The CLIP model.

    Returns
    -------
    Aligned
        ``r2``, the share of the variance of the CLIP model's embeddings that is predicted over held-out images,
        ``ridge``, ``images``, and how many ``texts`` of the model were mapped anew.

    Raises
    ------
    ClipdbError
        If there is no index or no such model, the model has a text tower or the other none, they share too few images,
        or ``r2`` is under 0.3; nothing is written then.

    Examples
    --------
    Of a model that has a text tower, nothing is fitted:

    >>> clipdb.align("mine.clipdb", model="clipdb-tiny/scenes", to="clipdb-tiny/scenes")
    Traceback (most recent call last):
    clipdb.errors.ClipdbError: clipdb-tiny/scenes has a text tower of its own, and needs no aligner
    """
    require("lance", "ingest")
    from clipdb.ingest.descriptions import aligning

    return aligning.align(Path(index), model, to)
