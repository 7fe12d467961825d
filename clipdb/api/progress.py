"""How far long work is: a bar in a terminal or notebook, elsewhere a line every half minute; or a caller's function."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from clipdb._util.notes import note
from clipdb._util.stages import LOADING, Counts, Progress, Stages

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import ProgressColumn

LINE_SECONDS = 30.0


CallCounts = Callable[[int, int, int], None]
"""Takes how many calls have ended well, are made in all, and have failed."""

Shown = bool | Stages
"""True shows progress on stderr, False doesn't; or a function that takes what is being done, how much of it is done,
and of how much (None if that isn't known)."""


@contextmanager
def image_progress(progress: Shown) -> Iterator[Progress]:
    """Show how an ingest of images goes."""
    with _shown(progress, LOADING, outcomes=True) as show:
        known: list[int | None] = [None]

        def total(count: int | None) -> None:
            known[0] = count
            show("images", 0, count)

        def counts(now: Counts, waiting: int) -> None:
            outcome = f"added {now.added}, skipped {now.skipped}, failed {now.failed}"
            show("images", now.added + now.skipped + now.failed + waiting, known[0], outcome)

        yield Progress(total, counts)


@contextmanager
def stage_progress(progress: Shown, first: str = LOADING) -> Iterator[Stages]:
    """Show how work goes that has stages, as texts and then heads; ``first`` is what it begins with."""
    with _shown(progress, first) as show:
        yield show


@contextmanager
def call_progress(progress: Shown, about: str = "heads") -> Iterator[CallCounts]:
    """Show how calls to a language model go.

    Parameters
    ----------
    about
        What each is about, in the plural.
    """
    with _shown(progress, about, outcomes=True) as show:
        yield lambda well, total, failed: show(about, well + failed, total, f"failed {failed}")


@contextmanager
def _shown(progress: Shown, first: str, outcomes: bool = False) -> Iterator[Any]:
    """Show stages; each has a bar of its own, since their rates differ."""
    if not isinstance(progress, bool):
        yield lambda stage, done, total, outcome="": progress(stage, done, total)
        return
    if not progress:
        yield lambda stage, done, total, outcome="": None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if not (console.is_terminal or console.is_jupyter):
        yield _Lines()
        return
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _rate(), TimeRemainingColumn()]
    if outcomes:
        columns.append(TextColumn("{task.fields[outcome]}"))
    with Bar(*columns, console=console) as bar:
        stages = _Bars(bar)
        stages(first, 0, None)
        yield stages


def _rate() -> ProgressColumn:
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.0f}/s" if task.speed else "")

    return Rate()


class _Bars:
    """A bar for the stage that is going on; those before are taken away."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int | None, outcome: str = "") -> None:
        if stage != self._stage:
            for task in self._bar.task_ids:
                self._bar.remove_task(task)
            self._bar.add_task(stage, total=total, outcome=outcome)
            self._stage = stage
        (task,) = self._bar.task_ids
        self._bar.update(task, completed=done, total=total, outcome=outcome)


class _Lines:
    """A line now and then, for logs."""

    def __init__(self) -> None:
        self._told_at = time.monotonic()

    def __call__(self, stage: str, done: int, total: int | None, outcome: str = "") -> None:
        if time.monotonic() - self._told_at < LINE_SECONDS:
            return
        self._told_at = time.monotonic()
        counted = stage if stage == LOADING else f"{stage} {done}" + (f"/{total}" if total else "")
        note(f"{counted}, {outcome}" if outcome else counted, warns=False)
