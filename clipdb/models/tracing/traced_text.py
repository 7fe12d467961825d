"""The tower of one text: what each head of each layer gives to its embedding, and from which tokens.

A text tower is a list of operations as an image tower is, but for its pooled token: the place of the end mark is
another one in each text. So a text is traced alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch

from clipdb.errors import ClipdbError
from clipdb.models.text_shares import TextShares
from clipdb.models.tracing.operations import Operation
from clipdb.models.tracing.traced_tower import Geometry, TracedTower

_LARGEST_ERROR = 1e-4  # of the norm of the embedding


class TracedText(TracedTower):
    """A text tower that pools at a place.

    Parameters
    ----------
    encode
        The tower as a module: tokens ``[1, T]`` to an embedding ``[1, D]``.
    steps
        What it does to its residual stream.
    embed_dim
        Size D of the embedding.
    exposed
        Lets every module be called that the operations name.
    """

    name = "text"

    def __init__(
        self,
        encode: Any,
        steps: Sequence[Operation],
        embed_dim: int,
        exposed: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._steps, self._size, self._exposed = steps, embed_dim, exposed
        super().__init__(encode)

    @classmethod
    def misfit(cls, visual: Any) -> str | None:
        """Return None: whoever lists the operations has looked at the tower."""
        return None

    def operations(self) -> Iterable[Operation]:
        """Return what the tower does to its residual stream."""
        return self._steps

    def geometry(self) -> Geometry:
        """Return what the operations don't say; a text has no pixels."""
        return Geometry(self._size, 0, 0, "tok")

    def exposed(self) -> AbstractContextManager[None]:
        """Let every module be called that the operations name."""
        return self._exposed()


def split_text(tower: TracedText, tokens: torch.Tensor, words: Sequence[str], along: np.ndarray) -> TextShares:
    """Split the cosine of a text's embedding and a direction.

    A head's share is ``<B Z, along> / ||embedding||``, with B and Z as in `clipdb.models.tracing`; a token's part of it
    is where the head read (Gandelsman et al., arXiv 2310.05916, section 3, say the same of images).

    Parameters
    ----------
    tower
        The tower of this text.
    tokens
        Its tokens, ``[1, T]``.
    words
        The tokens as they are shown.
    along
        The direction ``[D]``, an image's unit embedding as a rule.

    Raises
    ------
    ClipdbError
        If the parts don't add up to the embedding within 1e-4 of its length.
    """
    layers = list(range(tower.layers))
    captured = tower.capture_tokens(tokens, layers)
    embedding = captured.embedding[0].double().cpu().numpy()
    norm, total = float(np.linalg.norm(embedding)), tower.rest(tokens, "trunk")[0].double().cpu().numpy()
    rest, shares = float(total @ along) / norm, []
    for layer in layers:
        given = np.einsum("hdn,htn->htd", tower.output_map(layer), captured.tokens[layer][0].double().cpu().numpy())
        total = total + given.sum(axis=(0, 1))
        shares.append(given @ along / norm)
    error = float(np.linalg.norm(total - embedding)) / norm
    if not error <= _LARGEST_ERROR:
        raise ClipdbError(f"the parts of the text's embedding differ from the model's own by {error:.1e} of its norm")
    return TextShares(words, np.stack(shares), rest, float(embedding @ along) / norm)
