"""In the place of a text tower, where a model has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.models.text_tower import TextTower
from clipdb.models.tracing.text import TextShares


class NoTexts(TextTower):
    """Says so to whoever asks it for a text's embedding.

    Parameters
    ----------
    model_id
        The model's name.
    """

    def __init__(self, model_id: str) -> None:
        self._model_id = model_id

    def note(self, texts: Sequence[str]) -> None:
        """Note nothing: what is asked for next is refused."""

    def embed(
        self, texts: Sequence[str], batch_size: int, progress: Callable[[int], None] = lambda done: None
    ) -> np.ndarray:
        """Refuse to embed texts.

        Raises
        ------
        ClipdbError
            Always.
        """
        raise self._refusal()

    def split(self, text: str, along: np.ndarray) -> TextShares:
        """Refuse to split a text's embedding.

        Raises
        ------
        ClipdbError
            Always.
        """
        raise self._refusal()

    def _refusal(self) -> ClipdbError:
        return ClipdbError(
            f"{self._model_id} has no text tower: `clipdb align --model {self._model_id} --to CLIP` lets the texts of a "
            "CLIP model of the same index reach it",
            kind="absent",
        )
