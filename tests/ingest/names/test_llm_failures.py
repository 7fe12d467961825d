"""Labels by a language model where calls fail or are stopped: nothing is lost, and nothing is asked twice in vain."""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from pathlib import Path

import duckdb
import pytest
from hostile_server import KEY, Asked, Sent, asking, assert_no_key, failed, free_port, named, serving
from span_index import span_index
from support import Process, done, refused, rows, until

from clipdb.schema.snapshots import WORK

BAD = "L10.H1"


pytestmark = pytest.mark.usefixtures("key")


@pytest.fixture
def index(own_spans: Path) -> Path:
    return own_spans


def test_what_failed_is_asked_again(index: Path) -> None:
    with serving(lambda asked: failed(400) if asked.head == BAD and not asked.before else named(asked)) as server:
        assert "1 failed" in done(*asking("label", index, server.url))
        assert "1 head labelled by llm:small, 5 skipped, 0 failed\n" in done(*asking("label", index, server.url))
        assert "6 skipped" in done(*asking("label", index, server.url))
        assert server.heads()[BAD] == 2 and len(server.asked) == 7
    # What failed once stays on record.
    found = rows(index, "select status, property from labels where (layer, head) = (10, 1) order by run")
    assert found == [("error", None), ("ok", "colour")]


def test_it_tries_again_and_waits_as_long_as_the_server_says(index: Path) -> None:
    def troubled(asked: Asked) -> Sent:
        trouble = [failed(500), failed(429, "slow", {"Retry-After": "1"}), named(asked)]
        return trouble[asked.before] if asked.head == BAD else named(asked)

    with serving(troubled) as server:
        assert "6 heads labelled" in done(*asking("label", index, server.url, "--retries", 2))
        _, second, third = (one.at for one in server.asked if one.head == BAD)
    assert third - second >= 1
    assert rows(index, "select status, count(*) from labels group by all") == [("ok", 6)]


def test_all_fail(index: Path) -> None:
    with serving(lambda asked: failed(500, "out of order")) as server:
        line = refused(*asking("label", index, server.url))
    assert line == "no head was labelled, all of 6 calls failed; the first: HTTP 500: out of order"
    assert rows(index, "select status, count(*), count(property) from labels group by all") == [("error", 6, 0)]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (failed(401, f"Incorrect API key provided: {KEY}"), "set $OPENAI_API_KEY to a key that it takes for small"),
        (failed(401, f"no such key: {KEY[:8]}****{KEY[-4:]}"), "HTTP 401 (no such key: [hidden]): set $OPENAI_API_KEY"),
        (failed(402, "no money"), "answers HTTP 402 (no money): set $OPENAI_API_KEY"),
        (failed(403, f"Bearer {KEY} may not"), "answers HTTP 403 ([hidden] may not)"),
        (failed(404, "no such model"), "HTTP 404 (no such model): name a model that it has with --llm-model"),
        (failed(429, "quota", code="insufficient_quota"), "answers HTTP 429 (quota): set $OPENAI_API_KEY"),
    ],
    ids=["401", "masked", "402", "403", "404", "quota"],
)
def test_what_no_call_can_mend_stops(index: Path, answer: Sent, says: str) -> None:
    """What was answered before is kept, and is not asked about again."""

    def until_the_fourth(asked: Asked) -> Sent:
        return named(asked) if len(server.asked) <= 3 else answer

    with serving(until_the_fourth) as server:
        line = refused(*asking("label", index, server.url, "--concurrency", 1))
        assert says in line and server.url in line and len(server.asked) == 4
        assert_no_key(index, line)
        assert rows(index, "select status, count(*) from labels group by all") == [("ok", 3)]
        server.behaviour = named
        assert "3 heads labelled by llm:small, 3 skipped" in done(*asking("label", index, server.url))


@pytest.mark.parametrize("where", ["http://127.0.0.1:{port}/v1", "http://me:{key}@127.0.0.1:{port}/v1"])
def test_no_server(index: Path, where: str) -> None:
    port = free_port()
    line = refused(*asking("label", index, where.format(port=port, key=KEY)))
    assert line.startswith(f"no server at http://127.0.0.1:{port}/v1 (") and "start it, or name another" in line
    assert rows(index, "select count(*) from runs where command = 'label'") == [(0,)]
    assert_no_key(index, line)


def test_the_address_of_another_server(index: Path) -> None:
    with serving() as server:
        assert "HTTP 404" in refused(*asking("label", index, server.url.replace("/v1", "/v2")))


def test_killed_again_and_again(tmp_path: Path) -> None:
    index = span_index(tmp_path / "many.clipdb", heads=60)

    def slow(asked: Asked) -> Sent:
        return Sent(named(asked).body, delay=0.1)  # few are asked while a commit is written

    with serving(slow) as server:
        answered = 0
        for turn in range(2):
            before = len(server.asked)
            process = Process(tmp_path / f"{turn}.log", *asking("label", index, server.url, "--concurrency", 2))
            assert until(lambda before=before: len(server.asked) >= before + 24)
            process.signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            with duckdb.connect(index / WORK, read_only=True) as kept:  # what is committed, published or not
                now = kept.execute("select count(*) from labels where status = 'ok'").fetchall()[0][0]
            # What was asked in vain is at most what a commit holds, and calls under way.
            assert len(server.asked) - before - (now - answered) <= 16 + 4
            answered = now
        assert 0 < answered < 60
        before = len(server.asked)
        done(*asking("label", index, server.url))
        assert len(server.asked) - before == 60 - answered
    once = Counter({(10 + head // 4, head % 4): 1 for head in range(60)})
    assert Counter(rows(index, "select layer, head from labels where status = 'ok'")) == once
    assert rows(index, "select count(*) from labels") == [(60,)]


def test_what_a_killed_run_had_not_published_is_not_asked_again(index: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(index, tmp_path / "other.clipdb", symlinks=True))
    with serving() as server:
        done(*asking("label", other, server.url))
        shutil.copyfile(other / WORK, index / WORK)  # as a kill between the commit and the publication leaves it
        assert "0 heads labelled by llm:small, 6 skipped" in done(*asking("label", index, server.url))
        assert len(server.asked) == 6
    assert rows(index, "select count(*) from labels") == [(6,)]


def test_stopped_by_a_person(index: Path, tmp_path: Path) -> None:
    """It ends at once, with what came, though calls are under way."""

    def hangs(asked: Asked) -> Sent:
        return named(asked) if len(server.asked) <= 3 else Sent(named(asked).body, delay=120)

    with serving(hangs) as server:
        private = server.url.replace("//", f"//me:{KEY}@")
        process = Process(tmp_path / "log", *asking("label", index, private, "--concurrency", 1, "--timeout", 300))
        assert until(lambda: len(server.asked) == 4)
        busy = refused("label", "--pool", "plain", "-i", index)
        assert f"process {process.pid} (clipdb label" in busy and server.url in busy
        process.signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert (tmp_path / "log").read_text() == "Stopped.\n"
        assert_no_key(index, busy)
        assert rows(index, "select status, count(*) from labels group by all") == [("ok", 3)]
        assert rows(index, "select added, finished_at from runs where command = 'label'") == [(3, None)]
        server.behaviour = named
        assert "3 heads labelled by llm:small, 3 skipped" in done(*asking("label", index, server.url))
