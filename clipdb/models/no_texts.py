"""In the place of a text tower, where a model has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from clipdb.models.text_shares import TextShares
from clipdb.models.text_tower import TextTower
from clipdb.schema.aligned_texts import no_text_tower


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
        raise no_text_tower(self._model_id)

    def split(self, text: str, along: np.ndarray) -> TextShares:
        """Refuse to split a text's embedding.

        Raises
        ------
        ClipdbError
            Always.
        """
        raise no_text_tower(self._model_id)
