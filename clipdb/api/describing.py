"""`clipdb.ingest_images` and `ingest_texts`: what runs a model and writes to an index."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clipdb._util.stages import Counts
from clipdb.api.progress import Shown, image_progress, stage_progress
from clipdb.errors import require, require_found
from clipdb.schema.vectors_place import chosen_place, giving

if TYPE_CHECKING:
    from clipdb.ingest.descriptions.pool_ingest import PoolCounts


def ingest_images(
    index: str | Path,
    sources: str | Path | Sequence[str | Path],
    *,
    model: str | None = None,
    layers: str | None = None,
    mlps: bool = False,
    constants: bool = False,
    rank_factor: int | None = None,
    checkpoint: str | Path | None = None,
    config: str | Path | None = None,
    base: str | None = None,
    device: str = "auto",
    precision: str = "fp32",
    batch_size: int | None = None,
    workers: int | None = None,
    draft: bool = False,
    gpu_decode: bool = False,
    split: str | None = None,
    label_from: str | None = None,
    overwrite: bool = False,
    ray: str | bool = False,
    actors: int | None = None,
    gpus_per_actor: float | None = None,
    vectors: str | Path | None = None,
    storage_options: Mapping[str, str] | None = None,
    progress: Shown = True,
) -> Counts:
    """Run a model over images that an index lacks and store its heads' vectors.

    The same call finishes what an earlier one began, however that one ended: images are known by their content.

    Parameters
    ----------
    index
        Directory of the index; made if it doesn't exist.
    sources
        A folder, an image, a list of files, a tar shard, a Parquet file; or several of them.
    model
        ``ARCH/PRETRAINED``, as open_clip names it; ``hf:ORG/NAME`` (of transformers) or ``hf-hub:ORG/NAME`` (of
        open_clip) on the Hub, with ``@REVISION`` or without; ``local-dir:FOLDER`` for a folder of either. Default:
        named after ``config`` and ``checkpoint``.
    layers
        Whose heads to keep: ``last4``, ``all``, ``8-11``, ``0,5,10-11``. Default: those of the last four layers; of a
        model that pools by attention those of its pooling, which are always kept.
    mlps
        Whether to keep what the MLPs of these layers add to the embedding, too.
    constants
        Whether to keep what is left beside heads and MLPs: the stem and all biases. With all layers and ``mlps``, the
        embedding is then stored as a sum with nothing left.
    rank_factor
        In front of an attention pooling, keep so many times the head's size instead of all that a head writes. What is
        lost goes into ``heads.tail`` and ``models.storage_error``. Default: all.
    checkpoint
        File of weights: safetensors, or a torch file without code in it. For a model of transformers, the folder of
        its files.
    config
        An architecture that open_clip doesn't have, in its JSON.
    base
        The model that this one was fine-tuned from, which is recorded.
    device
        ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ``cuda:1``, ``mps``; ``cuda:0,cuda:1`` for several GPUs,
        which Ray shares the work out to.
    precision
        Number type that the model runs in: ``fp32``, ``bf16``, ``fp16``.
    batch_size
        Images per forward pass. Default: 32, on a GPU 256.
    workers
        Processes that decode; 0 for threads. Default: one per core.
    draft
        Whether JPEGs whose shorter side has six times the model's size or more are decoded at 1/2, 1/4 or 1/8 of
        theirs, which is 2.5 to 3 times as fast for photographs of 12 megapixels. Their pixels differ by .4 of a grey
        level on average.
    gpu_decode
        Whether the GPU decodes JPEGs and resizes them (torchvision, NVIDIA's nvJPEG), so that the processor doesn't
        keep it waiting. The first pictures are compared with Pillow's: how far pixels are from those is logged, and
        more than one grey level on average is an error. All other files are decoded as without.
    split
        Name of the split that these images belong to.
    label_from
        ``parent`` labels images by the folder that they lie in.
    overwrite
        Where a source has another label, split or metadata for a known image, take it.
    ray
        ``HOST:PORT`` of the head of the Ray cluster that embeds, or ``auto`` for the one that this machine is part of.
        True starts one here for this call, for several GPUs or CPUs of one machine. Where this process is part of a
        cluster already, it is that one.
    actors
        Models at work on the cluster. Default: one per GPU, or else per CPU.
    gpus_per_actor
        GPUs that each has, also a part of one. Default: 1 where there are any.
    vectors
        Where a new index keeps its vectors: ``s3://BUCKET/PREFIX``, ``gs://...``, ``az://...``, or a folder. The index
        remembers it. Default: in its own directory.
    storage_options
        What opens the store of the vectors: see `clipdb.open`. The index doesn't remember it.
    progress
        See `clipdb.api.progress.Shown`.

    Returns
    -------
    Counts
        Images ``added``, ``skipped`` because they were known, ``failed`` and ``updated``, and ``notes``.

    Raises
    ------
    ClipdbError
        One line that says what to do; nothing is half-written.
    MissingExtra
        If torch or open_clip isn't installed, or Ray where it is asked for.
    Stopped
        On Ctrl-C, which keeps what was computed.

    Examples
    --------
    >>> counts = clipdb.ingest_images("mine.clipdb", scenes, model="clipdb-tiny/scenes", progress=False)
    >>> counts.added, counts.failed
    (12, 0)
    """
    # What was mistyped is said before anything is imported that takes seconds.
    _require_installed()
    from clipdb.ingest.images.asked_model import check_asked, check_base
    from clipdb.ingest.images.cluster.ray_options import ray_options
    from clipdb.ingest.images.sources import open_sources
    from clipdb.ingest.store.lock import require_unlocked

    paths = [str(one) for one in ([sources] if isinstance(sources, str | Path) else sources)]
    index, config = Path(index), _path(config)
    check_asked(index, model, config)
    check_base(model, base)
    require_unlocked(index)
    kept_at = chosen_place(index, vectors, storage_options)
    on_ray = ray_options(ray, actors, gpus_per_actor, device)
    if on_ray is not None:
        require_found("ray", "ray")
    opened = open_sources(paths)
    with image_progress(progress) as told, giving(storage_options):
        import_torch()
        from clipdb.ingest.images import image_ingest
        from clipdb.ingest.images.image_options import ImageOptions

        options = ImageOptions(
            layers=layers,
            mlps=mlps,
            constants=constants,
            rank_factor=rank_factor,
            draft=draft,
            gpu_decode=gpu_decode,
            checkpoint=_path(checkpoint),
            config=config,
            device="cuda" if on_ray is not None and on_ray.cards else device,
            precision=precision,
            batch_size=batch_size,
            workers=os.cpu_count() or 1 if workers is None else workers,
            split=split,
            label_from=label_from,
            overwrite=overwrite,
            base=base,
        )
        return image_ingest.ingest_images(index, paths, model, options, told, opened, on_ray, kept_at)


def ingest_texts(
    index: str | Path,
    file: str | Path | None = None,
    *,
    pool: str,
    checkpoint: str | Path | None = None,
    device: str = "auto",
    progress: Shown = True,
) -> PoolCounts:
    """Store a pool of descriptions and embed it for every model of an index.

    Parameters
    ----------
    index
        Directory of the index; made if it doesn't exist.
    file
        Text with one description per line, or CSV or Parquet with a column ``text`` and perhaps ``property``. Default:
        the pool of that name that ships with clipdb, ``general`` or ``scenes``.
    pool
        Name of the pool; one of that name is replaced.
    checkpoint, device, progress
        As in `ingest_images`.

    Returns
    -------
    PoolCounts
        ``texts`` of the pool, ``duplicates`` and ``empty`` rows that were left out, embeddings ``added`` and
        ``skipped``, and ``unavailable``: why a model's texts couldn't be embedded, by model.

    Raises
    ------
    ClipdbError
        If the pool has no name, or the file can't be read.

    Examples
    --------
    >>> clipdb.ingest_texts("mine.clipdb", pool="scenes", progress=False).texts
    464
    """
    with stage_progress(progress) as told:
        import_torch()
        from clipdb.ingest.descriptions.pool_ingest import ingest_texts as ingest

        return ingest(Path(index), pool, _path(file), _path(checkpoint), device, told)


def import_torch() -> None:
    """Import what runs a model, which takes seconds and Ctrl-C doesn't leave half done."""
    _require_installed()
    for module in ("torch", "open_clip", "clipdb.ingest.descriptions.spans", "clipdb.ingest.images.image_ingest"):
        require(module, "ingest")


def _require_installed() -> None:
    """Return which extra is missing, without importing it."""
    for module in ("torch", "open_clip", "PIL"):
        require_found(module, "ingest")


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)
