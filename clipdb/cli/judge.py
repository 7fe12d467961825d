"""`clipdb judge`: judge how well spans fit the names of heads."""

from __future__ import annotations

from pathlib import Path

import click

from clipdb.cli.common import index_option


@click.command()
@click.option("--judge", type=click.Choice(["vote"]), default="vote", show_default=True, help="Who judges.")
@click.option("--pool", default="general", show_default=True, help="Pool whose spans are judged.")
@click.option("--model", help="Only this model; else all models of the index.")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="Spans a head.")
@index_option
def command(index: Path, judge: str, pool: str, model: str | None, top: int) -> None:
    """Judge whether each head's first spans fit its name.

    vote compares the pool's own tags with the name. It is not independent of names given by vote, and every query that
    shows its verdicts says so.
    """
    from clipdb.ingest.vote import judge_by_vote

    verdicts = judge_by_vote(index, pool, model, top)
    click.echo(f"{index}: {verdicts} verdicts by {judge} (not independent of labels by vote)")
