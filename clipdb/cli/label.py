"""`clipdb label`: name the heads."""

from __future__ import annotations

from pathlib import Path

import click

from clipdb.cli.common import index_option


@click.command()
@click.option("--labeller", type=click.Choice(["vote"]), default="vote", show_default=True, help="Who names.")
@click.option("--pool", default="general", show_default=True, help="Pool whose spans are named.")
@click.option("--model", help="Only this model; else all models of the index.")
@index_option
def command(index: Path, labeller: str, pool: str, model: str | None) -> None:
    """Name each head by its spans.

    vote takes the property whose tagged spans explain most of the head's variance; it needs no network.
    """
    from clipdb.ingest.vote import label_by_vote

    labelled, untagged = label_by_vote(index, pool, model)
    click.echo(f"{index}: {labelled} heads labelled by {labeller}, {untagged} without a tagged span")
