"""Verdicts of a language model on a server that fails or lies: what is stored, and what is asked again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hostile_server import KEY, Asked, Sent, asking, chat, failed, serving
from judge_answers import give_names, judged
from span_index import span_index
from support import done, refused, rows

BAD = "L10.H1"


pytestmark = pytest.mark.usefixtures("key")


@pytest.fixture
def index(own_named_spans: Path) -> Path:
    return own_named_spans


HOSTILE: dict[str, tuple[Callable[[Asked], Sent], str]] = {
    "500": (lambda asked: failed(500), "HTTP 500: broken"),
    "429": (lambda asked: failed(429, "slow down"), "HTTP 429: slow down"),
    "truncated": (lambda asked: chat('{"head": "' + asked.head + '", "span_1": "y'), "Invalid JSON"),
    "too long": (lambda asked: chat('{"head": "', "length"), "the answer is longer than 1104 tokens"),
    "not JSON": (lambda asked: chat("They all fit."), "Invalid JSON"),
    "a list": (lambda asked: chat('["yes"]'), "the answer doesn't hold: "),
    "nothing": (lambda asked: chat(None), "the answer is empty"),
    "a span missing": (lambda asked: chat('{"head": "' + asked.head + '", "span_1": "yes"}'), "span_2: "),
    "a span too many": (lambda asked: judged(asked, span_6="yes"), "span_6: "),
    "another head": (lambda asked: judged(asked, head="L99.H9"), "head: "),
    "another word": (lambda asked: judged(asked, span_3="maybe"), "span_3: "),
    "nearly a word": (lambda asked: judged(asked, span_3="Yes"), "span_3: "),
    "true": (lambda asked: judged(asked, span_3=True), "span_3: "),
    "null": (lambda asked: judged(asked, span_3=None), "span_3: "),
    "the key": (lambda asked: judged(asked, span_1=KEY), "span_1: "),
}


@dataclass
class Attempt:
    """What came of one command where every second head gets a hostile answer."""

    index: Path
    said: str


@pytest.fixture(scope="module")
def attempt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attempt]:
    index = span_index(tmp_path_factory.mktemp("hostile") / "hostile.clipdb", heads=2 * len(HOSTILE))
    heads = [f"L{10 + number // 4}.H{number % 4}" for number in range(2 * len(HOSTILE))]
    give_names(index, "llm:somebody", dict.fromkeys(heads, "colour"))
    behaviours = dict(zip(heads[::2], (one for one, _ in HOSTILE.values()), strict=True))
    with pytest.MonkeyPatch.context() as patch, serving(lambda one: behaviours.get(one.head, judged)(one)) as server:
        patch.setenv("OPENAI_API_KEY", KEY)
        yield Attempt(index, done(*asking("judge", index, server.url)))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_answer_is_an_error_on_each_span(attempt: Attempt, name: str) -> None:
    number, (_, reason) = 2 * list(HOSTILE).index(name), HOSTILE[name]
    found = rows(
        attempt.index,
        "select status, verdict, property, error, length(prompt_sha256) from judgements where (layer, head) = (?, ?)",
        10 + number // 4,
        number % 4,
    )
    assert len(found) == 5 and len(set(found)) == 1
    status, verdict, property, error, length = found[0]
    assert (status, verdict, property, length) == ("error", None, "colour", 64)
    assert reason in error and "\n" not in error and len(error) <= 300 and KEY[:8] not in error
    # Nothing rubs off on the head that is asked about next, and a failed call is no verdict.
    after = (10 + (number + 1) // 4, (number + 1) % 4)
    assert rows(attempt.index, "select status from judgements where (layer, head) = (?, ?)", *after) == [("ok",)] * 5
    scores = rows(attempt.index, "select judged, missing, ccs from ccs where (layer, head) = (?, ?)", *after)
    assert scores == [(4, 1, 2)]


def test_hostile_answers_are_counted(attempt: Attempt) -> None:
    count = len(HOSTILE)
    assert f"{count} heads judged by llm:small ({5 * count} verdicts), 0 skipped, {count} failed (the first" in (
        attempt.said
    )
    assert attempt.said.endswith("; run the same command again for these\n")
    assert rows(attempt.index, "select added, failed from runs where command = 'judge'") == [(5 * count, 5 * count)]
    heads = "select judged_heads, unjudged_heads from association"
    assert rows(attempt.index, heads) == [(count, count)]
    values = rows(attempt.index, "select columns(*)::text from judgements")
    assert KEY[:8] not in repr(values) and KEY[:8] not in attempt.said


def test_what_failed_is_asked_again(index: Path) -> None:
    with serving(lambda asked: failed(400) if asked.head == BAD and not asked.before else judged(asked)) as server:
        assert "5 heads judged by llm:small (25 verdicts), 0 skipped, 1 failed" in done(
            *asking("judge", index, server.url)
        )
        assert "1 head judged by llm:small (5 verdicts), 5 skipped, 0 failed\n" in done(
            *asking("judge", index, server.url)
        )
        assert "6 skipped" in done(*asking("judge", index, server.url))
        assert server.heads()[BAD] == 2 and len(server.asked) == 7
    statuses = rows(index, "select status, count(*) from judgements where (layer, head) = (10, 1) group by all")
    assert sorted(statuses) == [("error", 5), ("ok", 5)]


def test_all_fail(index: Path) -> None:
    with serving(lambda asked: failed(500, "out of order")) as server:
        line = refused(*asking("judge", index, server.url))
    assert line == "nothing was judged, all of 6 calls failed; the first: HTTP 500: out of order"
    assert rows(index, "select status, count(*), count(verdict) from judgements group by all") == [("error", 30, 0)]


def test_what_no_call_can_mend_stops(index: Path) -> None:
    with serving(lambda asked: judged(asked) if len(server.asked) <= 2 else failed(401, KEY)) as server:
        line = refused(*asking("judge", index, server.url, "--concurrency", 1))
        assert "set $OPENAI_API_KEY to a key" in line and KEY[:8] not in line and len(server.asked) == 3
        assert rows(index, "select status, count(*) from judgements group by all") == [("ok", 10)]
        server.behaviour = judged
        assert "4 heads judged by llm:small (20 verdicts), 2 skipped" in done(*asking("judge", index, server.url))
