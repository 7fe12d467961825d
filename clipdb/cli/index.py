"""`clipdb index`: vector indexes of heads, for neighbours among millions of images."""

from __future__ import annotations

from pathlib import Path

import click

from clipdb._util.text import counted
from clipdb.cli.options.common import index_option
from clipdb.cli.show.messages import say
from clipdb.schema.vector_indexes import AT, TYPES, VectorIndex


@click.command()
@click.option("--heads", required=True, metavar="HEADS", help="L11.H3,L11.H4, property=NAME or all.")
@click.option("--model", metavar="MODEL", help="The model; may be left out where the index has one.")
@click.option("--type", "kind", type=click.Choice(list(TYPES)), help="ivf_rq is smaller [default: ivf_flat].")
@click.option(
    "--partitions",
    type=click.IntRange(min=1),
    help="Parts that the vectors are cut into [default: a quarter of the square root of the number of images].",
)
@click.option("--drop", is_flag=True, help="Drop the vector indexes of these heads instead.")
@index_option
def command(index: Path, heads: str, model: str | None, kind: str | None, partitions: int | None, drop: bool) -> None:
    """Make vector indexes of heads, for neighbours among millions of images.

    Up to some hundred thousand images exact search answers in tens of milliseconds and needs no index. With one, the
    queries neighbours and text-neighbours look at the nearest parts of a head's vectors only, by cosine: which images
    they find is approximate, their scores are exact, and --exact true compares every image all the same.

    With property=NAME, the heads of a property get one more index together, by which property-neighbours finds images
    that are like another in that property.

    How many of the ten nearest images are found is measured for each, and `clipdb info` says it. So many parts are
    searched that at least 99 percent are found. Images that are ingested later are found, too.

    \b
        clipdb index --heads L11.H3,L11.H4
        clipdb index --heads property=colour --type ivf_rq
        clipdb index --heads all --drop
    """
    if drop:
        if kind is not None or partitions is not None:
            raise click.UsageError("--drop makes no index: leave out --type and --partitions")
        from clipdb.api.indexing import drop_vector_indexes

        dropped = drop_vector_indexes(index, heads, model=model)
        say(f"dropped {counted(len(dropped), 'vector index', 'vector indexes')}: {'; '.join(dropped)}")
        return
    from clipdb.api.indexing import index_vectors

    for name, made in index_vectors(index, heads, model=model, type=kind or "ivf_flat", partitions=partitions).items():
        of_texts = ""
        if isinstance(made, VectorIndex) and made.text_recall is not None:
            of_texts = f", of texts {made.text_recall:.3f} in {made.text_nprobes}"
        say(f"{name}: recall@{AT} {made.recall:.3f} in {made.nprobes} of {made.partitions} partitions{of_texts}")
