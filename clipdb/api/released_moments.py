"""What TEXTSPAN takes of each head in the convention of the released code: the model runs over the images again."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clipdb._util.notes import note
from clipdb._util.text import counted
from clipdb.api.index_images import IndexImages
from clipdb.api.opening import open as open_index
from clipdb.ingest.descriptions.spans import Spannable
from clipdb.ingest.store.moments import Moments
from clipdb.models.released_convention import ReleasedHeads
from clipdb.schema.names import Head


def released_moments(
    index: str | Path, device: str, checkpoint: str | Path | None, model: str
) -> dict[Head, Spannable]:
    """Take the moments of heads' contributions as the code released with arXiv 2310.05916 divides the embedding.

    That code takes the first k right singular vectors of a head's contributions, which are not centred, projects the
    pool onto them, and has its loop choose by the variance of the centred contributions. Of the contributions this
    needs their second moments alone: the singular vectors are eigenvectors of those.

    Parameters
    ----------
    index, device, checkpoint
        See `clipdb.api.opening.open`.
    model
        The model; of its heads those that the index has.

    Raises
    ------
    ClipdbError
        If the released code doesn't read its tower, no image can be read, or the weights can't be had or are others.
    """
    with open_index(index, device=device, checkpoint=checkpoint) as db:
        context = db.context
        released = ReleasedHeads(context.subjects.embedder.model(model).adapter)
        heads = context.store.heads(model)
        layers = sorted({layer for layer, _ in heads})
        images = IndexImages(context, model, np.arange(len(context.store.ids(model, "images"))))
        if images.unread:
            note(f"note: {counted(images.unread, 'image')} can't be read any more and don't count")
        sums: dict[Head, Moments] = {}
        for _, batch in images.batches():
            for layer, features in released.features(batch, layers).items():
                for head, f in enumerate(features.cpu().numpy().transpose(1, 0, 2)):
                    found = Moments.of(f)
                    sums[layer, head] = sums[layer, head] + found if (layer, head) in sums else found
    return {
        (layer, head): _spannable(sums[layer, head], to_joint, released.adapter.head_dim)
        for layer in layers
        for head, to_joint in enumerate(released.maps(layer))
    }


def _spannable(moments: Moments, to_joint: np.ndarray, rank: int) -> Spannable:
    _, vectors = np.linalg.eigh(to_joint @ moments.outer @ to_joint.T)
    first = vectors[:, ::-1][:, :rank]  # of the largest eigenvalues
    covariance = to_joint @ moments.covariance @ to_joint.T
    return Spannable(first.T @ covariance @ first, first, float(np.trace(covariance)))
