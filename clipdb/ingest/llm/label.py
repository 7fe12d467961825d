"""Label heads by a language model: one question a head, asked until it is answered, and not again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clipdb._text import printable
from clipdb.ingest.llm.answers import NONE, HeadName
from clipdb.ingest.llm.asking import Outcome, Progress, ask_and_store
from clipdb.ingest.llm.client import Reply, Server
from clipdb.ingest.llm.plan import Naming, plan
from clipdb.ingest.llm.prompts import Head
from clipdb.ingest.writer import Writer


def label_by_llm(
    index: Path,
    server: Server,
    naming: Naming,
    concurrency: int = 8,
    repeats: int = 1,
    progress: Progress = lambda labelled, asked, failed: None,
) -> Outcome:
    """Name each head by a language model's answer to its first spans.

    A head that has an answer of the same model, prompt and examples is not asked about again. A call that fails, or an
    answer that doesn't hold, is a row with the reason and no property, and is asked again by the next call of this.
    Answers are committed as they come.

    Parameters
    ----------
    index
        Directory of the index.
    concurrency
        Calls at once.
    repeats
        Answers that each head is to have; the n-th, counted from 0, is asked for with the server's seed + n, in a run
        of its own.

    Returns
    -------
    Outcome
        Of questions, one a head and repeat.

    Raises
    ------
    ClipdbError
        If there is no index, no spans of this pool, a file that is not as it should be, no server, or one that refuses
        the key or the model.
    """
    outcome = Outcome()
    for repeat in range(repeats):
        seeded = replace(server, seed=server.seed + repeat)
        arguments = {"labeller": server.name, "repeat": repeat} | naming.arguments() | seeded.arguments()
        with Writer(index, "label", arguments) as writer:
            outcome += _one_repeat(writer, seeded, naming, repeat, concurrency, progress)
    return outcome


def _one_repeat(
    writer: Writer, server: Server, naming: Naming, repeat: int, concurrency: int, progress: Progress
) -> Outcome:
    """Ask about the heads that have just as many answers as there were repeats before this one."""
    heads = plan(writer, naming, server.name)
    missing = heads.missing(repeat + 1)
    # A head whose earlier repeat has failed waits for the next command: each answer has a seed of its own.
    asked = [question for question, answers in missing if answers == repeat]
    writer.skipped = len(heads.questions) - len(missing)
    common = {"pool": naming.pool, "labeller": server.name, "run": writer.run}

    def rows(reply: Reply[Head]) -> list[dict[str, Any]]:
        return [_row(reply, heads.examples_sha256) | common]

    outcome = ask_and_store(writer, server, asked, concurrency, "labels", rows, progress)
    outcome.skipped = writer.skipped
    return outcome


def _row(reply: Reply[Head], examples_sha256: str | None) -> dict[str, Any]:
    """Lay out a row of ``labels``, without what all rows of a run share."""
    model_id, layer, head = reply.question.key
    answer = reply.answer
    given: dict[str, Any] = {"property": None, "confidence": None, "rationale": None}
    if isinstance(answer, HeadName):
        given["property"] = None if answer.property.casefold() == NONE else answer.property
        given["confidence"] = answer.confidence / 100
        given["rationale"] = printable(answer.rationale) or None
    return given | {
        "model_id": model_id,
        "layer": layer,
        "head": head,
        "prompt_sha256": reply.question.sha256,
        "examples_sha256": examples_sha256,
        "status": "ok" if answer is not None else "error",
        "error": reply.error,
        "created_at": datetime.now(UTC),
    }
