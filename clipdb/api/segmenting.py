"""`clipdb.segment`: where in a picture an index's heads find a text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clipdb._util.apart import apart
from clipdb._util.notes import note
from clipdb.errors import ClipdbError, require
from clipdb.queries.find_image import is_file
from clipdb.queries.functions.base.ablation import choose_heads
from clipdb.queries.functions.base.context import Context
from clipdb.queries.index import Index

if TYPE_CHECKING:
    from clipdb.models.segmentation import Segmentation


def segment(
    index: Index,
    image: str | Path,
    text: str,
    against: str | None = None,
    *,
    heads: Sequence[str] = (),
    property: str | None = None,
    layers: str | None = None,
    model: str | None = None,
    partition: str | None = None,
) -> Segmentation:
    """Show where in a picture heads find a text, or one text rather than another.

    Parameters
    ----------
    index
        What `clipdb.open` gives.
    image
        A file's path; or an image of the index whose file is where it was, by its file's name, its uri or the
        beginning of its id.
    text
        What to look for.
    against
        A text to contrast it with: the shares are those of ``text`` less those of this one.
    heads, property, layers
        Which heads, summed: those that have one of these names (``L11.H3``), carry this property, and are of these
        layers (``last4``, ``8-11``), as far as given; all that have vectors where none is.
    model
        The model; not needed where the index has one.
    partition
        ``pool`` or ``trunk``: whose heads, where those chosen are of both.

    Raises
    ------
    ClipdbError
        If something named isn't in the index, a text is empty or equals the other, the picture's file is gone or
        changed, or the weights can't be had.

    Examples
    --------
    >>> with clipdb.open("mine.clipdb") as db:
    ...     found = clipdb.segment(db, "scenes/scene-00000.png", "something red")
    >>> found.map.shape
    (8, 8)
    """
    context = index.context
    model = context.model(model)
    chosen = choose_heads(context, model, ",".join(heads) if heads else None, property, layers, partition=partition)
    texts = [text] if against is None else [text, against]
    if not all(one.strip() for one in texts):
        raise ClipdbError("the text is empty: write what to look for")
    if text == against:
        raise ClipdbError("the text and the one against it are the same: every share of the difference would be 0")
    require("torch", "ingest")
    require("open_clip", "ingest")
    require("clipdb.models.segmentation", "ingest")
    data = read_image(context, model, str(image))
    from clipdb.models.segmentation import segment_image

    found = [one.embedding for one in context.subjects.texts(model, texts)]
    sought = found[0] if against is None else found[0] - found[1]
    embedder = context.subjects.embedder
    if any(layer >= 0 for layer, _ in chosen):
        for (lacks,) in context.rows("select note from cut_models where model_id = ?", model):
            note(str(lacks))
    return apart(lambda: segment_image(embedder, model, data, str(image), sought, chosen))


def read_image(context: Context, model: str, image: str) -> bytes:
    """Read an image's file: the one named, or where the index knows it to be."""
    from clipdb.ingest.images.sources.item import read_file
    from clipdb.ingest.images.sources.uri import read_known

    if is_file(image):
        try:
            return read_file(image)
        except OSError as error:
            raise ClipdbError(f"{image} can't be read: {error.strerror}") from error
    image_id = context.subjects.image_id(model, image)
    found = context.rows("select uri from images where image_id = ?", image_id)
    return read_known(image_id, str(found[0][0] or "") if found else "")
