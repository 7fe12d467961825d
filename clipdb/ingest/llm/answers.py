"""The form of a model's answer: what is asked of the server as a JSON schema, and checked again when it comes.

Everything is bounded: a model that fills free space with noise, as random weights do, comes to an end.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

NONE = "none of these"
"""The property of an answer that finds none; it is stored as no property."""
NAME = r"^[A-Za-z][A-Za-z0-9 '&/-]{1,58}[A-Za-z0-9]$"
"""A property in open naming: a few words."""
MOST_RATIONALE = 300


class HeadName(BaseModel):
    """A name for a head.

    ``confidence`` is an integer because servers that constrain what a model writes do bound integers and don't bound
    fractions (llama.cpp's grammars); ``rationale`` goes before ``property`` for the model to name what it has reasoned.
    """

    # Strict: 1.0 would pass for one per cent.
    model_config = ConfigDict(strict=True, extra="forbid")

    head: str
    rationale: str
    property: str
    confidence: int


@lru_cache(maxsize=4096)
def name_answer(head: str, vocabulary: tuple[str, ...] | None) -> type[HeadName]:
    """Make the answer's model for one head, once: it takes some milliseconds.

    Parameters
    ----------
    head
        The head's name, which the answer has to repeat.
    vocabulary
        Properties to choose from; None for open naming.
    """
    itself: Any = Literal[head]
    name: Any = Annotated[str, Field(pattern=NAME)] if vocabulary is None else Literal[(*vocabulary, NONE)]
    return create_model(
        "HeadName",
        __base__=HeadName,
        head=(itself, ...),
        rationale=(Annotated[str, Field(max_length=MOST_RATIONALE)], ...),
        property=(name, ...),
        confidence=(Annotated[int, Field(ge=0, le=100)], ...),
    )
