"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

LOADING = "loading the model"

Stages = Callable[[str, int, int | None], None]
"""Is told what is being done, how much of it is done, and of how much, None where that isn't known."""


def untold(stage: str, done: int, total: int | None) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Counts:
    """How many images a run added, skipped because they were known, and could not read.

    Of the known ones ``updated`` got another label, split, path or metadata; ``notes`` say what a person should know.
    """

    added: int
    skipped: int
    failed: int
    updated: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """Where an ingest tells how it goes: a total when it is known, then counts of what is in and how many wait."""

    total: Callable[[int | None], None] = lambda total: None
    counts: Callable[[Counts, int], None] = lambda counts, waiting: None
