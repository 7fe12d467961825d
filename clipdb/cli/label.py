"""`clipdb label`: name the heads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipdb.cli.common import index_option, say
from clipdb.cli.llm_options import llm_options, need_server, refuse_llm_options
from clipdb.errors import require

if TYPE_CHECKING:
    from clipdb.ingest.llm.client import Server
    from clipdb.ingest.llm.label import Naming

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--labeller", type=click.Choice(["vote", "llm"]), default="vote", show_default=True, help="Who names.")
@click.option("--pool", default="general", show_default=True, help="Pool whose spans are named.")
@click.option("--model", help="Only this model's heads; else those of all models of the index.")
@click.option(
    "--spans", type=click.IntRange(1, 100), default=10, show_default=True, help="For llm: spans shown of each head."
)
@click.option(
    "--vocabulary", type=_FILE, metavar="FILE", help="For llm: a property a line; else the pool's own properties."
)
@click.option("--open", "open_naming", is_flag=True, help="For llm: let the model name heads in its own words.")
@click.option("--examples", type=_FILE, metavar="FILE", help="For llm: well-named heads, JSON; else those that ship.")
@click.option(
    "--repeats",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="For llm: answers that each head is to have, each with a seed of its own.",
)
@llm_options
@index_option
def command(
    index: Path,
    labeller: str,
    pool: str,
    model: str | None,
    spans: int,
    vocabulary: Path | None,
    open_naming: bool,
    examples: Path | None,
    repeats: int,
    server: Server | None,
    concurrency: int,
    dry_run: bool,
) -> None:
    """Name each head by its spans.

    vote takes the property whose tagged spans explain most of the head's variance; it needs no network.

    llm asks a language model on any OpenAI-compatible server. Heads that the same model has named from the same prompt
    and examples are skipped; calls that failed are made again.
    """
    if labeller == "vote":
        refuse_llm_options("--labeller llm", "spans", "vocabulary", "open_naming", "examples", "repeats")
        from clipdb.ingest.vote import label_by_vote

        labelled, untagged = label_by_vote(index, pool, model)
        say(f"{index}: {labelled} heads labelled by vote, {untagged} without a tagged span")
        return
    if open_naming and vocabulary is not None:
        raise click.UsageError("--open and --vocabulary don't go together: choose one")
    require("pydantic", "llm")
    from clipdb.ingest.llm.examples import SHIPPED
    from clipdb.ingest.llm.label import Naming

    naming = Naming(pool, model, spans, vocabulary, open_naming, examples or SHIPPED)
    server = need_server(server, "--labeller llm")
    if dry_run:
        _show(index, server, naming, repeats)
    else:
        _label(index, server, naming, concurrency, repeats)


def _label(index: Path, server: Server, naming: Naming, concurrency: int, repeats: int) -> None:
    from clipdb.cli.llm_calls import failures, llm_progress
    from clipdb.ingest.llm.label import label_by_llm

    with llm_progress("heads") as progress:
        outcome = label_by_llm(index, server, naming, concurrency, repeats, progress)
    why = failures(outcome, "no head was labelled")
    counts = f"{outcome.answered} heads labelled by {server.name}, {outcome.skipped} skipped, {outcome.failed} failed"
    say(f"{index}: {counts}{why}")


def _show(index: Path, server: Server, naming: Naming, repeats: int) -> None:
    from clipdb.cli.llm_calls import show_calls
    from clipdb.ingest.llm.label import plan
    from clipdb.ingest.writer import Reader

    heads = plan(Reader(index), naming, server.name)
    missing = heads.missing(repeats)
    calls = [(question, repeats - answers) for question, answers in missing]
    show_calls(index, server, calls, len(heads.questions) - len(missing))
