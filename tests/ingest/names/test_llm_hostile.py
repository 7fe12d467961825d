"""Labels by a language model on a server that lies, or answers as no server should: nothing wrong is stored."""

from __future__ import annotations

import gzip
import io
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hostile_server import KEY, Asked, Sent, asking, assert_no_key, chat, chunked, failed, named, serving
from span_index import span_index
from support import clipdb, done, rows

MEGABYTES = b" " * 10 * 2**20


pytestmark = pytest.mark.usefixtures("key")


@pytest.fixture
def index(own_spans: Path) -> Path:
    return own_spans


def whole(**change: object) -> Sent:
    """Give a completion with something changed in its outer JSON."""
    return Sent(json.dumps(json.loads(chat("{}").body) | change).encode())


def gzipped(asked: Asked) -> Sent:
    return Sent(gzip.compress(MEGABYTES), headers={"Content-Encoding": "gzip"})


def echoed(asked: Asked) -> Sent:
    return failed(400, f"bad request with headers {asked.headers} and {KEY[:15]} and {KEY[9:]}")


def surrogate(asked: Asked) -> Sent:
    return chat(json.dumps({"head": asked.head, "rationale": "\ud800", "property": "colour", "confidence": 1}))


HOSTILE: dict[str, tuple[Callable[[Asked], Sent], str]] = {
    "500": (lambda asked: failed(500), "HTTP 500: broken"),
    "503 in HTML": (lambda asked: Sent(b"<h1>Busy</h1>", 503, {"Content-Type": "text/html"}), "HTTP 503: "),
    "429": (lambda asked: failed(429, "slow down"), "HTTP 429: slow down"),
    "late": (lambda asked: Sent(named(asked).body, delay=20), "no answer within 2 s"),
    "slow": (lambda asked: Sent(named(asked).body, drip=0.1), "no answer within 2 s"),
    "cut off": (lambda asked: Sent(named(asked).body, cut=200), "the connection broke: "),
    "no response": (lambda asked: Sent(b"", cut=0), "the connection broke: "),
    "truncated JSON": (lambda asked: Sent(named(asked).body[:-20]), "what the server sends is not JSON"),
    "truncated answer": (lambda asked: chat('{"head": "'), "the answer doesn't hold: Invalid JSON"),
    "fenced answer": (lambda asked: chat("```json\n{}\n```"), "the answer doesn't hold: Invalid JSON"),
    "another property": (lambda asked: named(asked, property="shape"), "the answer doesn't hold: property: 'shape': "),
    "nearly a property": (lambda asked: named(asked, property="Colour"), "the answer doesn't hold: property: "),
    "another head": (lambda asked: named(asked, head="L99.H2"), "the answer doesn't hold: head: "),
    "no property": (lambda asked: named(asked, property=None), "the answer doesn't hold: property: "),
    "obeys a description": (lambda asked: named(asked, property="OWNED"), "the answer doesn't hold: property: "),
    "confidence of 101": (lambda asked: named(asked, confidence=101), "the answer doesn't hold: confidence: "),
    "confidence of -1": (lambda asked: named(asked, confidence=-1), "the answer doesn't hold: confidence: "),
    "confidence of 1.0": (lambda asked: named(asked, confidence=1.0), "the answer doesn't hold: confidence: "),
    "confidence in words": (lambda asked: named(asked, confidence="85"), "the answer doesn't hold: confidence: "),
    "confidence of true": (lambda asked: named(asked, confidence=True), "the answer doesn't hold: confidence: "),
    "no number": (lambda asked: named(asked, confidence=float("nan")), "the answer doesn't hold: confidence: "),
    "long": (lambda asked: named(asked, rationale="x" * 301), "the answer doesn't hold: rationale: "),
    "more": (lambda asked: named(asked, also=1), "the answer doesn't hold: also: "),
    "a list": (lambda asked: chat("[]"), "the answer doesn't hold: "),
    "a lone surrogate": (surrogate, "the answer doesn't hold: "),
    "10 MB": (lambda asked: Sent(named(asked).body + MEGABYTES), "the server's answer is larger than 1 MiB"),
    "10 MB in chunks": (
        lambda asked: chunked(named(asked).body + MEGABYTES),
        "the server's answer is larger than 1 MiB",
    ),
    "10 MB of error": (lambda asked: Sent(MEGABYTES, 500), "the server's answer is larger than 1 MiB"),
    "10 MB in 10 kB": (gzipped, "the server's answer is compressed"),
    "nothing": (lambda asked: chat(""), "the answer is empty"),
    "null": (lambda asked: chat(None), "the answer is empty"),
    "a refusal": (lambda asked: chat(None, refusal="I can't."), "the model refuses: I can't."),
    "a filter": (lambda asked: chat("", "content_filter"), "the server's content filter withheld the answer"),
    "too many tokens": (lambda asked: chat("{", "length"), "the answer is longer than 1024 tokens"),
    "HTML": (lambda asked: Sent(b"<html>", headers={"Content-Type": "text/html"}), "no chat completion"),
    "not JSON": (lambda asked: Sent(b"colour"), "what the server sends is not JSON"),
    "another JSON": (lambda asked: Sent(b"[1, 2]"), "no chat completion"),
    "null choices": (lambda asked: whole(choices=None, error={"message": "?"}), "no chat completion"),
    "no choice": (lambda asked: whole(choices=[]), "no chat completion"),
    "bare choices": (lambda asked: whole(choices=[1]), "no chat completion"),
    "no message": (lambda asked: whole(choices=[{"finish_reason": "stop"}]), "no chat completion"),
    "deep JSON": (lambda asked: Sent(b"[" * 200_000), "no chat completion"),
    "a ring of redirects": (
        lambda asked: Sent(b"", 307, {"Location": "/v1/chat/completions"}),
        "the connection broke: Exceeded maximum allowed redirects",
    ),
    "the key in an error": (echoed, "HTTP 400: bad request with headers"),
    "the key in the answer": (lambda asked: named(asked, rationale=f"for {KEY}"), "the answer repeats the key"),
    "the key's end": (lambda asked: named(asked, rationale=KEY[-12:]), "the answer repeats the key"),
}


@dataclass
class Attempt:
    """What came of one command on an index where half of the heads get a hostile answer each."""

    index: Path
    said: str
    exit_code: int
    log: str
    asked: Counter[str]

    def row(self, head: int) -> tuple[object, ...]:
        columns = "status, property, confidence, rationale, error"
        (row,) = rows(self.index, f"select {columns} from labels where (layer, head) = (?, ?)", *place(head))
        return row


def place(head: int) -> tuple[int, int]:
    return 10 + head // 4, head % 4


@pytest.fixture(scope="module")
def attempt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attempt]:
    """Ask about a head for each hostile behaviour, and after each about one that is answered well."""
    index = span_index(tmp_path_factory.mktemp("hostile") / "hostile.clipdb", heads=2 * len(HOSTILE))
    behaviours = {"L{}.H{}".format(*place(2 * number)): one for number, (one, _) in enumerate(HOSTILE.values())}
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.DEBUG)
    with pytest.MonkeyPatch.context() as patch, serving(lambda one: behaviours.get(one.head, named)(one)) as server:
        patch.setenv("OPENAI_API_KEY", KEY)
        result = clipdb(*asking("label", index, server.url, "--timeout", 2))
        yield Attempt(index, result.stdout + result.stderr, result.exit_code, log.getvalue(), server.heads())
    logging.getLogger().removeHandler(handler)
    logging.getLogger().setLevel(level)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_answer_is_an_error(attempt: Attempt, name: str) -> None:
    number, (_, reason) = list(HOSTILE).index(name), HOSTILE[name]
    status, *nothing, error = attempt.row(2 * number)
    assert status == "error" and nothing == [None] * 3
    assert isinstance(error, str) and reason in error and "\n" not in error and len(error) <= 300
    assert not rows(attempt.index, "from head_properties where (layer, head) = (?, ?)", *place(2 * number))
    if reason.startswith("the answer doesn't hold"):
        assert error.endswith("take a server and a model with structured output (JSON schema)")
    # Nothing rubs off on the head that is asked about next.
    assert attempt.row(2 * number + 1)[0::4] == ("ok", None)
    assert name == "a ring of redirects" or attempt.asked["L{}.H{}".format(*place(2 * number))] == 1


def test_hostile_answers_are_counted(attempt: Attempt) -> None:
    count = len(HOSTILE)
    assert attempt.exit_code == 0
    assert f"{count} heads labelled by llm:small, 0 skipped, {count} failed (the first: " in attempt.said
    found = rows(attempt.index, "select status, count(*), count(property) from labels group by all order by all")
    assert found == [("error", count, 0), ("ok", count, count)]
    assert rows(attempt.index, "select added, failed from runs where command = 'label'") == [(count, count)]


def test_the_key_is_nowhere(attempt: Attempt) -> None:
    assert "HTTP Request" in attempt.log
    assert_no_key(attempt.index, attempt.said, attempt.log)


def test_nothing_that_steers_a_terminal_is_stored(index: Path) -> None:
    with serving(lambda asked: named(asked, rationale="\x1b[31mred\x00 \u202eand\n\nblue")) as server:
        done(*asking("label", index, server.url))
    assert rows(index, "select distinct rationale from labels") == [("[31mred and blue",)]


def test_open_names_are_bounded(index: Path) -> None:
    answers = ["art style", "x", "a\nb", "x" * 61, "colour; drop table labels", "1990s"]

    def own_words(asked: Asked) -> Sent:
        return named(asked, property=answers[4 * int(asked.head[1:3]) + int(asked.head[-1]) - 40])

    with serving(own_words) as server:
        done(*asking("label", index, server.url, "--open"))
    assert rows(index, "select property from labels where status = 'ok'") == [("art style",)]
    assert rows(index, "select count(*) from labels where status = 'error'") == [(5,)]
