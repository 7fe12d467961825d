"""The offline demo: a tiny CLIP and the scenes that it was trained on.

Importing this package loads neither torch nor pillow.
"""

from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .scenes import Scene

MODEL_ID: Final = "clipdb-tiny/scenes"
"""The demo model's name: architecture and weights, as open_clip spells them."""

MODEL_CONFIG: Final = Path(__file__).parent / "model" / "clipdb-tiny.json"
"""The architecture, for `open_clip.add_model_config`."""

WEIGHTS: Final = Path(__file__).parent / "model" / "scenes.safetensors"
"""The weights: a plain open_clip state dict in float16."""

FINE_TUNED_ID: Final = "clipdb-tiny/colour-blind"
"""The name of a fine-tune of it, whose image tower was trained on so that it no longer tells colours."""

PLAIN_ID: Final = "clipdb-tiny/plain"
"""The name of a model of the same architecture that was trained with CLIP's loss alone: its heads are less clear."""

PACKAGED: Final = {
    MODEL_ID: WEIGHTS,
    FINE_TUNED_ID: WEIGHTS.with_name("colour-blind.safetensors"),
    PLAIN_ID: WEIGHTS.with_name("plain.safetensors"),
}
"""The weights of each packaged model, of one architecture."""

GROUND_TRUTH: Final = "scenes.csv"
"""Name of the table of properties that `write_scenes` leaves beside the pictures."""


def write_scenes(folder: Path, count: int, seed: int) -> list[tuple[Path, Scene]]:
    """Write pictures of random scenes, and a table of what they show.

    Parameters
    ----------
    folder
        Where to write ``scene-00000.png`` and so on, and ``scenes.csv``; made if it does not exist. Files of these
        names are replaced.
    count
        Number of scenes.
    seed
        Decides the scenes: the same seed gives the same pictures, and a longer run begins with the shorter one.

    Returns
    -------
    list of (path of the picture, what it shows), in order.

    Raises
    ------
    MissingExtra
        When pillow is not installed.
    """
    from clipdb.errors import require

    require("PIL", "ingest")
    from .scenes import PROPERTIES, generator, render, sample

    folder.mkdir(parents=True, exist_ok=True)
    written: list[tuple[Path, Scene]] = []
    with (folder / GROUND_TRUTH).open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ["file", *PROPERTIES])
        table.writeheader()
        for index in range(count):
            rng = generator(seed, index)
            scene = sample(rng)
            path = folder / f"scene-{index:05d}.png"
            render(scene, rng).save(path)
            table.writerow({"file": path.name, **asdict(scene)})
            written.append((path, scene))
    return written


PAIRS: Final = "pairs.csv"
"""Name of the table that `write_pairs` leaves beside the pictures, as `clipdb ingest pairs` takes it."""


def write_pairs(folder: Path, count: int, seed: int) -> list[tuple[Path, Scene]]:
    """Write minimal pairs: two scenes that differ in one property, with all random numbers of the rest the same.

    Parameters
    ----------
    folder
        Where to write ``pair-000.png``, ``pair-000-colour.png`` and so on, and ``pairs.csv``; made if it doesn't exist.
    count
        Pairs for each property.
    seed
        Decides the scenes, as in `write_scenes`.

    Returns
    -------
    list of (path of the picture, what it shows), in order.

    Raises
    ------
    MissingExtra
        When pillow is not installed.
    """
    from clipdb.errors import require

    require("PIL", "ingest")
    from .minimal_pairs import draw_pairs

    folder.mkdir(parents=True, exist_ok=True)
    written: list[tuple[Path, Scene]] = []
    with (folder / PAIRS).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["image_a", "image_b", "attribute", "value_a", "value_b"])
        for name, index, pair in draw_pairs(count, seed):
            paths = [folder / f"pair-{index:03d}{changed}.png" for changed in ("", f"-{name}")]
            for path, (scene, picture) in zip(paths, pair, strict=True):
                picture.save(path)
                written.append((path, scene))
            table.writerow([*(path.name for path in paths), name, *(getattr(scene, name) for scene, _ in pair)])
    return written
