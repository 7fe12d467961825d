"""`clipdb models`: what can be ingested, and what has been."""

from __future__ import annotations

from pathlib import Path

import click

from clipdb.cli.options.common import output_options, readable_option
from clipdb.cli.show.form import Output
from clipdb.errors import ClipdbError

_COLUMNS = ("model_id", "layers", "heads", "width", "embed_dim", "patch_size", "image_size")


@click.command()
@click.argument("word", required=False)
@readable_option
@output_options
def command(word: str | None, index: Path | str, output: Output) -> None:
    """List the models that can be ingested, with WORD in their names.

    `images` counts the images that the index holds of a model; it is empty where the model is not in the index. Models
    that came from a checkpoint of your own are listed too.
    """
    from clipdb.cli.show.output import write_rows

    rows = {str(row[0]): row for row in _catalogue()}
    held: dict[str, int] = {}
    for row in _in_index(index, held):
        rows.setdefault(str(row[0]), row)
    wanted = [(*row, held.get(name)) for name, row in rows.items() if word is None or word.lower() in name.lower()]
    if word is not None and not wanted:
        raise ClipdbError(f"no model has {word!r} in its name: `clipdb models` lists all", kind="absent")
    write_rows((*_COLUMNS, "images"), sorted(wanted, key=lambda row: row[-1] is None), output)


def _catalogue() -> list[tuple[str | int | None, ...]]:
    import csv
    from importlib.resources import files

    with files("clipdb").joinpath("models/catalogue.csv").open(encoding="utf-8") as file:
        return [
            (f"{row['arch']}/{row['pretrained']}", *(int(row[name]) if row[name] else None for name in _COLUMNS[1:]))
            for row in csv.DictReader(file)
        ]


def _in_index(index: Path | str, held: dict[str, int]) -> list[tuple[str | int | None, ...]]:
    """Read the index's models, if there is an index, and count their images into ``held``."""
    from clipdb.schema import catalog

    if isinstance(index, Path) and not (catalog.exists(index) or catalog.is_artefact(index)):
        return []
    from clipdb.api.opening import open as open_index

    with open_index(index) as opened:
        held |= {model: one.rows for (model, kind), one in opened.vectors.held().items() if kind == "images"}
        return opened.execute(f"select {', '.join(_COLUMNS)} from models order by model_id").fetchall()
