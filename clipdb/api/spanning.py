"""`clipdb.span`: the descriptions that explain each head, or directions inside heads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from clipdb.api.describing import import_torch
from clipdb.api.progress import Shown, stage_progress
from clipdb.errors import ClipdbError, require_found
from clipdb.ingest.images.cluster.ray_options import ray_options

SOURCES = ("images", "weights", "principal")
CONVENTIONS = ("clipdb", "released")


@dataclass(frozen=True)
class Spanned:
    """How many ``heads`` of each model got spans, or directions, from the ``pool``."""

    pool: str
    heads: dict[str, int]


def span(
    index: str | Path,
    *,
    pool: str = "general",
    source: Literal["images", "weights", "principal"] = "images",
    convention: Literal["clipdb", "released"] = "clipdb",
    model: str | None = None,
    count: int | None = None,
    checkpoint: str | Path | None = None,
    device: str = "auto",
    ray: str | bool = False,
    actors: int | None = None,
    progress: Shown = True,
) -> Spanned:
    """Find the descriptions that explain each head (TEXTSPAN, arXiv 2310.05916), or directions inside heads.

    Earlier spans of the same model and pool are replaced, and so are directions of the same source.

    Parameters
    ----------
    index
        Directory of the index.
    pool
        Pool of descriptions to pick from; ``general`` and ``scenes`` ship with clipdb.
    source
        ``images`` finds spans: descriptions along which a head's output varies over the images. ``weights`` takes the
        singular vectors of each head's map (arXiv 2603.24653), and ``principal`` the principal directions of its
        vectors over the images; both are written as sums of descriptions, into the relation ``directions``.
    convention
        ``clipdb`` spans the stored vectors: what each head itself writes. ``released`` gives the spans of the code
        released with the paper, which shares biases and the final LayerNorm's mean out over heads and cuts an
        uncentred SVD at the head's size. It runs the model over the images again, and reads open_clip's vision
        transformers with a class token.
    model
        Only this model; of ``weights`` also one that has no images in the index, which is made if it doesn't exist.
        Default: all models of the index.
    count
        Spans per head, by default 20, or directions, by default 5.
    ray, actors
        Where the moments of the vectors are taken, which spans are found from: on a Ray cluster, as in
        `clipdb.ingest_images`, by so many processes at once. Worth it from some millions of images on.
    checkpoint, device, progress
        As in `clipdb.ingest_images`.

    Returns
    -------
    Spanned
        How many heads of each model have spans or directions now.

    Raises
    ------
    ClipdbError
        If the index has no images and needs some, or the pool doesn't exist.

    Examples
    --------
    >>> clipdb.span("mine.clipdb", pool="scenes", progress=False).heads
    {'clipdb-tiny/scenes': 24}
    >>> clipdb.span("mine.clipdb", pool="scenes", source="weights", progress=False).heads
    {'clipdb-tiny/scenes': 24}
    """
    if source not in SOURCES:
        raise ClipdbError(f"source is {source!r}: it is one of {', '.join(SOURCES)}")
    if convention not in CONVENTIONS:
        raise ClipdbError(f"convention is {convention!r}: it is one of {', '.join(CONVENTIONS)}")
    if source != "images" and convention != "clipdb":
        raise ClipdbError("the released code finds spans over images: directions have no --convention released")
    on_ray = ray_options(ray, actors, None, "auto")
    if on_ray is not None and (source, convention) != ("images", "clipdb"):
        raise ClipdbError("--ray takes the moments of spans over images: leave it out")
    if on_ray is not None:
        require_found("ray", "ray")
    weights = None if checkpoint is None else Path(checkpoint)
    with stage_progress(progress) as told:
        import_torch()
        if source != "images":
            from clipdb.ingest.descriptions.directions import Asked
            from clipdb.ingest.descriptions.directions import describe as describe_directions

            asked = Asked(source, pool, count or 5)
            return Spanned(pool, describe_directions(Path(index), asked, model, weights, device, told))
        from clipdb.ingest.descriptions.spans import span as describe

        released = None
        if convention == "released":
            from clipdb.api.released_moments import released_moments

            released = partial(released_moments, index, device, weights)
        taking = {}
        if on_ray is not None:
            from clipdb.ingest.images.cluster.moments import taking_on

            taking["taking"] = partial(taking_on, on_ray)
        return Spanned(pool, describe(Path(index), pool, model, count or 20, weights, device, told, released, **taking))
