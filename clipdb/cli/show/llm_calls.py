"""What verbs print of calls to a language model: before they are made, and of what came of them."""

from __future__ import annotations

from pathlib import Path

import click

from clipdb._util.text import escaped
from clipdb.errors import ClipdbError
from clipdb.ingest.names.llm.outcome import Calls, Outcome


def show_calls(index: Path, calls: Calls, about: str = "heads") -> None:
    """Print prompts, and what sending them would take.

    Parameters
    ----------
    about
        What each question is about, in the plural.
    """
    shown: set[str] = set()
    for question, _ in calls.questions:
        model_id, layer, head, *_ = question.key
        click.echo(f"--- {model_id} L{layer}.H{head}")
        for role, content in question.messages:
            if content not in shown:  # the first message is the same for all heads
                click.echo(escaped(f"[{role}]\n{content}"))
            shown.add(content)
    click.echo(
        f"{index}: {calls.count} calls of {calls.server.name} at {calls.server.where}, "
        f"{calls.skipped} {about} skipped; "
        f"about {calls.prompt_tokens:,} tokens of prompts (a token is taken for 4 characters) "
        f"and at most {calls.answer_tokens:,} of answers. Nothing was sent."
    )


def said(outcome: Outcome, nothing: str) -> str:
    """Return what was skipped and what failed, for the end of a command's last line.

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
    why = f" (the first: {outcome.reason}); run the same command again for these" if outcome.failed else ""
    return f", {outcome.skipped} skipped, {outcome.failed} failed{why}"
