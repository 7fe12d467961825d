"""`clipdb judge`: judge how well spans fit the names of heads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipdb._util.text import counted
from clipdb.api.naming import JUDGES, choose_pool, judge_without_server
from clipdb.cli.options.common import index_option
from clipdb.cli.options.llm_options import llm_options, need_server, refuse_llm_options
from clipdb.cli.show.messages import say
from clipdb.errors import require
from clipdb.plugins import modules

if TYPE_CHECKING:
    from clipdb.ingest.names.llm.server import Server
    from clipdb.ingest.names.named_spans import Judging


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
@llm_options
@index_option
def command(
    index: Path,
    judge: str,
    pool: str | None,
    model: str | None,
    labeller: str,
    top: int,
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
    """
    from clipdb.ingest.names.named_spans import Judging

    if judge != "llm":
        refuse_llm_options("--judge llm")
        judged = judge_without_server(index, judge, pool, model, labeller, top)
        same = f", {judged.same} as before" if judged.same else ""
        note = f" ({judged.note})" if judged.note else ""
        say(f"{index}: {judged.verdicts} verdicts by {judge}{same}{note}")
        return
    require("pydantic", "llm")
    server = need_server(server, "--judge llm")
    judging = Judging(choose_pool(index, pool, model), model, labeller, top)
    if dry_run:
        _show(index, server, judging)
    else:
        _judge(index, server, judging, concurrency)


def _judge(index: Path, server: Server, judging: Judging, concurrency: int) -> None:
    from clipdb.cli.show.llm_calls import failures, llm_progress
    from clipdb.ingest.names.llm.judging import judge_by_llm

    with llm_progress("heads") as progress:
        outcome = judge_by_llm(index, server, judging, concurrency, progress)
    why = failures(outcome, "nothing was judged")
    counts = f"{counted(outcome.answered, 'head')} judged by {server.name} ({counted(outcome.rows, 'verdict')})"
    say(f"{index}: {counts}, {outcome.skipped} skipped, {outcome.failed} failed{why}")


def _show(index: Path, server: Server, judging: Judging) -> None:
    from clipdb.cli.show.llm_calls import show_calls
    from clipdb.ingest.names.llm.judging import answering, plan
    from clipdb.ingest.store.writer import Reader

    todo = plan(Reader(index), judging, server.name)
    show_calls(index, answering(server, judging), [(question, 1) for question in todo.questions], todo.heads)
