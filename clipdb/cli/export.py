"""`clipdb export`: write what others can use."""

from __future__ import annotations

import click

from clipdb.cli.default_group import PathGroup
from clipdb.cli.export_artefact import artefact
from clipdb.cli.export_embeddings import embeddings
from clipdb.cli.export_index import index
from clipdb.cli.export_pages import pages
from clipdb.cli.export_reviews import reviews
from clipdb.cli.export_weights import weights


@click.group(cls=PathGroup, default="artefact", default_if_no_args=False)
def command() -> None:
    """Write what others can use: the index as Parquet files or copied into a store, embeddings, the explorer's
    pages, people's decisions, weights without some heads.

    A word that is no command is a directory to write: `clipdb export heads/` is `clipdb export artefact heads/`.
    """


for part in (artefact, embeddings, index, pages, reviews, weights):
    command.add_command(part)
