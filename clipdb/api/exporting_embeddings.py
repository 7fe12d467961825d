"""`clipdb.export_embeddings`: embeddings with heads taken away, for use elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clipdb.api.opening import open as open_index
from clipdb.api.progress import Shown, stage_progress

if TYPE_CHECKING:
    from clipdb.artefact.export.embedding_files import Written
    from clipdb.artefact.export.embeddings import How


def export_embeddings(
    index: str | Path,
    file: str | Path,
    *,
    model: str | None = None,
    without: str | Sequence[str] = (),
    only: str | Sequence[str] = (),
    how: How | None = None,
    normalise: bool = False,
    progress: Shown = True,
) -> Written:
    """Write image embeddings, whole or with heads taken away, as Parquet or as NumPy's array; the model doesn't run.

    Unless normalised, lengths stay as they come out: the inner product with a text's embedding is then the cosine
    without the shares of the heads that were removed.

    Parameters
    ----------
    index
        Directory of the index or of an export, or the export's URL.
    file
        ``FILE.parquet`` has ``image_id``, ``uri``, ``label``, ``split`` and ``embedding``, float32 ``[D]``, and the
        recipe as JSON in its metadata under the key ``clipdb``. ``FILE.npy`` is the array alone, float32 ``[n, D]``,
        with the recipe and the ids of its rows in ``FILE.npy.json``.
    model
        Whose embeddings; not needed if the index has one model.
    without
        Take these heads away: a selector, or several, each of which adds its heads: ``property=colour``,
        ``layer=8-11``, ``head=L11.H3``, ``labeller=zero-shot``.
    only
        Keep these heads alone; selectors likewise.
    how
        What ``without`` takes away: all that a head writes (``zero``, the default), or all but its mean over the images
        (``mean``).
    normalise
        Bring each embedding to unit length.
    progress
        See `clipdb.api.progress.Shown`.

    Returns
    -------
    Written
        The ``model``, how many ``images`` were written and how many ``left_out``, which haven't been through all of the
        ``heads``, and the size ``dim`` of an embedding.

    Raises
    ------
    ClipdbError
        If the file is of another kind or can't be written, or a selector selects no heads.

    Examples
    --------
    >>> done = clipdb.export_embeddings("mine.clipdb", "plain.npy", without="head=L3.H1", progress=False)
    >>> done.images, done.heads
    (12, ((3, 1),))
    """
    from clipdb.artefact.export.embedding_files import write
    from clipdb.artefact.export.embeddings import Edit, EditedEmbeddings

    with open_index(index) as opened, stage_progress(progress, "images") as told:
        edit = Edit(_selectors(without), _selectors(only), how, normalise)
        edited = EditedEmbeddings(opened, model, edit, lambda done, total: told("images", done, total))
        return write(edited, Path(file))


def _selectors(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
