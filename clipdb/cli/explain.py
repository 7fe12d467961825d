"""`clipdb explain`: a score of an image and a text, or of two images, as a sum over heads."""

from __future__ import annotations

from math import exp
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clipdb.cli.options.common import PICTURE, output_options, readable_option, require_matplotlib
from clipdb.cli.options.model_options import model_options
from clipdb.cli.show.form import Output
from clipdb.errors import ClipdbError

if TYPE_CHECKING:
    from clipdb.queries.index import Index

QUERY, OF_IMAGES, OF_TEXT = "contributions", "image_contributions", "text_contributions"


@click.command()
@click.argument("image")
@click.argument("text", required=False)
@click.option("--image-b", metavar="IMAGE", help="Another image in place of TEXT: why are the two alike?")
@click.option("--text-b", metavar="TEXT", help="A second text: why is the image nearer to TEXT than to this one?")
@click.option(
    "--by",
    type=click.Choice(["head", "layer", "property", "token"]),
    default="head",
    show_default=True,
    help="What shares are summed by; token with --tower text, property without.",
)
@click.option(
    "--tower",
    type=click.Choice(["image", "text"]),
    default="image",
    show_default=True,
    help="Whose heads: text splits the same cosine by the heads of the text tower, or by the words that they read.",
)
@click.option(
    "--partition",
    type=click.Choice(["pool", "trunk"]),
    help="Heads of the pooling or of the trunk, where the index has both: they split one cosine in two ways.",
)
@click.option("--check", is_flag=True, help="Run the model on the image's file even if the index has its vectors.")
@click.option(
    "--plot",
    type=PICTURE,
    metavar="FILE.png",
    callback=require_matplotlib,
    help="Draw the shares as a bar chart, .png or .jpg.",
)
@model_options
@readable_option
@output_options
def command(
    index: Path | str,
    output: Output,
    image: str,
    text: str | None,
    image_b: str | None,
    text_b: str | None,
    by: str,
    tower: str,
    partition: str | None,
    model: str | None,
    check: bool,
    plot: Path | None,
    device: str,
    checkpoint: Path | None,
) -> None:
    """Return which heads make an image and a text match.

    IMAGE is a file, or an image of the index: its file's name, its uri or the beginning of its image_id. The cosine of
    image and text is the sum of what each head adds, of MLPs and constants where the index has them (ingest --mlps,
    --constants), and of a rest, 'not stored': what is not in the index. There is one row per head (layer, property),
    the largest share first. The rows add up to the total, which stderr shows beside the model's own cosine. With
    --text-b all are differences of two cosines.

    With --image-b in place of TEXT it is the cosine of two images, split twice: share is what the heads of IMAGE add
    along the other image's embedding, and share_b what the other image's heads add along that of IMAGE.

    With --tower text the same cosine is split by the heads of the text tower, T.L5.H2 and so on, or with --by token by
    the words at which they read; 'no head' is what its MLPs, biases and embeddings add. The model reads the text for
    that: nothing of it is stored.

    The model runs where an image or a text is not in the index, or with --check: its own cosine is then that of
    encode_image and encode_text. Otherwise, and where the image's file is gone, it is that of the image's embedding in
    the index, which is in float16.
    """
    from clipdb.api.opening import open as open_index
    from clipdb.cli.show.output import write_rows
    from clipdb.queries.named.sql_files import find_query

    for name, value in (("TEXT", text), ("--text-b", text_b), ("IMAGE", image), ("--image-b", image_b)):
        if value is not None and not value.strip():
            raise ClipdbError(f"{name} is empty")
    if (text is None) == (image_b is None):
        raise ClipdbError("say what the image is compared with: either TEXT or --image-b IMAGE")
    if text_b is not None and text == text_b:
        raise ClipdbError("TEXT and --text-b are the same: every share of the difference would be 0")
    if text is None and text_b is not None:
        raise ClipdbError("--text-b is for a difference of two texts: give TEXT, too")
    if tower == "text":
        if text is None or (text_b, partition, plot) != (None, None, None) or check:
            raise ClipdbError("--tower text splits the cosine of IMAGE and TEXT: leave the other options out but --by")
        _explain_text(index, output, device, checkpoint, model, image, text, by)
        return
    if by == "token":
        raise ClipdbError("--by token needs --tower text: `clipdb segment` shows where in the image heads look")
    query = find_query(OF_IMAGES if text is None else QUERY)
    with open_index(index, device=device, checkpoint=checkpoint) as opened:
        other = {"image_b": image_b} if text is None else {"text": text, "text_b": text_b}
        values = opened.bind(query, {"image": image, **other, "by": by, "partition": partition, "model": model})
        answer = opened.execute(query.sql, values)
        names, rows = [column[0] for column in answer.description or ()], answer.fetchall()
        texts = [one for one in (text, text_b) if one is not None]
        if text is None:
            own, source = _own_cosine_of_images(opened, values["model"], [values["image"], values["image_b"]], check)
            against, logit = [_name(opened, values["image_b"])], None
        else:
            own, source = _own_cosines(opened, values["model"], values["image"], texts, check)
            against, logit = [f"“{one}”" for one in texts], _logit(opened, values["model"])
        shown = _name(opened, values["image"])
        assert query.note is not None
        notes = opened.execute(query.note, query.values_of_note(values)).fetchall()
    total, its_own = _total(names, rows, "share"), own[0] - sum(own[1:])
    if plot is not None:
        from clipdb.pictures.charts import make_chart, save_chart
        from clipdb.pictures.figures import entitle

        scores = "\n\N{MINUS SIGN} ".join(f"cos({shown}, {one})" for one in against)
        sum_of_heads, of_model = (f"{one:.4f}".replace("-", "\N{MINUS SIGN}") for one in (total, its_own))
        title = f"{scores}\n= {sum_of_heads}; by {values['model']} itself {of_model}"
        figure = make_chart(query.command, [dict(zip(names, row, strict=True)) for row in rows], values)
        entitle(figure, title)
        save_chart(figure, plot)
    write_rows(names, rows, output)
    of_other = "" if text is not None else f" (of the other image's heads {_total(names, rows, 'share_b'):.6f})"
    click.echo(
        f"total {total:.6f}{of_other}; the model's own cosine{' difference' if text_b is not None else ''} "
        f"({source}) {its_own:.6f}: {abs(total - its_own):.1e} apart",
        err=True,
    )
    for (note,) in notes:
        click.echo(f"note: {note}", err=True)
    if logit is not None:  # what people know as the score of a model that was trained with a sigmoid
        scale, bias = logit
        scores = ", ".join(f"{1 / (1 + exp(-scale * one - bias)):.4f}" for one in own)
        click.echo(f"score {scores}: the sigmoid of {scale:.4g} times the cosine {bias:+.4g}", err=True)


def _explain_text(
    index: Path | str,
    output: Output,
    device: str,
    checkpoint: Path | None,
    model: str | None,
    image: str,
    text: str,
    by: str,
) -> None:
    """Print what the text tower's heads add to a cosine."""
    from clipdb.api.opening import open as open_index
    from clipdb.api.own_cosine import share_along
    from clipdb.cli.show.output import write_rows
    from clipdb.queries.named.sql_files import find_query

    if by == "property":
        raise ClipdbError("--by property is for the image tower: with --tower text give head, layer or token")
    query = find_query(OF_TEXT)
    with open_index(index, device=device, checkpoint=checkpoint) as opened:
        values = opened.bind(query, {"image": image, "text": text, "by": by, "model": model})
        answer = opened.execute(query.sql, values)
        names, rows = [column[0] for column in answer.description or ()], answer.fetchall()
        subjects = opened.context.subjects
        embedding = subjects.image(values["model"], values["image"])[1].embedding
        own = share_along(embedding, subjects.text(values["model"], text).embedding)
    write_rows(names, rows, output)
    total = _total(names, rows, "share")
    click.echo(f"total {total:.6f}; the model's own cosine {own:.6f}: {abs(total - own):.1e} apart", err=True)


def _total(names: list[str], rows: list[tuple[Any, ...]], column: str) -> float:
    at = names.index(column)
    return sum(row[at] for row in rows if row[at] is not None)


def _own_cosine_of_images(opened: Index, model: str, images: list[str], check: bool) -> tuple[list[float], str]:
    """Return the model's own cosine of two images, and where it is from."""
    context = opened.context
    if check or None in [context.subjects.image_row(model, one) for one in images]:
        from clipdb.api.own_cosine import own_cosine_of_images
        from clipdb.api.segmenting import read_image

        files = [(read_image(context, model, one), one) for one in images]
        return [own_cosine_of_images(context, model, files)], "run now"
    first, second = (context.subjects.image(model, one)[1].embedding for one in images)
    return [float(first @ second)], "from the index"


def _own_cosines(opened: Index, model: str, image: str, texts: list[str], check: bool) -> tuple[list[float], str]:
    """Return the model's own cosines, and where they are from."""
    context = opened.context
    subjects = context.subjects
    stored = subjects.image_row(model, image) is not None
    source = "from the index"
    if check or not stored or None in [subjects.text_row(model, one) for one in texts]:
        from clipdb.api.own_cosine import own_cosines
        from clipdb.api.segmenting import read_image

        try:
            data = read_image(context, model, image)
        except ClipdbError:
            if check or not stored:
                raise
            source = "of the image's embedding in the index, since its file can't be read"
        else:
            return own_cosines(context, model, data, image, texts), "run now"
    embedding = subjects.image(model, image)[1].embedding
    return [float(embedding @ subjects.text(model, one).embedding) for one in texts], source


def _logit(opened: Index, model: str) -> tuple[float, float] | None:
    """Return the scale and bias of a model's logits, if its score is their sigmoid."""
    query = "select logit_scale, logit_bias from models where model_id = ? and logit_scale + logit_bias is not null"
    return opened.ask(query, [model]).fetchone()


def _name(opened: Index, image: str) -> str:
    """Name an image by its file."""
    found = opened.ask("select uri from images where image_id = ?", [image]).fetchone()
    return Path(str(found[0]) if found and found[0] else image).name
