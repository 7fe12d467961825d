"""Judge spans by a language model: one question a head and name, with a verdict on each of its first spans."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clipdb.ingest.names.llm.asking import Asking, Progress, ask_and_store, publish_left
from clipdb.ingest.names.llm.client import Question, Reply
from clipdb.ingest.names.llm.judging_prompt import Judged, Verdicts, judge_question
from clipdb.ingest.names.llm.outcome import Calls, Outcome
from clipdb.ingest.names.llm.server import Server
from clipdb.ingest.names.named_spans import JUDGED, Judging, check_judged
from clipdb.ingest.store.writer import Reader

TOKENS_A_VERDICT = 16

_QUESTIONS = f"""
{JUDGED}
select
    model_id, layer, head, property, list(text_id order by rank), list(text order by rank)
from judged
group by model_id, layer, head, property, is_own
order by not is_own, model_id, layer, head, property -- the names that heads have come first
"""

_ANSWERED = """
select model_id, layer, head, property, prompt_sha256, count(distinct text_id)
from judgements
where judge = ? and status = 'ok'
group by all
"""


@dataclass(frozen=True)
class Plan:
    """What a judge is still to be asked.

    Parameters
    ----------
    questions
        One a head and name, without those whose verdicts are there.
    asked, spans
        How many of these it has been asked already, and how many spans they are about.
    """

    questions: tuple[Question[Judged], ...]
    asked: int
    spans: int

    def calls(self, server: Server) -> Calls:
        """Return what would be asked."""
        return Calls(server, [(question, 1) for question in self.questions], self.asked)


def plan(reader: Reader, judging: Judging, judge: str) -> Plan:
    """Write the questions about named heads, and leave out those that the judge has answered.

    Raises
    ------
    ClipdbError
        If there are no spans of the pool, or no names of heads with these spans.
    """
    check_judged(reader, judging)
    found = reader.read(_QUESTIONS, *judging.values)
    asked = [judge_question(Judged._make([*row[:4], tuple(row[4])]), row[5]) for row in found]
    answered = {row[:5]: row[5] for row in reader.read(_ANSWERED, judge)}
    missing = [one for one in asked if answered.get((*one.key[:4], one.sha256), 0) < len(one.key.text_ids)]
    spans = sum(len(row[4]) for row in found) - sum(len(one.key.text_ids) for one in missing)
    return Plan(tuple(missing), len(asked) - len(missing), spans)


def answering(server: Server, judging: Judging) -> Server:
    """Leave a server room for a verdict on each span."""
    return replace(server, max_tokens=server.max_tokens + TOKENS_A_VERDICT * judging.top)


def judge_by_llm(
    index: Path,
    server: Server,
    judging: Judging,
    concurrency: int = 8,
    progress: Progress = lambda judged, asked, failed: None,
) -> Outcome:
    """Ask a language model of each named head's first spans whether they fit the name, or each name that heads carry.

    Spans on which the same model has a verdict, of the same name and prompt, are not asked about again. Where a call
    fails, or an answer doesn't hold, each of the head's spans has a row with the reason and no verdict, and is asked
    about again by the next call of this. Verdicts are committed as they come.

    Parameters
    ----------
    index
        Directory of the index.
    concurrency
        Calls at once.

    Returns
    -------
    Outcome
        In questions, one per head and name; its rows are verdicts.

    Raises
    ------
    ClipdbError
        If there is no index, no spans of the pool, no names of heads with these, no server, or one that refuses the key
        or the model.
    """
    server = answering(server, judging)
    publish_left(index, "judge")
    todo = plan(Reader(index), judging, server.name)

    def rows(reply: Reply[Judged]) -> list[dict[str, Any]]:
        return [row | {"judge": server.name} for row in _rows(reply)]

    run = Asking(index, "judge", {"judge": server.name} | judging.arguments(), todo.spans, "judgements")
    outcome = ask_and_store(run, server, todo.questions, concurrency, rows, progress)
    outcome.skipped = todo.asked
    return outcome


def _rows(reply: Reply[Judged]) -> list[dict[str, Any]]:
    """Lay out rows of ``judgements``, without what all rows of a run share."""
    *head, property, text_ids = reply.question.key
    answer = reply.answer
    verdicts = answer.in_order() if isinstance(answer, Verdicts) else [None] * len(text_ids)
    common = dict(zip(("model_id", "layer", "head"), head, strict=True)) | {
        "property": property,
        "prompt_sha256": reply.question.sha256,
        "status": "error" if reply.error else "ok",
        "error": reply.error,
    }
    return [common | {"text_id": one, "verdict": verdict} for one, verdict in zip(text_ids, verdicts, strict=True)]
