"""A model behind an OpenAI-compatible API: what it is called, where it is, and what may be said of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from clipdb.ingest.names.llm.secrets import KEY_VARIABLE, shown_url


@dataclass(frozen=True)
class Server:
    """A model behind an OpenAI-compatible API.

    Parameters
    ----------
    model
        Name of the model, as the server knows it.
    base_url
        Address of the API; OpenAI's own where there is none. What it says of user and password is sent, never shown.
    key_variable
        Environment variable with the key.
    seed, temperature
        What makes answers repeatable, as far as the server can.
    timeout
        Seconds that one call may take.
    retries
        How often a call is tried again after a time-out, HTTP 408, 409, 429 and 5xx, with growing pauses, or after as
        long as the server says.
    max_tokens
        Length of an answer at most.

    Examples
    --------
    >>> server = clipdb.Server("qwen3:8b", base_url="http://localhost:11434/v1")
    >>> server.name, server.where
    ('llm:qwen3:8b', 'http://localhost:11434/v1')
    """

    model: str
    base_url: str | None = field(default=None, repr=False)
    key_variable: str = KEY_VARIABLE
    seed: int = 0
    temperature: float = 0.0
    timeout: float = 60.0
    retries: int = 3
    max_tokens: int = 1024

    @property
    def name(self) -> str:
        """The model as labellers and judges are named."""
        return f"llm:{self.model}"

    @property
    def shown_url(self) -> str | None:
        """The address without credentials."""
        return shown_url(self.base_url)

    @property
    def where(self) -> str:
        """The server, for messages."""
        return self.shown_url or "OpenAI"

    def arguments(self) -> dict[str, Any]:
        """What a run's row says of the server: no key, no credentials."""
        return {
            "llm_model": self.model,
            "base_url": self.shown_url,
            "seed": self.seed,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }
