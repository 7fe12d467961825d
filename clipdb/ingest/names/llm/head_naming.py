"""Label heads by a language model: one question a head, asked until it is answered, and not again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clipdb._util.text import printable
from clipdb.ingest.names.heads_with_spans import heads_with_spans
from clipdb.ingest.names.llm.asking import Asking, Progress, ask_and_store, publish_left
from clipdb.ingest.names.llm.client import Question, Reply
from clipdb.ingest.names.llm.examples import SHIPPED, read_examples
from clipdb.ingest.names.llm.naming_prompt import NONE, Head, HeadName, name_question
from clipdb.ingest.names.llm.outcome import Calls, Outcome
from clipdb.ingest.names.llm.server import Server
from clipdb.ingest.names.llm.vocabulary import pool_vocabulary, read_vocabulary
from clipdb.ingest.store.writer import Reader

_SPANS = """
select model_id, layer, head, list({'text': text, 'variance_explained': variance_explained} order by rank)
from spans
where pool = ? and model_id = coalesce(?, model_id) and rank <= ?
group by model_id, layer, head
order by model_id, layer, head
"""

_ANSWERED = """
select model_id, layer, head, prompt_sha256, count(*)
from labels
where pool = ? and labeller = ? and examples_sha256 is not distinct from ? and status = 'ok'
group by all
"""

Answers = Counter[tuple[Head, str | None]]


@dataclass(frozen=True)
class Naming:
    """What is asked about which heads.

    Parameters
    ----------
    pool
        Pool whose spans are named.
    model_id
        Only this model's heads.
    spans
        How many of a head's first spans are shown.
    vocabulary
        File with one property per line; else the pool's own properties are chosen from.
    open
        Let the model find its own words.
    examples
        File with examples; else those that ship.
    """

    pool: str
    model_id: str | None = None
    spans: int = 10
    vocabulary: Path | None = None
    open: bool = False
    examples: Path = SHIPPED

    def arguments(self) -> dict[str, Any]:
        """Return what a run's row says of it."""
        vocabulary = "open" if self.open else str(self.vocabulary or "pool")
        examples = "shipped" if self.examples == SHIPPED else str(self.examples)
        return {
            "pool": self.pool,
            "model": self.model_id,
            "spans": self.spans,
            "vocabulary": vocabulary,
            "examples": examples,
        }


@dataclass(frozen=True)
class Plan:
    """The question about each head, in order, with how many answers there are.

    Parameters
    ----------
    questions
        One a head.
    examples_sha256
        Hex SHA-256 of the examples in them; None where they have none.
    answers
        How many times this model has answered a ``(head, prompt_sha256)`` with the same examples.
    """

    questions: tuple[Question[Head], ...]
    examples_sha256: str | None
    answers: Answers

    def missing(self, repeats: int) -> list[tuple[Question[Head], int]]:
        """List the heads that have fewer answers than they are to have, and how many they have."""
        counted = ((question, self.answers[question.key, question.sha256]) for question in self.questions)
        return [(question, count) for question, count in counted if count < repeats]

    def calls(self, server: Server, repeats: int) -> Calls:
        """Return what would be asked for heads to have so many answers."""
        missing = self.missing(repeats)
        calls = [(question, repeats - answers) for question, answers in missing]
        return Calls(server, calls, len(self.questions) - len(missing))


def plan(reader: Reader, naming: Naming, labeller: str) -> Plan:
    """Write the question about each head that has spans, and count its answers.

    Raises
    ------
    ClipdbError
        If there are no spans of the pool, or a file of the naming is not as it should be.
    """
    heads_with_spans(reader, naming.pool, naming.model_id)
    heads = reader.read(_SPANS, naming.pool, naming.model_id, naming.spans)
    examples = read_examples(naming.examples)
    vocabulary: tuple[str, ...] | None = None
    if naming.vocabulary is not None:
        vocabulary = read_vocabulary(naming.vocabulary)
    elif not naming.open:
        vocabulary = pool_vocabulary(reader, naming.pool)
    asked = tuple(name_question((row[0], row[1], row[2]), row[3], vocabulary, examples) for row in heads)
    return Plan(asked, examples.sha256, _answers(reader, naming.pool, labeller, examples.sha256))


def _answers(reader: Reader, pool: str, labeller: str, examples_sha256: str | None) -> Answers:
    rows = reader.read(_ANSWERED, pool, labeller, examples_sha256)
    return Counter({((row[0], row[1], row[2]), row[3]): row[4] for row in rows})


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
        of its own; where every head has it, there is no run.

    Returns
    -------
    Outcome
        Of questions, one per head and repeat.

    Raises
    ------
    ClipdbError
        If there is no index, no spans of this pool, a file that is not as it should be, no server, or one that refuses
        the key or the model.
    """
    publish_left(index, "label")
    reader, outcome = Reader(index), Outcome()
    heads = plan(reader, naming, server.name)

    def rows(reply: Reply[Head]) -> list[dict[str, Any]]:
        return [_row(reply, heads.examples_sha256) | {"pool": naming.pool, "labeller": server.name}]

    for repeat in range(repeats):
        missing = heads.missing(repeat + 1)
        # A head whose earlier repeat has failed waits for the next command: each answer has a seed of its own.
        asked = [question for question, answers in missing if answers == repeat]
        skipped = len(heads.questions) - len(missing)
        arguments = {"labeller": server.name, "repeat": repeat} | naming.arguments()
        run = Asking(index, "label", arguments, skipped, "labels")
        outcome += ask_and_store(run, replace(server, seed=server.seed + repeat), asked, concurrency, rows, progress)
        outcome.skipped += skipped
        heads = replace(heads, answers=_answers(reader, naming.pool, server.name, heads.examples_sha256))
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
