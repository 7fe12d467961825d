"""Ingest images: run the model once over what is new, and commit heads and embeddings as it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from clipdb._util.notes import note
from clipdb._util.stages import Counts, Progress
from clipdb._util.text import counted
from clipdb.errors import ClipdbError, stopped
from clipdb.ingest.images.cluster.ray_options import RayOptions
from clipdb.ingest.images.cutting import rank_cut
from clipdb.ingest.images.embedded import vector_schema
from clipdb.ingest.images.image_options import ImageOptions
from clipdb.ingest.images.session import Session
from clipdb.ingest.images.sources import Sources, open_sources
from clipdb.ingest.images.stream import ImageStream
from clipdb.ingest.store.heads import cut_heads
from clipdb.ingest.store.known_models import load_for, remembered
from clipdb.ingest.store.model_tables import ModelTables
from clipdb.ingest.store.writer import Writer
from clipdb.models.decomposition import Decomposer
from clipdb.models.loading import device_name, pick_device
from clipdb.models.model_config import named
from clipdb.models.rank_cut import RankCut
from clipdb.models.tower import Adapter
from clipdb.schema.layer_choice import parse_layers
from clipdb.schema.names import MLP, POOL, REST, Head
from clipdb.schema.vectors_place import VectorsPlace


def ingest_images(
    index: Path,
    paths: Sequence[str],
    model: str | None,
    options: ImageOptions | None = None,
    progress: Progress | None = None,
    sources: Sources | None = None,
    ray: RayOptions | None = None,
    vectors: VectorsPlace | None = None,
) -> Counts:
    """Run a model over images that the index lacks and store its heads' vectors.

    The same call finishes what an earlier one began, however that one ended: images are known by their content.

    Parameters
    ----------
    index
        Directory of the index; made if it doesn't exist.
    paths
        Folders, file lists, tar shards, Parquet files, images.
    model
        ``ARCH/PRETRAINED``, or ``local-dir:FOLDER``; None takes the name from the configuration's and weights' files.
    options, progress
        How, and whom to tell.
    sources
        What the paths are, if they were opened already: a pipe can be read only once.
    ray
        The cluster that embeds; None for this process.
    vectors
        Where a new index keeps its vectors, if not in its directory.

    Raises
    ------
    ClipdbError
        One line that says what to do; nothing is half-written.
    Stopped
        On Ctrl-C, which keeps what was computed.
    """
    options, progress = options or ImageOptions(), progress or Progress()
    sources = open_sources(paths) if sources is None else sources
    wanted = named(model, options.config, options.checkpoint)
    # Commands that need the weights later may run elsewhere.
    checkpoint = wanted.checkpoint and wanted.checkpoint.absolute()
    arguments = {"sources": list(paths), "model": wanted.model_id, **asdict(options), "checkpoint": checkpoint}
    if ray is not None:
        arguments["ray"] = asdict(ray)
    if options.gpu_decode and (ray is None or options.device == "cpu"):  # else the nodes know
        options.require_gpu(pick_device(options.device))
    writer = Writer(index, "ingest images", arguments, create=True, vectors=vectors)
    with stopped(lambda: f"{writer.added + writer.skipped} images are in" if writer.added else ""), writer:
        # A cluster's driver runs the model over nothing but what `rank_cut` needs.
        loaded = load_for(writer, wanted, "cpu" if ray else options.device, options.precision)
        writer.device = device_name(loaded.device)
        tables = ModelTables(writer, loaded.model_id)
        layers = tables.layers() | _layers(loaded.adapter, options.layers)
        components = tables.components() | _components(loaded.adapter, layers, options)
        cut_before = cut_heads(writer, loaded.model_id)
        bases = {head: q for head, q in tables.bases().items() if head not in cut_before} | tables.component_bases()
        decomposer = Decomposer(loaded.adapter, sorted(layers), bases, sorted(components))
        cut = rank_cut(tables, loaded, decomposer, options, sources)
        _say_room(decomposer, cut)
        tables.images.add_columns(vector_schema(decomposer, cut.bases))
        session = Session(tables, loaded, decomposer, cut, options, progress)
        progress.total(sources.total)
        given_up: list[str] = []
        left_out = 0
        if ray is None:
            with (
                options.decoders(loaded.preprocess, loaded.device) as decoders,
                ImageStream(sources, decoders, session.known, options.batch_on(loaded.device)) as stream,
            ):
                session.run(stream)
            session.close()
        else:
            from clipdb.ingest.images.cluster.run import run_on

            given_up, left_out = run_on(ray, session, remembered(writer, wanted), sources)
        counts, links = session.counts, sources.left_out + left_out
        if not counts.added + counts.skipped + counts.failed:
            but = f", but {links} links, pipes or devices" if links else ""
            raise ClipdbError(f"no images in {', '.join(paths)}{but}: give files, or archives and tables of them")
        left = [f"left out {links} links, pipes or devices in tar shards: only files are read"] if links else []
        if options.base is not None and options.base not in writer.models():
            left.append(
                f"{options.base} has no images in this index yet: `clipdb query drift` needs those of both models"
            )
    if given_up:
        raise ClipdbError(
            f"{counted(len(given_up), 'shard')} left out, over which actors died ({', '.join(given_up)}); added "
            f"{counts.added}, skipped {counts.skipped}, failed {counts.failed}: the same command tries again"
        )
    return replace(counts, notes=(*counts.notes, *left))


def _layers(tower: Adapter, asked: str | None) -> set[int]:
    """Choose whose heads are kept: those of an attention pooling always, since they take little room."""
    pool = tower.pool_heads > 0
    default = "pool" if pool else f"last{min(4, tower.layers)}"
    chosen = parse_layers(default if asked is None else asked, tower.layers, pool=pool)
    return {*chosen, POOL} if pool else set(chosen)


def _components(tower: Adapter, layers: set[int], options: ImageOptions) -> set[Head]:
    """Choose what is kept beside heads: MLPs of the same layers, and what is left beside heads and MLPs."""
    there = tower.components()
    mlps = {(layer, kind) for layer, kind in there if kind == MLP and layer in layers}
    if options.mlps and not mlps:
        raise ClipdbError(
            "--mlps: the model's pooling has no MLP"
            + (
                "; choose layers, too: --layers last4"
                if tower.layers
                else " and its trunk is convolutional: leave it out"
            )
        )
    left = {(layer, kind) for layer, kind in there if kind == REST}
    return (mlps if options.mlps else set()) | (left if options.constants else set())


def _say_room(decomposer: Decomposer, cut: RankCut) -> None:
    """Say what the trunk's heads take where it is much: behind an attention pooling they have many numbers each."""
    tower, exact = decomposer.adapter, decomposer.sizes()
    trunk = {part: cut.bases[part].shape[1] for part in exact if part[0] != POOL and part[1] >= 0}
    if tower.pool_heads and trunk:
        room = f"{2 * sum(trunk.values()) / 1000:.1f} kB an image, {max(trunk.values())} numbers each"
        whole = 2 * sum(exact[part] for part in trunk) / 1000
        lossy = sum(trunk.values()) * 2 / 1000 < whole
        note(f"note: {len(trunk)} heads of the trunk take {room}" + (f", cut: all would take {whole:.1f} kB" * lossy))
    elif tower.pool_heads and tower.layers:
        note(
            "note: the heads of the pooling are kept; --layers last4 adds the trunk's of the last four layers, which "
            "take much more room"
        )
