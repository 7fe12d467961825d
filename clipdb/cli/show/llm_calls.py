"""What verbs print of calls to a language model: before they are made, while they are, and of those that failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clipdb._util.text import escaped
from clipdb.errors import ClipdbError

if TYPE_CHECKING:
    from clipdb.ingest.names.llm.asking import Outcome
    from clipdb.ingest.names.llm.client import Question
    from clipdb.ingest.names.llm.server import Server


def show_calls(index: Path, server: Server, calls: Sequence[tuple[Question[Any], int]], skipped: int) -> None:
    """Print prompts, and what sending them would take.

    Parameters
    ----------
    calls
        Questions, whose keys begin with model, layer and head, and how often each would be asked.
    skipped
        Heads that would not be asked about.
    """
    shown: set[str] = set()
    for question, _ in calls:
        model_id, layer, head, *_ = question.key
        click.echo(f"--- {model_id} L{layer}.H{head}")
        for role, content in question.messages:
            if content not in shown:  # the first message is the same for all heads
                click.echo(escaped(f"[{role}]\n{content}"))
            shown.add(content)
    count = sum(times for _, times in calls)
    tokens = sum(question.tokens * times for question, times in calls)
    click.echo(
        f"{index}: {count} calls of {server.name} at {server.where}, {skipped} heads skipped; "
        f"about {tokens:,} tokens of prompts (a token is taken for 4 characters) "
        f"and at most {count * server.max_tokens:,} of answers. Nothing was sent."
    )


@contextmanager
def llm_progress(what: str) -> Iterator[Callable[[int, int, int], None]]:
    """Show how calls go where stderr is a terminal.

    It gives a function of how many calls have ended well, are made in all, and have failed.
    """
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


def failures(outcome: Outcome, nothing: str) -> str:
    """Return what failed, for the end of a command's last line.

    Parameters
    ----------
    nothing
        What it means where nothing was answered: ``"no head was labelled"``.

    Raises
    ------
    ClipdbError
        If every call failed.
    """
    if outcome.failed and not outcome.answered:
        raise ClipdbError(f"{nothing}, all of {outcome.failed} calls failed; the first: {outcome.reason}")
    if not outcome.failed:
        return ""
    return f" (the first: {outcome.reason}); run the same command again for these"
