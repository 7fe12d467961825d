"""`clipdb demo`: the main job on packaged data, offline."""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

import clipdb
from clipdb.cli.ingest import import_torch
from clipdb.errors import ClipdbError

if TYPE_CHECKING:
    from clipdb.demo.scenes import Scene

POOL = "scenes"
SEED = 2026
SHEET = "neighbours.png"


@click.command()
@click.argument(
    "folder", metavar="[DIR]", default="clipdb-demo", type=click.Path(path_type=Path, file_okay=False), required=False
)
@click.option(
    "--scenes", type=click.IntRange(min=20), default=400, show_default=True, help="How many scenes to draw at least."
)
def command(folder: Path, scenes: int) -> None:
    """Draw scenes, index them with the packaged model, and show what its heads respond to.

    It needs no network. DIR (clipdb-demo where it is not given) gets scenes/ with their true properties, the index
    demo.clipdb, and a contact sheet of one head's nearest neighbours. Run again, it computes nothing twice.
    """
    import_torch()
    started = time.monotonic()
    index = _build(folder, scenes)
    with clipdb.open(index) as db:
        count = db.sql("select count(*) from images").fetchall()[0][0]
    click.echo(f"{index}: {count} scenes indexed in {time.monotonic() - started:.0f} s\n")
    click.echo("Heads, named by the descriptions that explain most of what they write:\n")
    _ask(index, "heads", "--limit", "0")
    click.echo("Do heads share properties? Do a head's descriptions fit its property?\n")
    _ask(index, "entanglement")
    _ask(index, "association")
    head, image = _a_clear_head(index)
    click.echo(f"What does {head} hold to be alike? Its nearest neighbours, also as pictures in {folder / SHEET}:\n")
    _ask(index, "neighbours", "--head", head, "--image", image[:12], "--k", "9", "--sheet", str(folder / SHEET))
    click.echo(
        "Do heads named for a property matter for it? Accuracy without them, and without as many random heads:\n"
    )
    _ask(index, "ablate", "--property", "background", "--target", "background", "--limit", "1")
    click.echo("Ask on in SQL, for example:\n")
    _ask(
        index,
        "select h.property, h.name, s.text, s.variance_explained from head_properties h join spans s "
        "using (model_id, layer, head, pool) where s.rank = 1 order by s.variance_explained desc limit 5",
    )


def _build(folder: Path, count: int) -> Path:
    """Draw the scenes and take them through every step of the main job."""
    from clipdb import demo
    from clipdb.cli.progress import ingest_progress
    from clipdb.ingest.images import ingest_images
    from clipdb.ingest.spans import span
    from clipdb.ingest.vote import judge_by_vote, label_by_vote

    try:  # scenes that are there already stay, with what is true of them
        drawn = demo.write_scenes(folder / "scenes", max(count, len([*folder.glob("scenes/scene-*.png")])), SEED)
    except OSError as error:
        raise ClipdbError(f"can't write scenes into {folder}: {error.strerror or error}: choose another DIR") from error
    index = folder / "demo.clipdb"
    with ingest_progress() as progress:
        counts = ingest_images(index, [str(folder / "scenes")], demo.MODEL_ID, progress=progress)
    with clipdb.open(index) as db:
        unfinished = not db.sql("from judgements limit 1").fetchall()
    if counts.added or unfinished:
        _store_truth(index, drawn)
        span(index, POOL)
        label_by_vote(index, POOL)
        judge_by_vote(index, POOL)
    return index


def _store_truth(index: Path, drawn: list[tuple[Path, Scene]]) -> None:
    """Keep what each scene shows in ``images.metadata``, so that a person can check the heads in SQL."""
    import hashlib

    from clipdb.ingest.writer import Writer

    truth = [(json.dumps(asdict(scene)), hashlib.sha256(path.read_bytes()).hexdigest()) for path, scene in drawn]
    with Writer(index, "demo", {"scenes": len(drawn)}) as writer, writer.transaction() as connection:
        connection.executemany("update images set metadata = ? where image_id = ?", truth)


def _ask(index: Path, *arguments: str) -> None:
    """Print a query's command and run it."""
    from clipdb.cli.query import command as query

    words = [*arguments, "-i", str(index)]
    click.echo(f"$ clipdb query {shlex.join(words)}")
    names = click.get_current_context().help_option_names
    if code := query.main(words, standalone_mode=False, help_option_names=names):  # Ctrl-C
        click.get_current_context().exit(code)
    click.echo()


def _a_clear_head(index: Path) -> tuple[str, str]:
    """Choose a head to show, by preference one that is named for colour, and the scene that it responds to most."""
    with clipdb.open(index) as db:
        head = db.sql(
            "select name from head_properties order by property = 'colour' desc, confidence desc limit 1"
        ).fetchall()[0][0]
        image = db.sql("select image_id from activating(null, $head, k := 1) limit 1", head=head).fetchall()[0][0]
    return head, image
