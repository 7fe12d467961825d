"""Where in a picture heads find a text: each patch's part of their share of the cosine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from clipdb.models.decomposition import Decomposer
from clipdb.models.embedder import Embedder
from clipdb.models.preprocess import Box, shown
from clipdb.schema.names import Head, head_name

Row = tuple[str, int | None, int | None, float, float | None, float | None, float | None, float | None]
COLUMNS = ("token", "patch_row", "patch_col", "share", "x0", "y0", "x1", "y1")
"""What `Segmentation.rows` gives: the patch's box is in the upright picture's pixels."""

_NAMED = 4  # heads that a Segmentation's repr names


@dataclass(frozen=True, eq=False, repr=False)
class Segmentation:
    """What every token of an image adds to some heads' share of the cosine with a text.

    Attributes
    ----------
    heads
        The heads, as (layer, head).
    shares
        float32 ``[heads, tokens]``; a row adds up to the head's share. The tokens that are no patch come first, then
        the patches row by row.
    other_tokens
        Names of the tokens that are no patch.
    cosine
        Of the image and the text; in a contrast, how much larger it is than that of the other text.
    grid
        How many rows and columns of patches there are: those of this image where images keep their shape.
    covered
        What all patches together show of the upright picture; over its edge there is padding.
    width, height
        Of the upright picture in pixels.
    data
        The image file's bytes.
    """

    heads: Sequence[Head]
    shares: np.ndarray
    other_tokens: Sequence[str]
    cosine: float
    grid: tuple[int, int]
    covered: Box
    width: int
    height: int
    data: bytes

    def __repr__(self) -> str:
        heads = ", ".join(head_name(*head) for head in self.heads[:_NAMED])
        more = f" and {len(self.heads) - _NAMED} more" if len(self.heads) > _NAMED else ""
        rows, columns = self.grid
        return f"Segmentation({heads}{more}: share {self.total:+.4f} of {self.cosine:+.4f}, {rows} x {columns})"

    @property
    def total(self) -> float:
        """The heads' share of the cosine: all patches and all other tokens."""
        return float(self.shares.sum(dtype=np.float64))

    @property
    def map(self) -> np.ndarray:
        """The patches' shares, summed over the heads: float32 of the grid's shape."""
        patches = self.shares[:, len(self.other_tokens) :].sum(axis=0, dtype=np.float64)
        return patches.reshape(self.grid).astype(np.float32)

    @property
    def others(self) -> dict[str, float]:
        """The shares of the tokens that are no patch, summed over the heads."""
        summed = self.shares[:, : len(self.other_tokens)].sum(axis=0, dtype=np.float64)
        return dict(zip(self.other_tokens, map(float, summed), strict=True))

    def box(self, row: int, column: int) -> Box | None:
        """Find a patch in the upright picture; None where all of it is padding."""
        left, top, right, bottom = self.covered
        down, across = (bottom - top) / self.grid[0], (right - left) / self.grid[1]
        box = Box(
            max(left + column * across, 0.0),
            max(top + row * down, 0.0),
            min(left + (column + 1) * across, float(self.width)),
            min(top + (row + 1) * down, float(self.height)),
        )
        return box if box.left < box.right and box.top < box.bottom else None

    def rows(self) -> list[Row]:
        """Make one row per token, those of the largest shares first; its columns are `COLUMNS`."""
        rows: list[Row] = [(name, None, None, share, None, None, None, None) for name, share in self.others.items()]
        for (row, column), share in np.ndenumerate(self.map):
            box = self.box(row, column) or (None, None, None, None)
            rows.append(("patch", row, column, float(share), *box))
        return sorted(rows, key=lambda row: -row[3])


def token_shares(
    decomposer: Decomposer, image: torch.Tensor, text: np.ndarray, heads: Sequence[Head]
) -> tuple[np.ndarray, float]:
    """Split some heads' shares of a text among an image's tokens, in one forward pass.

    A head's output is a sum over tokens, of attention weight times value, so its share ``<y, Q^T t>`` is too:
    exactly, with nothing estimated (Gandelsman et al., arXiv 2310.05916, section 5).

    Parameters
    ----------
    decomposer
        Of layers that have all the heads.
    image
        Preprocessed image, ``[1, 3, S, S]``.
    text
        Text embedding ``[D]``.
    heads
        The heads, as (layer, head).

    Returns
    -------
    shares, cosine
        float32 ``[heads, tokens]``, and the inner product of the unit image embedding and the text.
    """
    embedding, _, tokens = decomposer.by_token(image, sorted({layer for layer, _ in heads}))
    shares = [
        tokens[layer][0, head].cpu().numpy() @ (decomposer.bases[layer, head].T @ text).astype(np.float32)
        for layer, head in heads
    ]
    return np.stack(shares), float(embedding[0].cpu().numpy() @ text)


def segment_image(
    embedder: Embedder, model_id: str, data: bytes, name: str, text: np.ndarray, heads: Sequence[Head]
) -> Segmentation:
    """Run a model once on an image file and find where in it some heads see a text.

    Parameters
    ----------
    embedder
        Runs the index's models.
    model_id
        The model.
    data, name
        The file's bytes, and how it is called in a message.
    text
        Unit text embedding ``[D]``; for a contrast, one text's less the other's.
    heads
        Heads that the index has.

    Raises
    ------
    ClipdbError
        If the file is no image, or the weights can't be had.
    """
    model = embedder.model(model_id)
    decoded = embedder.decode(model_id, data, name)
    pixels = model.pixels_to_input(torch.from_numpy(decoded.pixels[None]))
    shares, cosine = token_shares(embedder.decomposer(model_id), pixels, text, heads)
    tower = model.adapter
    side, others = tower.image_size // tower.patch_size, len(tower.other_tokens)
    grid = model.preprocess.grid(decoded.width, decoded.height)
    left, top, right, bottom = shown(decoded.width, decoded.height, model.preprocess)
    # The last pixels of a square may be too few for a patch.
    seen = side * tower.patch_size / tower.image_size if grid is None else 1.0
    grid = grid or (side, side)
    return Segmentation(
        heads=list(heads),
        shares=shares[:, : others + grid[0] * grid[1]],  # the rest is padding, which has none
        other_tokens=tower.other_tokens,
        cosine=cosine,
        grid=grid,
        covered=Box(left, top, left + (right - left) * seen, top + (bottom - top) * seen),
        width=decoded.width,
        height=decoded.height,
        data=data,
    )
