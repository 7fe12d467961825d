"""`clipdb.label` and `judge`: names of heads, and verdicts on their spans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clipdb.api.evidence import EVIDENCE, label_by_evidence
from clipdb.api.progress import Shown, call_progress
from clipdb.errors import ClipdbError, require
from clipdb.plugins import load

if TYPE_CHECKING:
    from clipdb.ingest.names.llm.outcome import Calls, Outcome
    from clipdb.ingest.names.llm.server import Server
    from clipdb.ingest.names.unchanged import Judged, Labelled

LABELLERS = "clipdb.ingest.names.labellers"
JUDGES = "clipdb.ingest.names.judges"
PAIRS = "pairs of a head and a name"  # what a call for chance is about


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
    dry_run: bool = False,
    progress: Shown = True,
) -> Labelled | Outcome | Calls:
    """Name the heads of an index.

    A head whose label would be the same keeps the one that it has.

    Parameters
    ----------
    index
        Directory of the index.
    labeller
        ``zero-shot``, ``vote``, ``evidence``, which measures heads against minimal pairs or the images' metadata, one
        that another package brings, or ``llm``, which asks a language model.
    pool
        Pool whose descriptions or spans name the heads. Default: the pool that has spans. ``evidence`` needs none.
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
    dry_run
        For ``llm``: ask nothing; return what would be asked.
    progress
        For ``llm``: see `clipdb.api.progress.Shown`.

    Returns
    -------
    Labelled, Outcome or Calls
        How many heads were ``named``, are ``nameless`` and are the ``same`` as before; of a language model, how many
        were ``answered``, ``skipped`` and ``failed``, with the ``reason`` of the first failure; of a dry run, the
        ``questions``, the ``count`` of calls, and about how many tokens they take.

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
    if labeller == EVIDENCE:
        if pool is not None:
            raise ClipdbError("the labeller evidence reads pairs or metadata, not descriptions: leave the pool out")
        return label_by_evidence(index, model)
    if labeller != "llm":
        name_heads = load("labellers", LABELLERS, labeller, "label", others=(EVIDENCE, "llm"))
        labelled: Labelled = name_heads(index, choose_pool(index, pool, model), model)
        return labelled
    if open_naming and vocabulary is not None:
        raise ClipdbError("open_naming and a vocabulary don't go together: choose one")
    require("pydantic", "llm")
    from clipdb.ingest.names.llm.examples import SHIPPED
    from clipdb.ingest.names.llm.head_naming import Naming, label_by_llm, plan
    from clipdb.ingest.store.writer import Reader

    server = _needed(server)
    words = None if vocabulary is None else Path(vocabulary)
    shown = SHIPPED if examples is None else Path(examples)
    naming = Naming(choose_pool(index, pool, model), model, spans, words, open_naming, shown)
    if dry_run:
        return plan(Reader(index), naming, server.name).calls(server, repeats)
    with call_progress(progress) as told:
        return label_by_llm(index, server, naming, concurrency, repeats, told)


def judge(
    index: str | Path,
    *,
    judge: str = "vote",
    pool: str | None = None,
    model: str | None = None,
    labeller: str = "current",
    top: int = 5,
    chance: bool = False,
    server: Server | None = None,
    concurrency: int = 8,
    dry_run: bool = False,
    progress: Shown = True,
) -> Judged | Outcome | Calls:
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
    chance
        For ``llm``: ask about each head with every name that heads of its model carry (trunk and pooling apart), so
        that queries know what names shuffled over heads would give. It takes heads times names calls.
    server, concurrency, dry_run, progress
        For ``llm``: as in `label`.

    Returns
    -------
    Judged, Outcome or Calls
        Verdicts that are new, and those that are the ``same`` as before; of a language model, as in `label`,
        with ``chance`` of pairs of a head and a name in place of heads.

    Raises
    ------
    ClipdbError
        If there is nothing to judge, no such judge, or one that isn't asked for ``chance``; one line says what to do.

    Examples
    --------
    >>> clipdb.judge("mine.clipdb").note
    'not independent of labels by zero-shot or vote'
    """
    from clipdb.ingest.names.named_spans import Judging

    index = Path(index)
    if chance and judge != "llm":
        known = "chance of the judge vote is known without it: see `clipdb query association`"
        alone = f"the judge {judge} judges heads' own names alone: for chance ask a language model, with --judge llm"
        raise ClipdbError(known if judge == "vote" else alone)
    judging = Judging(choose_pool(index, pool, model), model, labeller, top, chance)
    if judge != "llm":
        judged: Judged = load("judges", JUDGES, judge, "judge", others=("llm",))(index, judging)
        return judged
    require("pydantic", "llm")
    from clipdb.ingest.names.llm.judging import answering, judge_by_llm, plan
    from clipdb.ingest.store.writer import Reader

    server = _needed(server)
    if dry_run:
        return plan(Reader(index), judging, server.name).calls(answering(server, judging))
    with call_progress(progress, PAIRS if chance else "heads") as told:
        return judge_by_llm(index, server, judging, concurrency, told)


def choose_pool(index: Path, pool: str | None, model: str | None) -> str:
    """Return the pool that was asked for, or the one that has spans: see `chosen_pool`."""
    from clipdb.ingest.names.heads_with_spans import chosen_pool
    from clipdb.ingest.store.writer import Reader

    return chosen_pool(Reader(index), pool, model)


def _needed(server: Server | None) -> Server:
    if server is None:
        raise ClipdbError("a language model needs a server: pass server=clipdb.Server(MODEL, base_url=URL)")
    return server
