"""The small index with a task in it: images whose classes are texts that it has, and heads with means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import lance
import numpy as np
from built_index import EMBED, HEAD_DIM, SPANS, Built, build, insert

from clipdb.schema import catalog
from clipdb.schema.vectors import images_path, texts_path

Head = tuple[int, int]
CLASSES = sorted(SPANS[:3])
COLOURS = ("blue", "red")


@dataclass
class Task:
    """The index, and the float64 truth of its task: what an oracle computes from."""

    built: Built
    classes: list[str]
    colours: list[str]
    images: np.ndarray
    texts: dict[str, np.ndarray]
    bases: dict[Head, np.ndarray]
    means: dict[Head, np.ndarray]

    @property
    def path(self) -> Path:
        return self.built.path

    def y(self, head: Head) -> np.ndarray:
        return self.built.vectors["one/a", *head]

    def accuracies(self, replaced: dict[Head, np.ndarray], rows: list[int], parts: list[object]) -> dict[object, float]:
        """Accuracy by part with the vectors of some heads replaced, one image and class after the other."""
        right: dict[object, list[bool]] = {}
        for row, part in zip(rows, parts, strict=True):
            scores = []
            for name in CLASSES:
                score = float(self.images[row] @ self.texts[name])
                for head, vectors in replaced.items():
                    score += float((vectors[row] - self.y(head)[row]) @ (self.bases[head].T @ self.texts[name]))
                scores.append(score)
            right.setdefault(part, []).append(CLASSES[int(np.argmax(scores))] == self.classes[row])
        return {part: sum(answers) / len(answers) for part, answers in right.items()}


def build_task(path: Path) -> Task:
    """Give each image one of three texts as its label, and a colour; 3 images have neither."""
    built = build(path, images=60, seed=5)
    rng = np.random.default_rng(6)
    classes = [CLASSES[i] for i in rng.integers(len(CLASSES), size=len(built.ids))]
    colours = [COLOURS[i] for i in rng.integers(len(COLOURS), size=len(built.ids))]
    means = {head[1:]: rng.normal(size=HEAD_DIM) for head in built.vectors}
    with catalog.changing(path) as connection:
        connection.execute("update images set label = null, metadata = null")
        connection.execute("create temp table truth (image_id varchar, label varchar, metadata json)")
        truth = [(classes[n], f'{{"colour": "{colours[n]}", "size.cm": {n % 2}}}') for n in range(len(classes))]
        insert(connection, "truth", [(one, *truth[n]) for n, one in enumerate(built.ids) if n >= 3])
        connection.execute(
            "update images set label = truth.label, metadata = truth.metadata from truth "
            "where truth.image_id = images.image_id"
        )
        for (layer, head), mean in means.items():
            connection.execute(
                "update head_statistics set mean = ? where (layer, head) = (?, ?)", [mean.tolist(), layer, head]
            )
        bases = {
            (layer, head): np.array(basis, np.float64).reshape(EMBED, HEAD_DIM)
            for layer, head, basis in connection.execute("select layer, head, basis from heads").fetchall()
        }
    images, texts = (
        np.array(lance.dataset(str(place)).to_table(columns=["embedding"]).column(0).to_pylist(), np.float64)
        for place in (images_path(path, "one/a"), texts_path(path, "one/a"))
    )
    return Task(built, classes, colours, images, dict(zip(SPANS, texts, strict=True)), bases, means)
