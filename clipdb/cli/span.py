"""`clipdb span`: find the descriptions that explain each head."""

from __future__ import annotations

from pathlib import Path

import click

from clipdb._util.text import counted
from clipdb.cli.ingest import checkpoint_option
from clipdb.cli.options.common import index_option
from clipdb.cli.options.model_options import device_option
from clipdb.cli.show.messages import say


@click.command()
@click.option("--pool", default="general", show_default=True, help="Pool of descriptions to pick from.")
@click.option("--model", help="Only this model [default: all models of the index].")
@click.option("--count", type=click.IntRange(min=1), default=20, show_default=True, help="Spans per head.")
@checkpoint_option
@device_option
@index_option
def command(index: Path, pool: str, model: str | None, count: int, checkpoint: Path | None, device: str) -> None:
    """Find the descriptions that explain each head (TEXTSPAN, arXiv 2310.05916), over all images of the index.

    Earlier spans of the same model and pool are replaced. The pools general and scenes ship with clipdb; others come
    with `clipdb ingest texts FILE --pool NAME`.
    """
    from clipdb.api.describing import span

    spanned = span(index, pool=pool, model=model, count=count, checkpoint=checkpoint, device=device)
    for model_id, heads in spanned.heads.items():
        say(f"{model_id}: {counted(heads, 'head')} spanned from the pool {pool}")
