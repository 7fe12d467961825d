"""`clipdb.review_cards`, `review` and `export_reviews`: what people say of names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from clipdb._util.text import quoted
from clipdb.api.naming import choose_pool
from clipdb.api.opening import open as open_index
from clipdb.errors import ClipdbError
from clipdb.schema.names import MOST_PROPERTY, is_name, parse_head

if TYPE_CHECKING:
    from clipdb.queries.reviews.cards import Card


def review_cards(
    index: str | Path,
    *,
    reviewer: str,
    model: str | None = None,
    labeller: str | None = None,
    spans: int = 10,
    sample: int | None = None,
    seed: int = 0,
) -> list[Card]:
    """List the heads that a person may review, each with its name and its spans.

    Parameters
    ----------
    index
        Directory of the index.
    reviewer
        Who reviews; cards say which heads this person has ``reviewed``.
    model
        Only this model's heads. Default: those of all models.
    labeller
        Show the names by this labeller. Default: those that count now.
    spans
        Descriptions of each head.
    sample, seed
        Draw so many heads at random; the same seed draws the same ones. Default: all heads.

    Returns
    -------
    list of Card
        In the order of models, layers and heads.

    Raises
    ------
    ClipdbError
        If no head has a name or spans, the reviewer's name isn't valid, or `review` couldn't write to the index now.

    Examples
    --------
    >>> cards = clipdb.review_cards("mine.clipdb", reviewer="ada", spans=5)
    >>> len(cards), cards[0].name, len(cards[0].spans)
    (24, 'L1.H0', 5)
    """
    from clipdb.ingest.names.people.decisions import check_free, reviewer_name
    from clipdb.queries.reviews.cards import review_cards as list_cards

    who = reviewer_name(reviewer)
    with open_index(index) as opened:
        cards = list_cards(opened, who, model, labeller, spans, sample, seed)
    check_free(Path(index))
    return cards


def review(
    index: str | Path,
    head: str,
    property: str,
    *,
    reviewer: str,
    rejected: bool = False,
    model: str | None = None,
    pool: str | None = None,
    confidence: float | None = None,
    verdicts: Mapping[str, bool | None] | None = None,
    blind: bool = False,
) -> None:
    """Write down what a person says of a head; a person's name counts before all others.

    Where another process writes to the index, this waits for it.

    Parameters
    ----------
    index
        Directory of the index.
    head
        As people write it: ``L11.H3``.
    property
        The head's name, or the one that is wrong.
    reviewer
        Who says so.
    rejected
        Whether the name is wrong.
    model
        The head's model; not needed if the index has one.
    pool
        Pool whose spans the person saw. Default: the pool that has spans.
    confidence
        How well the name fits, 0..1.
    verdicts
        By description, whether it fits the name; None if the person can't say.
    blind
        Whether the person saw no name before.

    Raises
    ------
    ClipdbError
        If there is no such head, a description is none of its spans from the pool, or a name isn't valid.

    Examples
    --------
    >>> clipdb.review("mine.clipdb", "L3.H1", "background", reviewer="ada")
    """
    from clipdb.ingest.names.people.decisions import Decision, record
    from clipdb.ingest.store.writer import Reader

    if not is_name(property, MOST_PROPERTY):
        raise ClipdbError(f"{quoted(property)} isn't a valid name for a head: write a word or two")
    index = Path(index)
    (layer, number), reader = parse_head(head), Reader(index)
    models = [row[0] for row in reader.read("select distinct model_id from heads order by model_id")]
    if model is None and len(models) > 1:
        raise ClipdbError(f"{index} has several models: say whose head it is ({', '.join(models)})")
    of = model or "".join(models)
    if not reader.read("select 1 from heads where (model_id, layer, head) = (?, ?, ?)", of, layer, number):
        raise ClipdbError(f"{of} has no head {head} in {index}: `clipdb query heads` lists them", kind="absent")
    pool = choose_pool(index, pool, of)
    spans = "select text, text_id from spans where (model_id, layer, head, pool) = (?, ?, ?, ?)"
    known = dict(reader.read(spans, of, layer, number, pool))
    if strange := [text for text in verdicts or {} if text not in known]:
        raise ClipdbError(f"{quoted(strange[0])} is no span of {head} from the pool {pool!r}", kind="absent")
    said = {known[text]: fits for text, fits in (verdicts or {}).items()}
    record(index, reviewer, Decision(of, layer, number, pool, property, rejected, confidence, said), blind)


def export_reviews(index: str | Path, file: str | Path) -> int:
    """Write people's names, rejections and verdicts, for `import_reviews` and for people to read.

    Parameters
    ----------
    index
        Directory of the index.
    file
        ``FILE.csv`` or ``FILE.parquet``; one that is there is replaced.

    Returns
    -------
    int
        How many decisions and verdicts were written.

    Raises
    ------
    ClipdbError
        If the file is of another kind, or can't be written.

    Examples
    --------
    >>> clipdb.export_reviews("mine.clipdb", "decided.csv")
    1
    """
    from clipdb.queries.reviews.decision_table import write_reviews

    with open_index(index) as opened:
        return write_reviews(opened, Path(file))
