"""`clipdb models`: what can be ingested, and what has been."""

from __future__ import annotations

from pathlib import Path

import click

from clipdb.cli.options.common import output_options, readable_option
from clipdb.cli.show.form import Output
from clipdb.errors import ClipdbError

_SIZES = ("layers", "heads", "width", "embed_dim", "patch_size", "image_size", "pool_heads")
_COLUMNS = ("model_id", *_SIZES, "family", "kb", "kb_last4", "error", "why_not")
_FIRST = ("model_id", "layers", "heads", "pool_heads", "kb", "error", "images", "why_not")
_SHOWN = (*_FIRST, *(name for name in _COLUMNS if name not in _FIRST))  # a terminal has no room for the last

Row = tuple[str | int | float | None, ...]


@click.command()
@click.argument("word", required=False)
@readable_option
@output_options
def command(word: str | None, index: Path | str, output: Output) -> None:
    """List the models of open_clip, with WORD in their names, and those of the index.

    `layers` and `heads` are those of the trunk, `pool_heads` those of its attention pooling. `kb` is the room that an
    image takes with the heads that `clipdb ingest images` keeps by default, `kb_last4` with those of the last four
    layers. `error` is how far all parts of an embedding, added up, are from the model's own embedding, relative to its
    length: measured on random weights (at most 2 layers), and for a model of the index by its ingest. `why_not` says
    why clipdb can't read a model. An architecture without a slash has no weights in open_clip: give yours with
    --checkpoint. The lines hf:ORG/NAME are the classes of transformers that clipdb reads from the Hub; their sizes are
    the repository's. `images` counts the images that the index holds of a model.
    """
    from clipdb.cli.show.output import write_rows

    rows = {str(row[0]): row for row in _catalogue()}
    held: dict[str, int] = {}
    for row in _in_index(index, held):
        rows[str(row[0])] = (*row[:-2], *rows.get(str(row[0]), (None,) * len(_COLUMNS))[-4:-2], *row[-2:])
    wanted = [(*row, held.get(name)) for name, row in rows.items() if word is None or word.lower() in name.lower()]
    if word is not None and not wanted:
        of_hub = "; of the Hub's it lists classes: `clipdb models hf:`" if ":" in word or "/" in word else ""
        raise ClipdbError(f"no model has {word!r} in its name: `clipdb models` lists all{of_hub}", kind="absent")
    wanted.sort(key=lambda row: (row[-1] is None, row[-2] is not None))
    places = [(*_COLUMNS, "images").index(name) for name in _SHOWN]
    write_rows(_SHOWN, [tuple(row[place] for place in places) for row in wanted], output)


def _catalogue() -> list[Row]:
    import csv
    from importlib.resources import files

    with files("clipdb").joinpath("models/catalogue.csv").open(encoding="utf-8") as file:
        return [
            (
                "/".join(filter(None, (row["arch"], row["pretrained"]))),
                *(int(row[name]) if row[name] else None for name in _SIZES),
                row["family"] or None,
                *(float(row[name]) if row[name] else None for name in ("kb", "kb_last4")),
                max((float(row[name]) for name in ("error", "pool_error") if row[name]), default=None),
                row["why_not"] or None,
            )
            for row in csv.DictReader(file)
        ]


def _in_index(index: Path | str, held: dict[str, int]) -> list[Row]:
    """Read the index's models, if there is an index, and count their images into ``held``."""
    from clipdb.schema import catalog

    if isinstance(index, Path) and not (catalog.exists(index) or catalog.is_artefact(index)):
        return []
    from clipdb.api.opening import open as open_index

    with open_index(index) as opened:
        held |= {model: one.rows for (model, kind), one in opened.vectors.held().items() if kind == "images"}
        columns = f"model_id, {', '.join(_SIZES)}, adapter, reconstruction_error, null"
        return opened.execute(f"select {columns} from models order by model_id").fetchall()
