"""Zero-shot classification over an index: images with a known class, classes as texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from clipdb._util.notes import note
from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.context import Context
from clipdb.queries.templates import written_templates

LABEL = "label"
_AT_ONCE = 1_000_000  # scores of images by classes held at a time: 4 MB, which a processor's cache may hold
_MOST_ROWS = 8192  # of a chunk: all heads' vectors of so many images take 100 MB where there are 48 of 64 numbers
_SHOWN = 8
_TEXTS_AT_ONCE = 8192
_MOST_CLASSES = 20_000  # past that a key is no class but a number or an id of its own for each image


@dataclass(frozen=True)
class Task:
    """What is classified.

    Attributes
    ----------
    model
        The model.
    rows
        Rows of the images in the store's order, ``[n]``.
    classes
        Names of the classes, sorted.
    truth
        Each image's class, ``[n]``.
    groups
        Names of the groups of which the worst counts: the classes, or their combinations with other keys' values.
    group
        Each image's group, ``[n]``.
    texts
        Unit embedding of each class's text, float32 ``[classes, D]``.
    """

    model: str
    rows: np.ndarray
    classes: list[str]
    truth: np.ndarray
    groups: list[str]
    group: np.ndarray
    texts: np.ndarray

    def only(self, places: np.ndarray) -> Task:
        """Return the same task for some of the images, in the order given."""
        return replace(self, rows=self.rows[places], truth=self.truth[places], group=self.group[places])

    def chunks(self) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Cut the images into chunks, each with two matrices for scores ``[len(part), classes]`` to be overwritten.

        The matrices are the same memory for all chunks: to allocate it anew costs as much as a product.
        """
        step = min(len(self.rows), _MOST_ROWS, max(1, _AT_ONCE // len(self.classes)))
        scores, others = np.empty((2, step, len(self.classes)), np.float32)
        for start in range(0, len(self.rows), step):
            size = min(step, len(self.rows) - start)
            yield slice(start, start + size), scores[:size], others[:size]

    def correct(self, part: slice, scores: np.ndarray) -> np.ndarray:
        """Count by group the images of a chunk whose own class has the best score ``[len(part), classes]``."""
        right = scores.argmax(axis=1) == self.truth[part]
        return np.bincount(self.group[part], weights=right, minlength=len(self.groups))


def read_task(
    context: Context, model: str, target: str, template: str, grouped_by: str | None, usable: np.ndarray
) -> Task:
    """Find the images that have a class, and embed the classes.

    Parameters
    ----------
    context
        The index.
    model
        Model name.
    target
        ``label`` for ``images.label``, else a key of ``images.metadata``.
    template
        Text of a class, with ``{}`` where its name goes; of several, one a line, or of ``openai``, class_texts takes
        the mean.
    grouped_by
        More keys, with commas: groups are then combinations of class and their values. Images that lack one are left
        out.
    usable
        Which of the store's images may be used, bool.

    Raises
    ------
    ClipdbError
        If no image has such a class, there are fewer than two classes, or a template has no place for a name.
    """
    templates = written_templates(template)
    ids = context.store.ids(model, "images").astype(str).tolist()
    keys = [target, *group_keys(grouped_by)]
    columns = [[values.get(one) for one in ids] for values in (values_by_image(context, key) for key in keys)]
    pairs = [pair if None not in pair else None for pair in zip(*columns, strict=True)]
    rows = np.flatnonzero(usable & np.array([pair is not None for pair in pairs]))
    used = [pair for pair in (pairs[row] for row in rows) if pair is not None]
    if not used:
        what = "class label" if target == LABEL else repr(target)
        raise ClipdbError(
            f"no image of {model} has a {what} and vectors of these heads: ingest the images again", kind="absent"
        )
    groups = sorted(set(used))
    known = sorted({name for name, *_ in groups})
    if not 2 <= len(known) <= _MOST_CLASSES:
        listed = f"only {known[0]!r}" if len(known) == 1 else f"{len(known):,} different ones"
        raise ClipdbError(
            f"images have {listed} as {target!r}: classification takes from 2 to {_MOST_CLASSES:,} classes"
        )
    if len(known) == len(used) > 2:
        note(f"note: each image has a value of its own as {target!r}: is that what you want them told apart by?")
    texts = class_texts(context, model, known, templates)
    number = {name: place for place, name in enumerate(known)}
    group_number = {pair: place for place, pair in enumerate(groups)}
    return Task(
        model=model,
        rows=rows,
        classes=known,
        truth=np.array([number[pair[0]] for pair in used]),
        groups=[", ".join(pair) for pair in groups],
        group=np.array([group_number[pair] for pair in used]),
        texts=texts,
    )


def note_weak(task: Task, accuracy: float) -> None:
    """Say so where a model tells classes apart no better than who always answers with the most frequent one."""
    sizes = np.bincount(task.truth)
    majority = float(sizes.max() / sizes.sum())
    if accuracy <= majority:
        most = task.classes[int(sizes.argmax())]
        note(
            f"note: with all heads {accuracy:.3f} of the images are told right, and {majority:.3f} are {most!r}: the "
            "model hardly tells these classes apart, so what it loses says little"
        )


def group_keys(grouped_by: str | None) -> list[str]:
    """Split the keys that make groups at commas.

    Raises
    ------
    ClipdbError
        If a key is empty, or comes twice.
    """
    if grouped_by is None:
        return []
    keys = [one.strip() for one in grouped_by.split(",")]
    if not all(keys) or len(set(keys)) < len(keys):
        raise ClipdbError(f"groups is {grouped_by!r}: give one key, or different ones with commas")
    return keys


def class_texts(context: Context, model: str, names: Sequence[str], templates: Sequence[str]) -> np.ndarray:
    """Embed classes, float32 ``[classes, D]``: each the mean over templates, made as long as these are on average.

    Where texts have unit length that is the mean of them, normalised again: the ensemble of prompts of Radford et al.,
    arXiv 2103.00020, section 3.1.4.
    """
    if len(templates) == 1:
        return text_embeddings(context, model, [templates[0].replace("{}", name) for name in names])
    found = []
    step = max(1, _TEXTS_AT_ONCE // len(templates))
    for start in range(0, len(names), step):
        some = names[start : start + step]
        texts = [template.replace("{}", name) for name in some for template in templates]
        embeddings = text_embeddings(context, model, texts).reshape(len(some), len(templates), -1).astype(np.float64)
        means = embeddings.mean(axis=1)
        lengths = np.linalg.norm(embeddings, axis=2).mean(axis=1)
        found.append(means * (lengths / np.linalg.norm(means, axis=1))[:, None])
    return np.concatenate(found, dtype=np.float32)


def text_embeddings(context: Context, model: str, texts: Sequence[str]) -> np.ndarray:
    """Return unit embeddings, float32 ``[n, D]``: from the index's texts where they are there, else from the model."""
    rows = {text: context.subjects.text_row(model, text) for text in dict.fromkeys(texts)}
    stored = {text: row for text, row in rows.items() if row is not None}
    unknown = [text for text in rows if text not in stored]
    found = dict(zip(unknown, (one.embedding for one in context.subjects.texts(model, unknown)), strict=True))
    if stored:
        embeddings = context.store.embeddings(model, "texts")
        found |= {text: embeddings[row] for text, row in stored.items()}
    return np.stack([found[text] for text in texts])


def metadata_keys(context: Context) -> list[str]:
    """List the keys of the images' metadata, in order."""
    keys = context.rows(
        "select distinct unnest(json_keys(metadata)) as key from images "
        "where json_type(metadata) = 'OBJECT' order by key"
    )
    return [str(key) for (key,) in keys]


def values_by_image(context: Context, key: str) -> dict[str, str]:
    """Read what images have as ``label``, or else under a key of their metadata: the value by image_id.

    Raises
    ------
    ClipdbError
        If no image has one: the message names the keys that there are, or the command that stores labels.
    """
    if key == LABEL:
        found = context.rows("select image_id, label from images where label is not null")
    else:
        # Quoted, the key is a name even where it has dots, slashes or a leading $ in it.
        path = '$."' + key.replace('"', "") + '"'
        found = context.rows(
            "select image_id, json_extract_string(metadata, ?) as value from images where value is not null", path
        )
    if not found:
        names = ", ".join(metadata_keys(context)[:_SHOWN])
        if key == LABEL:
            raise ClipdbError(
                "no image has a class label: run `clipdb ingest images SRC --label-from parent`"
                + (f", or take a key of the metadata: {names}" if names else ""),
                kind="absent",
            )
        raise ClipdbError(
            f"no image has {key!r} in its metadata: "
            + (f"the keys are {names}" if names else "images have no metadata"),
            kind="absent",
        )
    return {str(image_id): str(value) for image_id, value in found}
