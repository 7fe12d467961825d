"""`clipdb import`: bring in what others made."""

from __future__ import annotations

import click

from clipdb.cli.default_group import PathGroup
from clipdb.cli.import_artefact import artefact
from clipdb.cli.import_published import labels, spans
from clipdb.cli.import_reviews import reviews


@click.group(cls=PathGroup, default="artefact", default_if_no_args=False)
def command() -> None:
    """Bring in what others made: an artefact, published spans and names, people's decisions.

    A word that is no command is an artefact's directory: `clipdb import heads/` is `clipdb import artefact heads/`.
    """


for part in (artefact, spans, labels, reviews):
    command.add_command(part)
