"""A progress line on stderr, with the rate and the time left; nothing where stderr is no terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clipdb.ingest.images import Counts, Progress


@contextmanager
def ingest_progress() -> Iterator[Progress]:
    """Show how an ingest goes."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from clipdb.ingest.images import Progress

    console = Console(stderr=True)
    columns = (
        TextColumn("images"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("added {task.fields[added]}, skipped {task.fields[skipped]}, failed {task.fields[failed]}"),
    )
    with Bar(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("images", total=None, rate="", added=0, skipped=0, failed=0)

        def total(count: int | None) -> None:
            bar.update(task, total=count)

        def counts(now: Counts) -> None:
            done = now.added + now.skipped + now.failed
            speed = bar.tasks[0].speed
            rate = f"{speed:.0f}/s" if speed else ""
            bar.update(task, completed=done, rate=rate, added=now.added, skipped=now.skipped, failed=now.failed)

        yield Progress(total, counts)
