"""`clipdb label`: name the heads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipdb._util.text import counted
from clipdb.api.evidence import EVIDENCE
from clipdb.api.naming import LABELLERS, label
from clipdb.cli.options.common import index_option
from clipdb.cli.options.llm_options import llm_options, need_server, refuse_llm_options
from clipdb.cli.show.llm_calls import said, show_calls
from clipdb.cli.show.messages import say
from clipdb.ingest.names.llm.outcome import Calls, Outcome
from clipdb.plugins import modules

if TYPE_CHECKING:
    from clipdb.ingest.names.llm.server import Server

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option(
    "--labeller",
    type=click.Choice([*modules("labellers", LABELLERS), EVIDENCE, "llm"]),
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

    evidence measures heads against the truth: minimal pairs (`clipdb ingest pairs`) where there are any, else the keys
    of the images' metadata. The attribute that moves a head most, or the key that explains most of its variance,
    names it, with the same margin. Its name goes before all but a person's, and other names are shown as tested: true
    where they agree, else false.

    vote takes the property whose tagged spans explain most of the head's variance. It names every head.

    llm asks a language model on any OpenAI-compatible server, which sees the head's spans. Heads that the same model
    has named from the same prompt and examples are skipped; calls that failed are made again.

    Run again, a head whose label would be the same keeps the one that it has.
    """
    if labeller != "llm":
        refuse_llm_options("--labeller llm", "spans", "vocabulary", "open_naming", "examples", "repeats")
    elif open_naming and vocabulary is not None:
        raise click.UsageError("--open and --vocabulary don't go together: choose one")
    else:
        need_server(server, "--labeller llm")
    done = label(
        index,
        labeller=labeller,
        pool=pool,
        model=model,
        server=server,
        spans=spans,
        vocabulary=vocabulary,
        open_naming=open_naming,
        examples=examples,
        repeats=repeats,
        concurrency=concurrency,
        dry_run=dry_run,
    )
    by = server.name if server else labeller
    if isinstance(done, Calls):
        show_calls(index, done)
    elif isinstance(done, Outcome):
        say(f"{index}: {counted(done.answered, 'head')} labelled by {by}{said(done, 'no head was labelled')}")
    else:
        same = f", {done.same} as before" if done.same else ""
        nameless = f"{done.nameless} {done.nameless_are}"
        say(f"{index}: {counted(done.named, 'head')} labelled by {by}, {nameless}{same}")
