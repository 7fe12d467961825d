"""Images of an index as a model's input again, read from their files; and the mean output of heads over them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch

from clipdb.errors import ClipdbError
from clipdb.ingest.images.sources.uri import read_known
from clipdb.models.ablation import Run, begin
from clipdb.models.tower import Adapter
from clipdb.queries.functions.base.context import Context

_AT_ONCE = 32
_MOST_KEPT = 1_000_000_000  # bytes of decoded images; of more, each is decoded again when it is needed again


class IndexImages:
    """Those of a model's images that can be read: decoded once, and kept where they take little room.

    Parameters
    ----------
    context
        The index.
    model
        The model.
    rows
        Rows of the images in the store's order.

    Attributes
    ----------
    places
        Which of the rows could be read.
    rows
        Those rows.
    unread
        How many could not.

    Raises
    ------
    ClipdbError
        If none can be read.
    """

    def __init__(self, context: Context, model: str, rows: np.ndarray) -> None:
        self._embedder, self._model = context.subjects.embedder, model
        known = context.rows("select image_id, coalesce(uri, '') from images")
        self._uris = {str(image_id): str(uri) for image_id, uri in known}
        self._ids = context.store.ids(model, "images").astype(str)
        keep = len(rows) * 3 * self._embedder.model(model).adapter.image_size ** 2 <= _MOST_KEPT
        self._kept: dict[int, np.ndarray] = {}
        places: list[int] = []
        reasons: list[ClipdbError] = []
        for place, row in enumerate(rows):
            try:
                pixels = self._decoded(int(row))
            except ClipdbError as error:
                reasons.append(error)
                continue
            places.append(place)
            if keep:
                self._kept[int(row)] = pixels
        if not places:
            raise ClipdbError(
                f"none of the {len(reasons)} images can be read; of the first: {reasons[0]}", kind="absent"
            )
        self.places = np.array(places)
        self.rows, self.unread = rows[self.places], len(reasons)

    def batches(self) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yield which images, and the network's input."""
        for start in range(0, len(self.rows), _AT_ONCE):
            part = slice(start, min(start + _AT_ONCE, len(self.rows)))
            pixels = np.stack([self._decoded(int(row)) for row in self.rows[part]])
            yield part, self._embedder.model(self._model).pixels_to_input(torch.from_numpy(pixels))

    def _decoded(self, row: int) -> np.ndarray:
        if row in self._kept:
            return self._kept[row]
        image_id = self._ids[row]
        uri = self._uris.get(image_id, "")
        return self._embedder.decode(self._model, read_known(image_id, uri), uri).pixels


def head_means(adapter: Adapter, images: IndexImages, layers: Sequence[int], by_token: bool) -> dict[int, torch.Tensor]:
    """Average heads' outputs over images: float64 ``[tokens, H, k]`` by layer, or ``[1, H, k]`` over all tokens."""
    runs = (begin(adapter, batch, layers, every_token=not by_token) for _, batch in images.batches())
    means = mean_outputs(runs, len(images.rows))
    return means if by_token else {layer: one.mean(dim=0, keepdim=True) for layer, one in means.items()}


def mean_outputs(runs: Iterable[Run], images: int) -> dict[int, torch.Tensor]:
    """Average heads' outputs in runs over so many images: float64 ``[tokens, H, k]`` by layer."""
    sums: dict[int, torch.Tensor] = {}
    for run in runs:
        for layer, z in run.outputs.items():
            z = z.to("cpu", torch.float64).sum(dim=0)
            sums[layer] = sums[layer] + z if layer in sums else z
    return {layer: one / images for layer, one in sums.items()}
