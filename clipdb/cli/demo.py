"""`clipdb demo`: the main job on packaged data, offline."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

import clipdb
from clipdb.api.describing import import_torch
from clipdb.errors import ClipdbError

if TYPE_CHECKING:
    from clipdb.demo.scenes import Scene

SEED = 2026
NAME_PAIRS = 10
EFFECT_IMAGES = 4  # effects are measured over one of so many scenes
SHEET = "neighbours.png"

_HEADS = """
Heads, each named by the property that explains most of how its output varies, with the text directions of
largest variance (spans). The packaged model was trained to have heads as clear as these; others are less clear.
"""
_METRICS = """\
Do heads share properties? With few properties and many heads, random names would share as many (chance).
Do a head's descriptions fit its property?
"""
_EFFECTS = """\
How much of the zero-shot accuracy for {target} comes directly from the heads named for it? Accuracy before and
after their contributions are taken away, and after those of as many random heads. These are direct effects.
"""
_CAUSAL = """\
And when the model really runs without these heads (causal)? Later layers make up for part of the loss.
"""
_NAMES = """\
Which names hold? One row per head, of this model and of a second one that was trained without any help to have
clear heads: accuracy in telling the name's values apart that is lost without the head (direct, causal), what moves
the head most in minimal pairs, two scenes that differ in one property (follows, specificity), and whether that is
its name (holds).
"""


@click.command()
@click.argument(
    "folder", metavar="[DIR]", default="clipdb-demo", type=click.Path(path_type=Path, file_okay=False), required=False
)
@click.option(
    "--scenes", type=click.IntRange(min=20), default=400, show_default=True, help="How many scenes to draw at least."
)
@click.option(
    "--pairs",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="How many minimal pairs of each property to draw, too, and test the heads' names by.",
)
@click.option(
    "--names/--no-names",
    default=True,
    show_default=True,
    help="Whether to test the names of this model and of a plainly trained one, in names.clipdb.",
)
def command(folder: Path, scenes: int, pairs: int, names: bool) -> None:
    """Draw scenes, index them with the packaged model, and show what its heads' outputs vary with.

    It needs no network. DIR (default: clipdb-demo) gets scenes/ with their true properties in scenes.csv, the index
    demo.clipdb, a contact sheet of one head's nearest neighbours, and names.clipdb, where heads' names are tested. Run
    again, it computes nothing twice.
    """
    from clipdb import demo
    from clipdb.api.demo_names import add_pairs, tested_names

    import_torch()
    started = time.monotonic()
    drawn, index, added = _build(folder, scenes)
    if pairs:
        add_pairs(index, folder / "pairs", pairs, [demo.MODEL_ID])
    with clipdb.open(index) as db:
        count = db.sql("select count(*) from images where split is distinct from 'pairs'").fetchall()[0][0]
    click.echo(
        f"{index}: {count} scenes " + (f"indexed in {time.monotonic() - started:.0f} s" if added else "are there")
    )
    click.echo(_HEADS)
    _ask(index, "heads", "--limit", "0")
    click.echo(_METRICS)
    _ask(index, "entanglement")
    _ask(index, "association")
    head, image = _a_clear_head(index)
    click.echo(f"Which scenes look most alike to {head}? Also as pictures in {folder / SHEET}:\n")
    _ask(index, "neighbours", "--head", head, "--image", image[:12], "--k", "9", "--sheet", str(folder / SHEET))
    if target := _a_target(index):
        click.echo(_EFFECTS.format(target=target))
        heads = ("--property", target, "--target", target, "--limit", "1")
        _ask(index, "ablate", *heads)
        click.echo(_CAUSAL)
        _show(index, "ablate", *heads, "--mode", "zero", "--control", "0")
    if names:
        click.echo(_NAMES)
        tested = tested_names(folder, drawn, NAME_PAIRS, len(drawn) // EFFECT_IMAGES)
        for model in (demo.PLAIN_ID, demo.MODEL_ID):
            _ask(tested, "tested-names", "--model", model)
    click.echo("Ask more in SQL, for example:\n")
    _ask(
        index,
        "select h.property, h.name, s.text, s.variance_explained from head_properties h join head_spans s "
        "using (model_id, layer, head) where s.rank = 1 order by s.variance_explained desc limit 5",
    )
    click.echo("To ask this index without -i from now on:\n")
    click.echo(f"$ export CLIPDB_INDEX={shlex.quote(str(index.absolute()))}")


def _build(folder: Path, count: int) -> tuple[list[tuple[Path, Scene]], Path, bool]:
    """Draw the scenes and take them through every step of the main job; tell whether anything was missing."""
    from clipdb import demo
    from clipdb.api.demo_names import POOL, store_truth

    try:  # scenes that are there already stay, with what is true of them
        drawn = demo.write_scenes(folder / "scenes", max(count, len([*folder.glob("scenes/scene-*.png")])), SEED)
    except OSError as error:
        raise ClipdbError(f"can't write scenes into {folder}: {error.strerror or error}: choose another DIR") from error
    index = folder / "demo.clipdb"
    counts = clipdb.ingest_images(index, folder / "scenes", model=demo.MODEL_ID)
    with clipdb.open(index) as db:
        unfinished = not db.sql("from judgements limit 1").fetchall()
    missing = bool(counts.added or unfinished)
    if missing:
        store_truth(index, drawn)
        clipdb.span(index, pool=POOL)
        clipdb.label(index, pool=POOL)
        clipdb.judge(index, pool=POOL)
    return drawn, index, missing


def _ask(index: Path, *arguments: str) -> None:
    """Print a query's command and run it."""
    _show(index, "query", *arguments)


def _show(index: Path, *arguments: str) -> None:
    """Print a command and run it."""
    from clipdb.cli import main

    words = [*arguments, "-i", str(index)]
    click.echo(f"$ clipdb {shlex.join(words)}")
    if code := main.main(words, standalone_mode=False):  # Ctrl-C
        click.get_current_context().exit(code)
    click.echo()


def _a_clear_head(index: Path) -> tuple[str, str]:
    """Choose a head to show, one that is named for colour if there is one, and the scene most along its first span."""
    with clipdb.open(index) as db:
        head = db.sql(
            "select name from heads left join head_properties using (model_id, layer, head, name) "
            "order by property = 'colour' desc nulls last, share desc nulls last limit 1"
        ).fetchall()[0][0]
        image = db.sql("select image_id from activating(null, $head, k := 1) limit 1", head=head).fetchall()[0][0]
    return head, image


def _a_target(index: Path) -> str | None:
    """Choose a property of the scenes that heads are named for, which may be none once people have renamed them."""
    with clipdb.open(index) as db:
        named = db.sql(
            "select property_key from head_properties where property_key in "
            "(select unnest(json_keys(metadata)) from images) "
            "order by property_key = 'background' desc, property_key limit 1"
        ).fetchall()
    return str(named[0][0]) if named else None
