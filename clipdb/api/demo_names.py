"""The index in which `clipdb demo` puts the names of two models' heads to the test."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clipdb.api.ablating import ablate
from clipdb.api.describing import ingest_images
from clipdb.api.naming import label
from clipdb.api.opening import open as open_index
from clipdb.api.pairing import ingest_pairs
from clipdb.api.spanning import span

if TYPE_CHECKING:
    from clipdb.demo.scenes import Scene

POOL: Final = "scenes"
PAIRS_SEED: Final = 2027

_SET_TRUTH = """
update images set metadata = truth.metadata
from (select unnest(?::varchar[]) as image_id, unnest(?::varchar[]) as metadata) as truth
where truth.image_id = images.image_id
"""
_UNMEASURED = """
select model_id, property_key, list(name order by layer, head)
from head_properties(left_out := 'evidence')
where labeller in ('zero-shot', 'vote')
    and (model_id, name, property_key) not in (select (model_id, ablated, target) from effects)
group by all order by all
"""


def tested_names(folder: Path, drawn: Sequence[tuple[Path, Scene]], pairs: int, images: int) -> Path:
    """Name the heads of the readable and the plain model over scenes, and measure what the names are worth.

    What is there already isn't computed again.

    Parameters
    ----------
    folder
        Of the demo: its scenes are in ``scenes``, and its index is ``demo.clipdb``; it gets ``name-pairs`` and
        ``names.clipdb``, which begins as a copy of that index if it has no pairs.
    drawn
        The scenes, as `clipdb.demo.write_scenes` gives them.
    pairs
        How many minimal pairs of each property to draw.
    images
        Over how many of the scenes effects are measured.

    Returns
    -------
    pathlib.Path
        The index.
    """
    from clipdb import demo

    index = folder / "names.clipdb"
    models = (demo.MODEL_ID, demo.PLAIN_ID)
    if not index.exists():
        _begin(index, folder / "demo.clipdb")
    added = any(ingest_images(index, folder / "scenes", model=model).added for model in models)
    with open_index(index) as db:
        paired = db.sql("from images where split = 'pairs' limit 1").fetchall()
        tested = db.sql("from labels where labeller = 'evidence' limit 1").fetchall()
    if added or not paired:  # spans, names and effects stand on the scenes alone: pairs come after them
        store_truth(index, drawn)
        span(index, pool=POOL)
        for labeller in ("zero-shot", "vote"):
            label(index, labeller=labeller, pool=POOL)
        measure_effects(index, images)
    if added or not tested:
        add_pairs(index, folder / "name-pairs", pairs, models)
    return index


def measure_effects(index: Path, images: int) -> None:
    """Measure for each named head what zero-shot classification by its property loses without it."""
    from clipdb.demo.captions import PHRASES

    with open_index(index) as db:
        for model, name, heads in db.sql(_UNMEASURED).fetchall():
            template = PHRASES[name][0].format(v="{}", n="objects")  # as in the cards of the models
            ablate(db, heads=heads, each=True, target=name, template=template, images=images, model=model)


def _begin(index: Path, made: Path) -> None:
    """Begin as a copy of an index of the scenes alone, which saves indexing them with the same model again."""
    with open_index(made) as db:
        if db.sql("from pairs limit 1").fetchall():
            return
        copying = made.with_name(f".{index.name}")
        shutil.rmtree(copying, ignore_errors=True)  # what a run that was killed left
        shutil.copytree(made, copying, symlinks=True)
    copying.rename(index)


def add_pairs(index: Path, folder: Path, count: int, models: Sequence[str]) -> None:
    """Draw minimal pairs of each property into an index, and let the labeller evidence name its heads by them."""
    from clipdb import demo

    drawn = demo.write_pairs(folder, count, PAIRS_SEED)
    for model in models:
        ingest_images(index, folder, model=model, split="pairs")
    store_truth(index, drawn)
    ingest_pairs(index, folder / demo.PAIRS)
    label(index, labeller="evidence")


def store_truth(index: Path, drawn: Sequence[tuple[Path, Scene]]) -> None:
    """Keep what each scene shows in ``images.metadata``, so that a person can check the heads in SQL."""
    import hashlib

    from clipdb.ingest.store.writer import Writer

    truth = [
        [hashlib.sha256(path.read_bytes()).hexdigest() for path, _ in drawn],
        [json.dumps(asdict(scene)) for _, scene in drawn],
    ]
    with Writer(index, "demo", {"scenes": len(drawn)}) as writer, writer.transaction() as connection:
        connection.execute(_SET_TRUTH, truth)
