"""Which heads a model is asked about, with which questions, and what it has answered already."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipdb.ingest.llm.client import Question
from clipdb.ingest.llm.examples import SHIPPED, read_examples
from clipdb.ingest.llm.prompts import Head, name_question
from clipdb.ingest.llm.vocabulary import pool_vocabulary, read_vocabulary
from clipdb.ingest.spanned import heads_with_spans
from clipdb.ingest.writer import Reader

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
        File with a property a line; else the pool's own properties are chosen from.
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
        """Give what a run's row says of it."""
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
    answers: Counter[tuple[Head, str | None]]

    def missing(self, repeats: int) -> list[tuple[Question[Head], int]]:
        """List the heads that have fewer answers than they are to have, and how many they have."""
        counted = ((question, self.answers[question.key, question.sha256]) for question in self.questions)
        return [(question, count) for question, count in counted if count < repeats]


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
    rows = reader.read(_ANSWERED, naming.pool, labeller, examples.sha256)
    answers = Counter({((row[0], row[1], row[2]), row[3]): row[4] for row in rows})
    return Plan(asked, examples.sha256, answers)
