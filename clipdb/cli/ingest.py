"""`clipdb ingest`: put images, texts and minimal pairs into an index."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from clipdb._util.text import counted
from clipdb.cli.options.common import index_option, vectors_storage_option
from clipdb.cli.options.model_options import device_option
from clipdb.cli.show.messages import Group, say

_FILE = click.Path(path_type=Path, dir_okay=False)


checkpoint_option = click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    help="Weights to use: .safetensors, or a torch file without code in it. PRETRAINED is then a free name. Weights "
    "that were trained with QuickGELU need an architecture whose name ends in -quickgelu. For a model of transformers, "
    "the folder of its files.",
)


@click.group(cls=Group)
def command() -> None:
    """Put images, texts and minimal pairs into an index."""


@command.command("images")
@click.argument("sources", metavar="SRC...", nargs=-1, required=True)
@click.option(
    "--model",
    metavar="ARCH/PRETRAINED",
    help="The model, as open_clip names it; hf:ORG/NAME[@REVISION] on the Hub for a model of transformers, "
    "hf-hub:ORG/NAME for one in open_clip's format; local-dir:FOLDER for a folder of either.",
)
@click.option(
    "--layers",
    help="Whose heads to keep: last4, all, 8-11, 0,5,10-11 [default: last4; of a model that pools by attention its "
    "pooling's, which are always kept].",
)
@click.option("--mlps", is_flag=True, help="Keep what the MLPs of these layers add to the embedding, too.")
@click.option(
    "--constants",
    is_flag=True,
    help="Keep what is left beside heads and MLPs: the stem and all biases. With --layers all --mlps, explain then "
    "leaves nothing out.",
)
@click.option(
    "--rank-factor",
    type=click.IntRange(min=1),
    metavar="N",
    help="In front of an attention pooling, keep N times the head's size instead of all that a head writes: less room, "
    "and what is lost is measured and shown. Default: all.",
)
@checkpoint_option
@click.option(
    "--config",
    type=_FILE,
    metavar="FILE.json",
    help="An architecture that open_clip doesn't have, in its JSON; ARCH is then a free name.",
)
@click.option(
    "--base", metavar="ARCH/PRETRAINED", help="The model that this one was fine-tuned from, for `clipdb query drift`."
)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="auto (a GPU where there is one), cpu, cuda, cuda:1, mps; cuda:0,cuda:1 for several GPUs, through Ray.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16", "fp16"]),
    default="fp32",
    show_default=True,
    help="Number type that the model runs in; vectors are stored as float16 all the same.",
)
@click.option("--batch-size", type=click.IntRange(min=1), help="Images per forward pass [default: 32, on a GPU 256].")
@click.option("--workers", type=click.IntRange(min=0), help="Decoding processes; 0: threads [default: one per core].")
@click.option(
    "--draft",
    is_flag=True,
    help="Decode JPEGs whose shorter side has six times the model's size or more at 1/2, 1/4 or 1/8 of theirs: for "
    "photographs of 12 megapixels 2.5 to 3 times as fast, with pixels that differ by .4 of a grey level on average.",
)
@click.option(
    "--gpu-decode",
    is_flag=True,
    help="Have an NVIDIA GPU decode and resize JPEGs, so that it doesn't wait for the CPU. The first are compared with "
    "Pillow's; pixels that are more than one grey level from those on average are refused.",
)
@click.option("--split", help="Name of the split that these images are of.")
@click.option("--label-from", type=click.Choice(["parent"]), help="Label images by the folder that they lie in.")
@click.option(
    "--ray",
    is_flag=False,
    flag_value="",
    metavar="[HOST:PORT]",
    help="Embed on the Ray cluster whose head is at HOST:PORT (auto: that which this machine is part of). Without an "
    "address, behind all SRC, Ray is started here for this run, for several GPUs or CPUs of one machine.",
)
@click.option(
    "--actors", type=click.IntRange(min=1), help="With --ray, models at work [default: one per GPU, or else per CPU]."
)
@click.option(
    "--gpus-per-actor",
    type=click.FloatRange(min=0),
    metavar="X",
    help="With --ray, GPUs that each has, also a part of one [default: 1 where there are any].",
)
@click.option(
    "--vectors",
    metavar="PLACE",
    help="Keep the vectors of a new index in an object store (s3://BUCKET/PREFIX, gs://, az://) or in another folder, "
    "of which it remembers the address alone; the catalog stays in the index.",
)
@vectors_storage_option
@click.option(
    "--overwrite", is_flag=True, help="Where SRC says another label, split or metadata of a known image, take it."
)
@index_option
def images(
    index: Path,
    sources: tuple[str, ...],
    model: str | None,
    layers: str | None,
    mlps: bool,
    constants: bool,
    rank_factor: int | None,
    checkpoint: Path | None,
    config: Path | None,
    base: str | None,
    device: str,
    precision: str,
    batch_size: int | None,
    workers: int | None,
    draft: bool,
    gpu_decode: bool,
    split: str | None,
    label_from: str | None,
    overwrite: bool,
    ray: str | None,
    actors: int | None,
    gpus_per_actor: float | None,
    vectors: str | None,
    storage_options: dict[str, str],
) -> None:
    """Run a model over images and store its heads' vectors.

    SRC is a folder, an image, a list of files, a tar shard (WebDataset) or a Parquet file with an image column, on this
    machine or in an object store (s3://, gs://, az://); any number and mixture of them. A list is a text file with one
    path per line (- for standard input), or CSV, JSONL or Parquet with a column path, file, filepath or file_name,
    relative to the list; its columns label and split are kept as such, all others as metadata.

    Images are known by their bytes. Those that the index has are skipped; what it lacks of their label, split or
    metadata is filled in, and a path where there is no file any more is replaced. You can stop at any time: the same
    command resumes.
    """
    from clipdb.api.describing import ingest_images

    counts = ingest_images(
        index,
        sources,
        model=model,
        layers=layers,
        mlps=mlps,
        constants=constants,
        rank_factor=rank_factor,
        checkpoint=checkpoint,
        config=config,
        base=base,
        device=device,
        precision=precision,
        batch_size=batch_size,
        workers=workers,
        draft=draft,
        gpu_decode=gpu_decode,
        split=split,
        label_from=label_from,
        overwrite=overwrite,
        ray=ray or ray == "",
        actors=actors,
        gpus_per_actor=gpus_per_actor,
        vectors=vectors,
        storage_options=storage_options,
    )
    updated = f", updated {counts.updated}" if counts.updated else ""
    say(f"{index}: added {counts.added}, skipped {counts.skipped}, failed {counts.failed}{updated}")
    for note in counts.notes:
        say(f"note: {note}", err=True)
    if counts.failed:
        say(f"failed files: clipdb query images-failed -i {shlex.quote(str(index))}", err=True)


@command.command("texts")
@click.argument("file", type=_FILE, required=False)
@click.option("--pool", required=True, help="Name of the pool; one of that name is replaced.")
@checkpoint_option
@device_option
@index_option
def texts(index: Path, file: Path | None, pool: str, checkpoint: Path | None, device: str) -> None:
    """Store a pool of descriptions and embed it for every model of the index.

    FILE has one description per line, or is CSV or Parquet with a column text and perhaps property. Without FILE, the
    pool of that name that ships with clipdb is taken: general or scenes.
    """
    from clipdb.api.describing import ingest_texts

    counts = ingest_texts(index, file, pool=pool, checkpoint=checkpoint, device=device)
    for model_id, reason in counts.unavailable.items():
        say(f"note: not embedded for {model_id}: {reason}", err=True)
    if counts.duplicates or counts.empty:
        said = f"{counted(counts.duplicates, 'duplicate')} and {counted(counts.empty, 'empty row')}"
        say(f"note: left out {said}", err=True)
    say(f"{index}: pool {pool} has {counted(counts.texts, 'text')}; embedded {counts.added}, skipped {counts.skipped}")


@command.command("pairs")
@click.argument("file", type=_FILE)
@index_option
def pairs(index: Path, file: Path) -> None:
    """Store minimal pairs: images that differ in one attribute and in nothing else.

    FILE is CSV, JSONL or Parquet with a row for each pair and the columns image_a, image_b, attribute, value_a and
    value_b. The images are of the index, by their name, path or image_id. `clipdb query specificity` then says what
    moves each head, and `clipdb label --labeller evidence` names heads by it.
    """
    from clipdb.api.pairing import ingest_pairs

    counts = ingest_pairs(index, file)
    said = ", ".join(f"{number} {attribute}" for attribute, number in counts.attributes.items())
    say(f"{index}: added {counts.added}, skipped {counts.skipped}; pairs are now {said}")
