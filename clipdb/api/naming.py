"""`clipdb.label`, `judge` and `review`: names of heads, and verdicts on their spans."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from clipdb._util.stages import Stages
from clipdb.api.progress import Shown, stage_progress
from clipdb.errors import ClipdbError, require
from clipdb.plugins import load

if TYPE_CHECKING:
    from clipdb.ingest.names.llm.asking import Outcome
    from clipdb.ingest.names.llm.server import Server
    from clipdb.ingest.names.unchanged import Judged, Labelled

CallCounts = Callable[[int, int, int], None]
LABELLERS = "clipdb.ingest.names.labellers"
JUDGES = "clipdb.ingest.names.judges"


def label(
    index: str | Path,
    *,
    labeller: str = "zero-shot",
    pool: str | None = None,
    model: str | None = None,
    server: Server | None = None,
    spans: int = 10,
    vocabulary: str | Path | None = None,
    open_naming: bool = False,
    examples: str | Path | None = None,
    repeats: int = 1,
    concurrency: int = 8,
    progress: Shown = True,
) -> Labelled | Outcome:
    """Name the heads of an index.

    A head whose label would be the same keeps the one that it has.

    Parameters
    ----------
    index
        Directory of the index.
    labeller
        ``zero-shot``, ``vote``, one that another package brings, or ``llm``, which asks a language model.
    pool
        Pool whose descriptions or spans name the heads. Default: the pool that has spans.
    model
        Only this model's heads. Default: those of all models.
    server
        For ``llm``: the language model, as ``clipdb.Server(model, base_url=...)``.
    spans
        For ``llm``: how many spans of each head are shown.
    vocabulary
        For ``llm``: a file with one property per line. Default: the pool's own properties.
    open_naming
        For ``llm``: let the model name heads in its own words.
    examples
        For ``llm``: a JSON file of well-named heads. Default: those that ship with clipdb.
    repeats
        For ``llm``: answers that each head is to have, each with a seed of its own.
    concurrency
        For ``llm``: calls at once.
    progress
        For ``llm``: see `clipdb.api.progress.Shown`.

    Returns
    -------
    Labelled or Outcome
        How many heads were ``named``, are ``nameless`` and are the ``same`` as before; of a language model, how many
        were ``answered``, ``skipped`` and ``failed``, with the ``reason`` of the first failure.

    Raises
    ------
    ClipdbError
        If there is nothing to name, or no such labeller; one line says what to do.

    Examples
    --------
    >>> done = clipdb.label("mine.clipdb")
    >>> done.named + done.nameless
    24
    """
    index = Path(index)
    if labeller != "llm":
        return label_without_server(index, labeller, pool, model)
    if open_naming and vocabulary is not None:
        raise ClipdbError("open_naming and a vocabulary don't go together: choose one")
    require("pydantic", "llm")
    from clipdb.ingest.names.llm.examples import SHIPPED
    from clipdb.ingest.names.llm.naming import Naming, label_by_llm

    words = None if vocabulary is None else Path(vocabulary)
    shown = SHIPPED if examples is None else Path(examples)
    naming = Naming(choose_pool(index, pool, model), model, spans, words, open_naming, shown)
    with stage_progress(progress, "heads") as told:
        return label_by_llm(index, _needed(server), naming, concurrency, repeats, _counting(told))


def judge(
    index: str | Path,
    *,
    judge: str = "vote",
    pool: str | None = None,
    model: str | None = None,
    labeller: str = "current",
    top: int = 5,
    server: Server | None = None,
    concurrency: int = 8,
    progress: Shown = True,
) -> Judged | Outcome:
    """Judge whether each head's first spans fit its name.

    Parameters
    ----------
    index
        Directory of the index.
    judge
        ``vote``, which compares the pool's own tags with the name; one that another package brings; or ``llm``.
    pool
        Pool whose spans are judged. Default: the pool that has spans.
    model
        Only this model. Default: all models.
    labeller
        Whose names are judged; ``current`` for those that count now.
    top
        Spans per head.
    server, concurrency, progress
        For ``llm``: as in `label`.

    Returns
    -------
    Judged or Outcome
        Verdicts that are new, and those that are the ``same`` as before; of a language model, as in `label`.

    Raises
    ------
    ClipdbError
        If there is nothing to judge, or no such judge; one line says what to do.

    Examples
    --------
    >>> clipdb.judge("mine.clipdb").note
    'not independent of labels by zero-shot or vote'
    """
    index = Path(index)
    if judge != "llm":
        return judge_without_server(index, judge, pool, model, labeller, top)
    require("pydantic", "llm")
    from clipdb.ingest.names.llm.judging import judge_by_llm
    from clipdb.ingest.names.named_spans import Judging

    judging = Judging(choose_pool(index, pool, model), model, labeller, top)
    with stage_progress(progress, "heads") as told:
        return judge_by_llm(index, _needed(server), judging, concurrency, _counting(told))


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
        If the head, a description or the pool doesn't exist, or the name is empty.

    Examples
    --------
    >>> clipdb.review("mine.clipdb", "L3.H1", "background", reviewer="ada")
    """
    from clipdb.ingest.names.people.decisions import Decision, record
    from clipdb.ingest.store.writer import Reader
    from clipdb.schema.names import parse_head, text_id

    index = Path(index)
    (layer, number), reader = parse_head(head), Reader(index)
    models = reader.models(model)
    if len(models) > 1:
        raise ClipdbError(f"{index} has several models: say whose head it is ({', '.join(models)})")
    if not reader.read("select 1 from heads where (model_id, layer, head) = (?, ?, ?)", models[0], layer, number):
        raise ClipdbError(f"{models[0]} has no head {head} in {index}: `clipdb query heads` lists them", kind="absent")
    said = {text_id(text): fits for text, fits in (verdicts or {}).items()}
    chosen = choose_pool(index, pool, models[0])
    record(
        index,
        reviewer,
        Decision(models[0], layer, number, chosen, property, rejected, confidence, said),
        blind,
    )


def label_without_server(index: Path, labeller: str, pool: str | None, model: str | None) -> Labelled:
    """Name heads by a labeller that asks no language model: see `label`."""
    labelled: Labelled = load("labellers", LABELLERS, labeller).label(index, choose_pool(index, pool, model), model)
    return labelled


def judge_without_server(
    index: Path, judge: str, pool: str | None, model: str | None, labeller: str, top: int
) -> Judged:
    """Judge spans by a judge that asks no language model: see `judge`."""
    from clipdb.ingest.names.named_spans import Judging

    judging = Judging(choose_pool(index, pool, model), model, labeller, top)
    judged: Judged = load("judges", JUDGES, judge).judge(index, judging)
    return judged


def choose_pool(index: Path, pool: str | None, model: str | None) -> str:
    """Return the pool that was asked for, or the one that has spans: see `chosen_pool`."""
    from clipdb.ingest.names.heads_with_spans import chosen_pool
    from clipdb.ingest.store.writer import Reader

    return chosen_pool(Reader(index), pool, model)


def _needed(server: Server | None) -> Server:
    if server is None:
        raise ClipdbError("a language model needs a server: pass server=clipdb.Server(MODEL, base_url=URL)")
    return server


def _counting(told: Stages) -> CallCounts:
    return lambda well, total, failed: told("heads", well + failed, total)
