"""`clipdb span`: find the descriptions that explain each head."""

from __future__ import annotations

from pathlib import Path

import click

from clipdb._util.text import counted
from clipdb.cli.ingest import checkpoint_option
from clipdb.cli.options.common import index_option
from clipdb.cli.options.model_options import device_option
from clipdb.cli.show.messages import say


@click.command()
@click.option("--pool", default="general", show_default=True, help="Pool of descriptions to pick from.")
@click.option(
    "--from",
    "source",
    type=click.Choice(["images", "weights", "principal"]),
    default="images",
    show_default=True,
    help="Spans over the images; or directions: of the weights, or the principal ones over the images.",
)
@click.option(
    "--convention",
    type=click.Choice(["clipdb", "released"]),
    default="clipdb",
    show_default=True,
    help="Of contributions and their space: clipdb's, or that of the code released with the paper, for its spans.",
)
@click.option(
    "--model", help="Only this model [default: all of the index]; with --from weights, also one without images."
)
@click.option("--count", type=click.IntRange(min=1), help="Spans per head [default: 20], or directions [default: 5].")
@click.option(
    "--ray",
    is_flag=False,
    flag_value="",
    metavar="[HOST:PORT]",
    help="Take the moments of the vectors on a Ray cluster, as `clipdb ingest images --ray` does.",
)
@click.option("--actors", type=click.IntRange(min=1), help="With --ray, processes at work [default: one per CPU].")
@checkpoint_option
@device_option
@index_option
def command(
    index: Path,
    pool: str,
    source: str,
    convention: str,
    model: str | None,
    count: int | None,
    checkpoint: Path | None,
    device: str,
    ray: str | None,
    actors: int | None,
) -> None:
    """Find the descriptions that explain each head (TEXTSPAN, arXiv 2310.05916), over all images of the index.

    Earlier spans of the same model and pool are replaced. The pools general and scenes ship with clipdb; others come
    with `clipdb ingest texts FILE --pool NAME`.

    --from weights takes the singular vectors of each head's weights instead and writes each as a sum of descriptions
    (arXiv 2603.24653). It takes no images: with --model it describes a model that the index doesn't have. --from
    principal does the same for the directions along which each head's vectors vary most. `clipdb query directions`
    shows both.

    --convention released spans as the code released with arXiv 2310.05916 does, which runs the model over the images
    again: biases and the last LayerNorm's mean are shared out over heads, and the pool is projected onto the first
    singular vectors of contributions that are not centred. The run that spans belong to records the convention.

    \b
        clipdb span --pool scenes
        clipdb span --from weights --model ViT-B-32/openai
    """
    from clipdb.api.spanning import span

    options = {"model": model, "count": count, "checkpoint": checkpoint, "device": device}
    options |= {"ray": ray or ray == "", "actors": actors}
    spanned = span(index, pool=pool, source=source, convention=convention, **options)  # type: ignore[arg-type]
    for model_id, heads in spanned.heads.items():
        done = "spanned" if source == "images" else f"described by directions ({source})"
        say(f"{model_id}: {counted(heads, 'head')} {done} from the pool {pool}")
