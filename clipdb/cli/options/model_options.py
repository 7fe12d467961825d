"""Options of verbs that may run a model of the index on what it lacks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

device_option = click.option(
    "--device", default="auto", show_default=True, help="auto (a GPU where there is one), cpu, cuda, cuda:1, mps."
)

_F = TypeVar("_F", bound=Callable[..., Any])

weights_option = click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    help="The model's weights, if they were ingested from a file (of transformers: a folder) that is elsewhere now.",
)


def model_options(function: _F) -> _F:
    """Add ``--model`` to a command, ``--device`` and ``--checkpoint``, which its function takes by these names."""
    help = "The model; may be left out where the index has one."
    return click.option("--model", metavar="MODEL", help=help)(device_option(weights_option(function)))
