"""`clipdb mcp`: an index for assistants."""

from __future__ import annotations

from pathlib import Path

import click

from clipdb.cli.options.common import queries_option, readable_option
from clipdb.cli.options.model_options import device_option, weights_option
from clipdb.explorer.assistant import serve_assistant


@click.command()
@readable_option
@queries_option(", each of which is a tool")
@device_option
@weights_option
def command(index: Path | str, queries: tuple[Path, ...], device: str, checkpoint: Path | None) -> None:
    """Let an assistant ask an index, over the Model Context Protocol.

    An assistant starts this itself, and talks to it on standard input and output: docs/explorer.md has the lines for
    its configuration. Each named query is a tool, and SQL is one that runs apart. It only reads.
    """
    serve_assistant(index, queries, device, checkpoint)
