"""`clipdb serve`: the explorer."""

from __future__ import annotations

from pathlib import Path

import click

from clipdb.cli.options.common import queries_option, readable_option
from clipdb.cli.options.model_options import device_option, weights_option
from clipdb.cli.show.messages import say
from clipdb.explorer.access import FEATURES
from clipdb.explorer.serving import PORT, open_in_browser, serve


@click.command()
@readable_option
@click.option(
    "--port", "-p", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 takes a free one."
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen at; whoever reaches it may read all of the index.",
)
@click.option(
    "--allow-host", "allow_hosts", multiple=True, metavar="NAME", help="A name under which browsers may reach it, too."
)
@click.option(
    "--public",
    is_flag=True,
    help="For an explorer that anybody may visit: no SQL, no pictures of their own, no decisions, and the folders of "
    "files are hidden.",
)
@click.option(
    "--allow",
    type=click.Choice(list(FEATURES)),
    multiple=True,
    help="With --public: what visitors may do all the same; more than one may be given.",
)
@click.option("--reviewer", metavar="NAME", help="Let NAME decide on names, at /review.")
@queries_option(", each of which gets a page")
@click.option("--open", "opening", is_flag=True, help="Open it in the browser.")
@device_option
@weights_option
def command(
    index: Path | str,
    port: int,
    host: str,
    allow_hosts: tuple[str, ...],
    public: bool,
    allow: tuple[str, ...],
    reviewer: str | None,
    queries: tuple[Path, ...],
    opening: bool,
    device: str,
    checkpoint: Path | None,
) -> None:
    """Open the explorer: an index, or an export of one, as pages in a browser.

    Find the head for any words, see what it varies with, follow an image through heads, understand a score, segment,
    and ask in SQL. Every page shows the command and the SQL that give the same. It writes nothing but the decisions
    of --reviewer, and runs until Ctrl-C.
    """

    def ready(url: str) -> None:
        say(f"{index} at {url}  (Ctrl-C stops it)")
        if opening:
            open_in_browser(url)

    serve(
        index,
        host=host,
        port=port,
        allow_hosts=allow_hosts,
        public=public,
        allow=allow,
        reviewer=reviewer,
        queries=queries,
        device=device,
        checkpoint=checkpoint,
        ready=ready,
    )
