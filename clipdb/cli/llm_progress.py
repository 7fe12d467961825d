"""A progress line on stderr of calls to a language model; nothing where stderr is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def llm_progress(what: str) -> Iterator[Callable[[int, int, int], None]]:
    """Show how calls go: give a function of how many have ended well, are made in all, and have failed."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    failures = TextColumn("failed {task.fields[failed]}")
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), failures)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None, failed=0)

        def show(well: int, total: int, failed: int) -> None:
            bar.update(task, total=total, completed=well + failed, failed=failed)

        yield show
