"""Measure the demo model on scenes that it never saw, with clipdb's own code."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clipdb._util.textspan import textspan
from clipdb.demo import MODEL_ID
from clipdb.demo.captions import full_caption, phrase, scene_pool
from clipdb.demo.scenes import PROPERTIES, VALUES, Scene, draw, generator, sample
from clipdb.ingest.store.moments import Moments
from clipdb.models.decomposition import Decomposer
from clipdb.models.loading import load
from clipdb.models.model import Model

HELD_OUT_SEED = 90001
SPANS = 20
LAST_LAYERS = 4
NEIGHBOURS = 8


@dataclass(frozen=True)
class Head:
    """What one head turned out to do.

    Attributes
    ----------
    spans_property, spans_share
        The property whose descriptions carry most of the variance that TEXTSPAN explained, and their share of it.
    scenes_property, scenes_share
        The property that explains most of the head's variance over the scenes, and the share of the total variance
        that lies between its values.
    """

    name: str
    spans_property: str
    spans_share: float
    scenes_property: str
    scenes_share: float


@dataclass(frozen=True)
class Neighbours:
    """How often a head's nearest scenes share a property, against how often any two scenes do."""

    head: str
    precision: float
    base_rate: float


@dataclass(frozen=True)
class Evaluation:
    """All that the model card states, and the weights that it is true of."""

    weights_sha256: str
    scenes: int
    seed: int
    zero_shot: dict[str, float]
    mean_zero_shot: float
    caption_recall_at_1: float
    captions: int
    agreeing_heads: int
    heads: list[Head]
    neighbours: dict[str, Neighbours]

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for a JSON file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Evaluation:
        """Read what `to_dict` gave."""
        heads = [Head(**head) for head in values["heads"]]
        neighbours = {name: Neighbours(**found) for name, found in values["neighbours"].items()}
        return cls(**values | {"heads": heads, "neighbours": neighbours})


@dataclass(frozen=True)
class _Measured:
    scenes: list[Scene]
    labels: np.ndarray
    embeddings: np.ndarray
    heads: np.ndarray


def evaluate(weights: Path, count: int = 1500, seed: int = HELD_OUT_SEED) -> Evaluation:
    """Measure a weights file on `count` scenes of the world `seed`, which training never used."""
    model = load(f"{MODEL_ID.split('/')[0]}/evaluated", weights, "cpu")
    layers = range(model.adapter.layers - LAST_LAYERS, model.adapter.layers)
    decomposer = Decomposer(model.adapter, layers)
    measured = _measure(model, decomposer, count, seed)
    zero_shot = _zero_shot(model, measured)
    heads, shares = _heads(model, decomposer, measured)
    asked = min(1000, count)
    return Evaluation(
        weights_sha256=model.weights_sha256,
        scenes=count,
        seed=seed,
        zero_shot=zero_shot,
        mean_zero_shot=float(np.mean(list(zero_shot.values()))),
        caption_recall_at_1=_recall(model, measured, asked),
        captions=asked,
        agreeing_heads=sum(head.spans_property == head.scenes_property for head in heads),
        heads=heads,
        neighbours=_neighbours(heads, shares, measured),
    )


def _measure(model: Model, decomposer: Decomposer, count: int, seed: int) -> _Measured:
    scenes, pixels = [], []
    for index in range(count):
        rng = generator(seed, index)
        scenes.append(sample(rng))
        pixels.append(draw(scenes[-1], rng)[0])
    parts = [
        decomposer(model.pixels_to_input(torch.from_numpy(np.stack(pixels[start : start + 100]))))
        for start in range(0, count, 100)
    ]
    embeddings = torch.cat([embedding for embedding, _, _ in parts]).double().numpy()
    heads = torch.cat([torch.cat(list(by_layer.values()), dim=1) for _, _, by_layer in parts]).double().numpy()
    labels = np.array([scene.indices() for scene in scenes])
    return _Measured(scenes, labels, embeddings, heads)


def _zero_shot(model: Model, measured: _Measured) -> dict[str, float]:
    result = {}
    for column, name in enumerate(PROPERTIES):
        texts = model.embed_texts([phrase(name, value) for value in VALUES[name]], 64)
        guesses = (measured.embeddings @ texts.T).argmax(axis=1)
        result[name] = float((guesses == measured.labels[:, column]).mean())
    return result


def _recall(model: Model, measured: _Measured, count: int) -> float:
    texts = model.embed_texts([full_caption(scene) for scene in measured.scenes[:count]], 100)
    found = (texts @ measured.embeddings[:count].T).argmax(axis=1)
    return float((found == np.arange(count)).mean())


def _heads(model: Model, decomposer: Decomposer, measured: _Measured) -> tuple[list[Head], np.ndarray]:
    pool = scene_pool()
    texts = model.embed_texts([text for text, _ in pool], 64).astype(np.float64)
    tags = np.array([PROPERTIES.index(tag) for _, tag in pool])
    heads, shares = [], []
    for column, (layer, head) in enumerate(decomposer.bases):
        vectors = measured.heads[:, column]
        spans = textspan(Moments.of(vectors).covariance, texts @ decomposer.bases[layer, head], SPANS)
        votes = np.bincount(tags[spans.rows], spans.variance_explained, minlength=len(PROPERTIES))
        share = between_groups(vectors, measured.labels)
        shares.append(share)
        heads.append(
            Head(
                name=f"L{layer}.H{head}",
                spans_property=PROPERTIES[int(votes.argmax())],
                spans_share=float(votes.max() / votes.sum()),
                scenes_property=PROPERTIES[int(share.argmax())],
                scenes_share=float(share.max()),
            )
        )
    return heads, np.array(shares)


def between_groups(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Share of the variance of vectors [N, k] that lies between the values of each property: [8]."""
    centred = vectors - vectors.mean(axis=0)
    shares = []
    for column in range(labels.shape[1]):
        groups = [centred[labels[:, column] == value] for value in np.unique(labels[:, column])]
        between = sum(len(group) * float(np.square(group.mean(axis=0)).sum()) for group in groups)
        shares.append(between / float(np.square(centred).sum()))
    return np.array(shares)


def _neighbours(heads: list[Head], shares: np.ndarray, measured: _Measured) -> dict[str, Neighbours]:
    result = {}
    for column, name in enumerate(PROPERTIES):
        best = int(shares[:, column].argmax())
        vectors = measured.heads[:, best]
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines = unit @ unit.T
        np.fill_diagonal(cosines, -np.inf)
        nearest = np.argpartition(-cosines, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        labels = measured.labels[:, column]
        rates = np.bincount(labels) / len(labels)
        result[name] = Neighbours(
            head=heads[best].name,
            precision=float((labels[nearest] == labels[:, None]).mean()),
            base_rate=float(np.square(rates).sum()),
        )
    return result
