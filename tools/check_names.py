"""Check names of heads against the truth: which property of a scene, changed alone, moves the head most?

    python tools/train_demo_model.py --out build/plain-101 --seed 101 --clarity 0 --steps 600 --scenes 12000
    python tools/check_names.py build/plain-101/scenes.safetensors    # and any other weights
    python tools/check_names.py                                      # the packaged model, and random weights

The truth is minimal pairs: two scenes of one world that differ in one property, with every random number that decides
the rest the same, and the mean |y1 - y2|^2 of each head over them. Neither the labellers nor the index sees it.
Scenes come from the seed 551234, pairs from 551235, random weights from 3: seeds that no training used.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import open_clip
import torch
from safetensors.torch import save_file

import clipdb
from clipdb.demo import MODEL_CONFIG, WEIGHTS, write_scenes
from clipdb.demo.scenes import PROPERTIES, VALUES, compose, generator, sample
from clipdb.ingest.descriptions.spans import span
from clipdb.ingest.images.image_ingest import ingest_images
from clipdb.ingest.images.image_options import ImageOptions
from clipdb.ingest.names.labellers import vote as by_vote
from clipdb.ingest.names.labellers import zero_shot as by_zero_shot
from clipdb.models.decomposition import Decomposer
from clipdb.models.loading import load
from clipdb.models.model import Model
from clipdb.schema.layer_choice import parse_layers
from clipdb.schema.names import Head

SCENES_SEED, PAIRS_SEED, RANDOM_SEED = 551234, 551235, 3
POOL = "scenes"
PARTS = ("background", "place", "shape", "texture", "style")


@dataclass(frozen=True)
class Names:
    """What the labellers say: of each head the name by vote, the name by zero-shot, and its largest share."""

    vote: dict[Head, str]
    zero_shot: dict[Head, str | None]
    largest: dict[Head, str]


def main() -> None:
    """Print a row of docs/labels.md for each weights file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="*", type=Path, help="Weights of the demo model's architecture.")
    parser.add_argument("--scenes", type=int, default=400, help="Scenes that the index is made of.")
    parser.add_argument("--pairs", type=int, default=70, help="Minimal pairs for each property.")
    arguments = parser.parse_args()
    print(
        "| model | heads | right by vote | largest share right | named by zero-shot | of these right |\n"
        + "|---" * 6
        + "|"
    )
    with tempfile.TemporaryDirectory() as folder:
        write_scenes(Path(folder) / "scenes", arguments.scenes, SCENES_SEED)
        for weights in arguments.weights or [WEIGHTS, random_weights(Path(folder) / "random.safetensors")]:
            names = name_heads(Path(folder), weights)
            truth = most_moved(load("clipdb-tiny/checked", weights, "cpu"), arguments.pairs)
            right = [
                sum(of[head] == truth[head] for head in truth) for of in (names.vote, names.largest, names.zero_shot)
            ]
            named = sum(name is not None for name in names.zero_shot.values())
            about = weights.parent.name if weights.name == WEIGHTS.name else weights.stem
            print(f"| {about} | {len(truth)} | {right[0]} | {right[1]} | {named} | {right[2]} |", flush=True)


def random_weights(path: Path) -> Path:
    """Save weights of the demo model's architecture that were never trained."""
    open_clip.add_model_config(MODEL_CONFIG)
    torch.manual_seed(RANDOM_SEED)
    network = open_clip.create_model("clipdb-tiny", load_weights=False)
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)
    return path


def name_heads(folder: Path, weights: Path) -> Names:
    """Index the scenes of a folder with a model, and have its heads named."""
    index = Path(tempfile.mkdtemp(dir=folder)) / "index.clipdb"
    options = ImageOptions(checkpoint=weights, device="cpu")
    ingest_images(index, [str(folder / "scenes")], "clipdb-tiny/checked", options)
    span(index, POOL, checkpoint=weights, device="cpu")
    by_vote.label(index, POOL)
    by_zero_shot.label(index, POOL)
    with clipdb.open(index) as db:
        labels = db.sql("select layer, head, labeller, property from labels").fetchall()
        scores = db.sql("select layer, head, arg_max(property, share) from label_scores group by all").fetchall()
    vote, zero_shot = (
        {(layer, head): name for layer, head, labeller, name in labels if labeller == by}
        for by in ("vote", "zero-shot")
    )
    return Names(vote, zero_shot, {(layer, head): name for layer, head, name in scores})


def most_moved(model: Model, pairs: int) -> dict[Head, str]:
    """Say for each head of the last four layers which property moves it most when it alone changes."""
    decomposer = Decomposer(model.adapter, parse_layers("last4", model.adapter.layers))
    moved = np.stack([_movement(model, decomposer, name, pairs) for name in PROPERTIES])
    return {head: PROPERTIES[int(moved[:, place].argmax())] for place, head in enumerate(decomposer.bases)}


def _movement(model: Model, decomposer: Decomposer, name: str, pairs: int) -> np.ndarray:
    """Mean squared distance of each head's vectors over pairs of scenes that differ in one property: ``[heads]``."""
    pictures = []
    for index in range(pairs):
        rng = generator(PAIRS_SEED, index)
        scene = sample(rng)
        other = str(rng.choice([value for value in VALUES[name] if value != getattr(scene, name)]))
        for one in (scene, replace(scene, **{name: other})):
            pictures.append(compose(one, lambda part, number, index=index: _stream(index, part, number))[0])  # type: ignore[misc]
    by_layer = decomposer(model.pixels_to_input(torch.from_numpy(np.stack(pictures))))[2]
    vectors = torch.cat(list(by_layer.values()), dim=1).double().numpy()
    vectors = vectors.reshape(pairs, 2, len(decomposer.bases), -1)
    return np.square(vectors[:, 0] - vectors[:, 1]).sum(axis=-1).mean(axis=0)


def _stream(index: int, part: str, number: int) -> np.random.Generator:
    return np.random.default_rng([PAIRS_SEED, index, 1 + PARTS.index(part), number])


if __name__ == "__main__":
    main()
