"""`clipdb label`: name the heads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipdb._util.text import counted
from clipdb.api.naming import LABELLERS, choose_pool, label_without_server
from clipdb.cli.options.common import index_option
from clipdb.cli.options.llm_options import llm_options, need_server, refuse_llm_options
from clipdb.cli.show.messages import say
from clipdb.errors import require
from clipdb.plugins import modules

if TYPE_CHECKING:
    from clipdb.ingest.names.llm.naming import Naming
    from clipdb.ingest.names.llm.server import Server

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option(
    "--labeller",
    type=click.Choice([*modules("labellers", LABELLERS), "llm"]),
    default="zero-shot",
    show_default=True,
    help="Who names.",
)
@click.option("--pool", help="Pool whose descriptions or spans name the heads [default: the pool that has spans].")
@click.option("--model", help="Only this model's heads [default: all models of the index].")
@click.option(
    "--spans", type=click.IntRange(1, 100), default=10, show_default=True, help="For llm: spans shown of each head."
)
@click.option(
    "--vocabulary",
    type=_FILE,
    metavar="FILE",
    help="For llm: a file with one property per line [default: the pool's own properties].",
)
@click.option("--open", "open_naming", is_flag=True, help="For llm: let the model name heads in its own words.")
@click.option(
    "--examples", type=_FILE, metavar="FILE", help="For llm: well-named heads, JSON [default: those that ship]."
)
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
    pool: str | None,
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
    """Name the heads.

    zero-shot takes the property that explains most of how a head's output varies: every image gets the description of
    the property that its whole embedding is nearest to, and the share of the head's variance that lies between these
    groups is compared over the pool's properties. A head gets no name where the largest share is under 1.3 times the
    second, or no more than chance. It needs stored vectors only; see `clipdb query label-scores` for all shares.

    vote takes the property whose tagged spans explain most of the head's variance. It names every head.

    llm asks a language model on any OpenAI-compatible server, which sees the head's spans. Heads that the same model
    has named from the same prompt and examples are skipped; calls that failed are made again.

    Run again, a head whose label would be the same keeps the one that it has.
    """
    if labeller != "llm":
        refuse_llm_options("--labeller llm", "spans", "vocabulary", "open_naming", "examples", "repeats")
        _measure(index, labeller, pool, model)
        return
    if open_naming and vocabulary is not None:
        raise click.UsageError("--open and --vocabulary don't go together: choose one")
    require("pydantic", "llm")
    from clipdb.ingest.names.llm.examples import SHIPPED
    from clipdb.ingest.names.llm.naming import Naming

    pool = choose_pool(index, pool, model)
    naming = Naming(pool, model, spans, vocabulary, open_naming, examples or SHIPPED)
    server = need_server(server, "--labeller llm")
    if dry_run:
        _show(index, server, naming, repeats)
    else:
        _label(index, server, naming, concurrency, repeats)


def _measure(index: Path, labeller: str, pool: str | None, model: str | None) -> None:
    labelled = label_without_server(index, labeller, pool, model)
    same = f", {labelled.same} as before" if labelled.same else ""
    nameless = f"{labelled.nameless} {labelled.nameless_are}"
    say(f"{index}: {counted(labelled.named, 'head')} labelled by {labeller}, {nameless}{same}")


def _label(index: Path, server: Server, naming: Naming, concurrency: int, repeats: int) -> None:
    from clipdb.cli.show.llm_calls import failures, llm_progress
    from clipdb.ingest.names.llm.naming import label_by_llm

    with llm_progress("heads") as progress:
        outcome = label_by_llm(index, server, naming, concurrency, repeats, progress)
    why = failures(outcome, "no head was labelled")
    labelled = f"{counted(outcome.answered, 'head')} labelled by {server.name}"
    counts = f"{labelled}, {outcome.skipped} skipped, {outcome.failed} failed"
    say(f"{index}: {counts}{why}")


def _show(index: Path, server: Server, naming: Naming, repeats: int) -> None:
    from clipdb.cli.show.llm_calls import show_calls
    from clipdb.ingest.names.llm.naming import plan
    from clipdb.ingest.store.writer import Reader

    heads = plan(Reader(index), naming, server.name)
    missing = heads.missing(repeats)
    calls = [(question, repeats - answers) for question, answers in missing]
    show_calls(index, server, calls, len(heads.questions) - len(missing))
