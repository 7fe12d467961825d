"""`clipdb.segmentation_scores`: how well the maps of an index's heads agree with masks that people drew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from clipdb._util.apart import apart
from clipdb.errors import ClipdbError, require
from clipdb.queries.functions.base.ablation import choose_heads, have_vectors
from clipdb.queries.functions.base.classification import read_task
from clipdb.queries.index import Index
from clipdb.queries.templates import read_templates

if TYPE_CHECKING:
    import numpy as np

    from clipdb.queries.functions.base.context import Context

COLUMNS = ("part", "name", "images", "pixel_accuracy", "mean_iou", "average_precision")
"""The columns of `SegmentationScores.rows`."""

Row = tuple[str, str | None, int, float, float, float]

_T = TypeVar("_T")
_MASKS = (".png", ".bmp", ".gif", ".tif", ".tiff", ".pgm", ".webp")  # formats that keep every pixel as it was drawn


@dataclass(frozen=True, eq=False, repr=False)
class SegmentationScores:
    """How well maps agree with masks.

    Attributes
    ----------
    model
        The model.
    rows
        Of all images, then of each class; the columns are `COLUMNS`, and figures are shares from 0 to 1.
    images
        How many images were scored.
    unread
        How many more have a mask, and were left out since their files are gone, changed or damaged.
    """

    model: str
    rows: Sequence[Row]
    images: int
    unread: int

    def __repr__(self) -> str:
        return f"SegmentationScores({self.model}: {len(self.rows)} rows, {self.images} images)"


def segmentation_scores(
    index: Index,
    masks: str | Path,
    *,
    target: str = "label",
    template: str = "a photo of a {}",
    templates: str | Path | None = None,
    against_mean: bool = False,
    heads: Sequence[str] = (),
    property: str | None = None,
    layers: str | None = None,
    model: str | None = None,
    partition: str | None = None,
) -> SegmentationScores:
    """Look for each image's own class in it, and compare the map with a mask of where the class is.

    The map is that of `clipdb.segment`. It is enlarged to the pixels that the model sees, the mask cut to the same
    part of the picture, and scored as in the zero-shot segmentation of Gandelsman et al., arXiv 2310.05916, section 5,
    whose measures are those of Chefer et al., CVPR 2021: see `clipdb.models.map_scores`.

    Parameters
    ----------
    index
        What `clipdb.open` gives.
    masks
        A folder with a picture for each image that is to be scored: it has the image's file name but for the suffix,
        and the upright image's size. Its pixels are 0 (black) where the class isn't.
    target, template, templates
        The class: ``label`` or a key of the images' metadata; its text; and in place of this a file with a template a
        line, or ``openai``.
    against_mean
        Take the mean of all classes' texts off the class's own: what all classes have in common doesn't count then.
    heads, property, layers, partition
        Which heads, as in `clipdb.segment`.
    model
        The model; not needed where the index has one.

    Raises
    ------
    ClipdbError
        If no image with a class has a mask, two have the same, a mask can't be read or has another size than its
        image, something named isn't in the index, or the weights can't be had.

    Examples
    --------
    Images need a class to be looked for, a label or a key of their metadata. The pictures may be their own masks here:

    >>> with clipdb.open("mine.clipdb") as db:
    ...     clipdb.segmentation_scores(db, scenes)
    Traceback (most recent call last):
    clipdb.errors.ClipdbError: no image has a class label: run ...
    """
    context = index.context
    model = context.model(model)
    chosen = choose_heads(context, model, ",".join(heads) if heads else None, property, layers, partition=partition)
    template = template if templates is None else read_templates(str(templates))
    files = _masks(Path(masks))
    require("clipdb.models.segmentation", "ingest")
    task = read_task(context, model, target, template, None, have_vectors(context, model, chosen))
    sought = task.texts - task.texts.mean(axis=0) if against_mean else task.texts
    from clipdb.ingest.images.sources.uri import read_known
    from clipdb.models.map_scores import MapScores, map_of_pixels, mask_of_pixels
    from clipdb.models.segmentation import segment_image

    embedder = context.subjects.embedder
    patch = apart(lambda: embedder.model(model)).adapter.patch_size
    by_class: dict[int, MapScores] = {}
    unread: list[ClipdbError] = []
    for image_id, uri, truth, file in _pairs(context, model, task.rows, task.truth, files):
        try:
            data = read_known(image_id, uri)
            found = apart(lambda: segment_image(embedder, model, data, uri, sought[truth], chosen))  # noqa: B023
        except ClipdbError as error:
            unread.append(error)
            continue
        mask, seen = mask_of_pixels(file, found, patch)
        by_class.setdefault(truth, MapScores()).add(map_of_pixels(found, patch)[seen], mask[seen])
    if not by_class:
        raise unread[0]
    whole = sum(by_class.values(), MapScores())
    rows: list[Row] = [("all", None, whole.images, *whole.figures())]
    rows += [("class", task.classes[one], by_class[one].images, *by_class[one].figures()) for one in sorted(by_class)]
    return SegmentationScores(model, rows, whole.images, len(unread))


def _masks(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise ClipdbError(f"{folder} is not a folder: give one with a mask for each image, of the same name")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in _MASKS)
    if not files:
        raise ClipdbError(f"{folder} has no masks: they are pictures as {', '.join(_MASKS)}")
    return _unique([(file.stem, file) for file in files], "masks")


def _pairs(
    context: Context, model: str, rows: np.ndarray, truths: np.ndarray, masks: dict[str, Path]
) -> list[tuple[str, str, int, Path]]:
    ids = context.store.ids(model, "images").astype(str)
    uris = {str(one): str(uri) for one, uri in context.rows("select image_id, coalesce(uri, '') from images")}
    masked = [
        (stem, (ids[row], uris[ids[row]], int(truth), masks[stem]))
        for row, truth in zip(rows, truths, strict=True)
        if (stem := PurePosixPath(uris.get(ids[row], "")).stem) in masks
    ]
    if not masked:
        raise ClipdbError(
            "no image with a class has a mask: a mask has the name of the image's file, with a suffix of its own"
        )
    return list(_unique(masked, "images").values())


def _unique(named: Sequence[tuple[str, _T]], what: str) -> dict[str, _T]:
    name, count = Counter(name for name, _ in named).most_common(1)[0]
    if count > 1:
        raise ClipdbError(f"{count} {what} are called {name!r}, and a mask belongs to one image: rename them")
    return dict(named)
