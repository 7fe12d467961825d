"""What came of asking a language model, and what would be asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipdb.ingest.names.llm.client import Question
    from clipdb.ingest.names.llm.server import Server


@dataclass
class Outcome:
    """What came of questions, and why the first one failed that did; ``rows`` counts what answers have made."""

    answered: int = 0
    skipped: int = 0
    failed: int = 0
    rows: int = 0
    reason: str | None = None

    def __iadd__(self, other: Outcome) -> Outcome:
        self.answered += other.answered
        self.skipped += other.skipped
        self.failed += other.failed
        self.rows += other.rows
        self.reason = self.reason or other.reason
        return self


@dataclass(frozen=True)
class Calls:
    """Calls that would be made.

    Attributes
    ----------
    server
        The model that would be asked.
    questions
        What it would be asked, and how often each. Keys of questions begin with model, layer and head.
    skipped
        Heads, or pairs of a head and a name, that would not be asked about.
    """

    server: Server
    questions: Sequence[tuple[Question[Any], int]]
    skipped: int

    @property
    def count(self) -> int:
        """Number of calls."""
        return sum(times for _, times in self.questions)

    @property
    def prompt_tokens(self) -> int:
        """About how many tokens the prompts have."""
        return sum(question.tokens * times for question, times in self.questions)

    @property
    def answer_tokens(self) -> int:
        """How many tokens the answers have at most."""
        return self.count * self.server.max_tokens
