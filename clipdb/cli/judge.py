"""`clipdb judge`: judge how well spans fit the names of heads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipdb._util.text import counted
from clipdb.api.naming import JUDGES, PAIRS
from clipdb.api.naming import judge as give_verdicts
from clipdb.cli.options.common import index_option
from clipdb.cli.options.llm_options import llm_options, need_server, refuse_llm_options
from clipdb.cli.show.llm_calls import said, show_calls
from clipdb.cli.show.messages import say
from clipdb.ingest.names.llm.outcome import Calls, Outcome
from clipdb.plugins import modules

if TYPE_CHECKING:
    from clipdb.ingest.names.llm.server import Server


@click.command()
@click.option(
    "--judge",
    type=click.Choice([*modules("judges", JUDGES), "llm"]),
    default="vote",
    show_default=True,
    help="Who judges.",
)
@click.option("--pool", help="Pool whose spans are judged [default: the pool that has spans].")
@click.option("--model", help="Only this model [default: all models of the index].")
@click.option(
    "--labeller",
    default="current",
    show_default=True,
    metavar="NAME",
    help="Whose names are judged: zero-shot, vote, llm:MODEL, human:NAME or import:SOURCE; "
    "current for those that count now.",
)
@click.option("--top", type=click.IntRange(1, 100), default=5, show_default=True, help="Spans per head.")
@click.option(
    "--chance",
    is_flag=True,
    help="For llm: ask about the other heads' names, too, so that it is known what shuffled names would give.",
)
@llm_options
@index_option
def command(
    index: Path,
    judge: str,
    pool: str | None,
    model: str | None,
    labeller: str,
    top: int,
    chance: bool,
    server: Server | None,
    concurrency: int,
    dry_run: bool,
) -> None:
    """Judge whether each head's first spans fit its name.

    vote compares the pool's own tags with the name. It is not independent of names given by zero-shot or vote, which
    use the same tags, and every query that shows its verdicts says so. Verdicts given before are not given again.

    A head that its labeller left without a name has nothing to judge.

    llm asks a language model on any OpenAI-compatible server, once per head; it isn't told who gave the name. Spans on
    which the same model has a verdict from the same prompt are skipped; calls that failed are made again.

    With --chance it is asked about each head with every name that the heads of its model carry, trunk and pooling
    apart: heads x names calls, which --dry-run counts. Then `clipdb query association` has its chance, the share of
    heads that would fit if names were shuffled. These verdicts count for nothing else.
    """
    if judge != "llm":
        refuse_llm_options("--judge llm")
    else:
        need_server(server, "--judge llm")
    done = give_verdicts(
        index,
        judge=judge,
        pool=pool,
        model=model,
        labeller=labeller,
        top=top,
        chance=chance,
        server=server,
        concurrency=concurrency,
        dry_run=dry_run,
    )
    by = server.name if server else judge
    if isinstance(done, Calls):
        show_calls(index, done, PAIRS if chance else "heads")
    elif isinstance(done, Outcome):
        asked = counted(done.answered, *(("pair of a head and a name", PAIRS) if chance else ("head",)))
        judged = f"{asked} judged by {by} ({counted(done.rows, 'verdict')})"
        say(f"{index}: {judged}{said(done, 'nothing was judged')}")
    else:
        same = f", {done.same} as before" if done.same else ""
        note = f" ({done.note})" if done.note else ""
        say(f"{index}: {done.verdicts} verdicts by {by}{same}{note}")
