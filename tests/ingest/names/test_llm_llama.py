"""Labels and verdicts from a real server, llama.cpp's: a model of random weights that is held to the schema."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from hostile_server import free_port
from llama_server import Llama
from span_index import MODEL, POOL, span_index
from support import change, done, refused, rows

from clipdb.ingest.names.llm.head_naming import Naming, label_by_llm
from clipdb.ingest.names.llm.judging import judge_by_llm
from clipdb.ingest.names.llm.server import Server
from clipdb.ingest.names.named_spans import Judging

VOCABULARY = {"animals", "colour", "Season"}
OPEN = re.compile(r"[A-Za-z][A-Za-z0-9 '&/-]{1,58}[A-Za-z0-9]")


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of one's own wants none."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture(scope="module")
def labelled(llama: Llama, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six heads, named by the pool's tags and then by the language model, with a closed vocabulary."""
    index = span_index(tmp_path_factory.mktemp("labelled") / "labelled.clipdb")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OPENAI_API_KEY", raising=False)
        done("label", "--labeller", "vote", "--pool", "plain", "-i", index)
        line = done(*asking("label", index, llama))
    assert line == f"{index}: 6 heads labelled by llm:random, 0 skipped, 0 failed\n"
    return index


@pytest.fixture
def index(labelled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(labelled, tmp_path / "own.clipdb"))


def asking(verb: str, index: Path, llama: Llama, *more: object) -> tuple[object, ...]:
    who = ("--labeller" if verb == "label" else "--judge", "llm")
    server = ("--llm-model", llama.model, "--base-url", llama.url, "--concurrency", 4)
    return (verb, *who, "--pool", "plain", *server, "-i", index, *more)


def nobody() -> Llama:
    """A server that isn't there: who asks it fails."""
    return Llama(f"http://127.0.0.1:{free_port()}/v1", "random")


def test_names_are_of_the_vocabulary(labelled: Path) -> None:
    found = rows(labelled, "select property, confidence, status, error from labels where labeller = 'llm:random'")
    assert len(found) == 6 and {one[2:] for one in found} == {("ok", None)}
    assert {one[0] for one in found} <= VOCABULARY | {None}
    assert all(0 <= one[1] <= 1 for one in found)
    assert rows(labelled, "select count(*) from head_labels where labeller = 'vote'") == [(6,)]


def test_heads_that_are_named_are_not_asked_about(index: Path) -> None:
    before = rows(index, "from labels order by all")
    assert "0 heads labelled by llm:random, 6 skipped" in done(*asking("label", index, nobody()))
    assert rows(index, "from labels order by all") == before
    assert "no server at http://127.0.0.1" in refused(*asking("label", index, nobody(), "--spans", 3, "--retries", 0))


def test_open_names_are_a_few_words(index: Path, llama: Llama) -> None:
    assert "6 heads labelled" in done(*asking("label", index, llama, "--open"))
    found = rows(index, "select property from labels where run = (select max(run) from labels)")
    assert len(found) == 6 and all(OPEN.fullmatch(name) for (name,) in found)
    assert "6 skipped" in done(*asking("label", index, nobody(), "--open"))


def test_repeats(index: Path, llama: Llama) -> None:
    line = done(*asking("label", index, llama, "--repeats", 3))
    assert "12 heads labelled by llm:random, 6 skipped, 0 failed" in line
    assert "18 skipped" in done(*asking("label", index, nobody(), "--repeats", 3))
    seeds = rows(index, "select (arguments->>'seed')::int, count(*) from labels join runs using (run) group by all")
    assert sorted(seeds, key=repr) == [(0, 6), (1, 6), (2, 6), (None, 6)]
    stability = "select distinct runs + failed from label_stability where labeller = 'llm:random'"
    assert rows(index, stability) == [(3,)]


def test_verdicts_are_on_the_names_and_their_spans(index: Path, llama: Llama) -> None:
    # Heads whose name is "none of these" have the one by vote.
    line = done(*asking("judge", index, llama))
    assert line == f"{index}: 6 heads judged by llm:random (30 verdicts), 0 skipped, 0 failed\n"
    judged = rows(
        index, "select model_id, layer, head, property, text, status from judgements join texts using (text_id)"
    )
    current = rows(index, "select layer, head, property from head_properties")
    names = {(layer, head): name for layer, head, name in current}
    texts = list(POOL)
    expected = {
        (MODEL, layer, head, name, text, "ok")
        for number, ((layer, head), name) in enumerate(sorted(names.items()))
        for text in (texts[number:] + texts[:number])[:5]
    }
    assert set(judged) == expected and len(judged) == 30
    assert {verdict for (verdict,) in rows(index, "select verdict from judgements")} <= {True, False, None}
    before = rows(index, "from judgements order by all")
    assert "6 skipped" in done(*asking("judge", index, nobody()))
    assert rows(index, "from judgements order by all") == before


def test_other_heads_names_are_judged_too(index: Path, llama: Llama) -> None:
    ((heads, names),) = rows(index, "select count(*), count(distinct property_key) from head_properties")
    line = done(*asking("judge", index, llama, "--top", 2, "--chance"))
    said = f"{heads * names} pairs of a head and a name judged by llm:random ({2 * heads * names} verdicts), 0 skipped"
    assert line == f"{index}: {said}, 0 failed\n"
    own = "select count(*) from judgements semi join head_properties using (model_id, layer, head, property)"
    assert rows(index, own) == [(2 * heads,)]
    assert rows(index, "select count(*) from chance_verdicts") == [(2 * heads * (names - 1),)]
    assert f"{heads * names} skipped" in done(*asking("judge", index, nobody(), "--top", 2, "--chance"))


def test_queries_say_what_is_independent(index: Path, llama: Llama) -> None:
    """The model judges its own names, and those by vote, which count when its own are gone."""
    change(index, "update labels set property = 'season' where labeller = 'llm:random'")
    done("judge", "--pool", "plain", "-i", index)
    done(*asking("judge", index, llama))
    # It doesn't go without saying that each head has a verdict: the model is free to be unsure of all its spans.
    verdicts = (
        "select layer, head, count_if(verdict) from judgements where judge = 'llm:random' and verdict is not null"
    )
    judged = rows(index, f"{verdicts} group by all")
    own = f"not independent: {len(judged)} own"
    assert notes(index, "association") == {"vote": "not independent", "llm:random": own}
    ccs = {
        row["head"]: row["ccs"]
        for row in json.loads(done("query", "ccs", "--judge", "llm:random", "-f", "json", "-i", index))
        if row["judged"]
    }
    assert ccs == {f"L{layer}.H{head}": count for layer, head, count in judged}
    done(*asking("judge", index, llama, "--labeller", "vote"))
    change(index, "delete from labels where labeller = 'llm:random'")
    assert notes(index, "association") == {"vote": "not independent", "llm:random": None}
    assert notes(index, "ccs") == {"vote": "not independent", "llm:random": None}


def notes(index: Path, query: str) -> dict[str, str | None]:
    return {row["judge"]: row["note"] for row in json.loads(done("query", query, "-f", "json", "-i", index))}


def test_answers_that_are_cut_off_are_errors(index: Path, llama: Llama) -> None:
    change(index, "delete from labels where labeller = 'llm:random'")
    short = Server(llama.model, llama.url, max_tokens=8, retries=0)
    outcome = label_by_llm(index, short, Naming("plain"))
    assert (outcome.failed, outcome.skipped) == (6, 0)
    found = rows(index, "select distinct status, property, error from labels where labeller = 'llm:random'")
    assert found == [("error", None, "the answer is longer than 8 tokens")]
    shorter = Server(llama.model, llama.url, max_tokens=1, retries=0)
    assert judge_by_llm(index, shorter, Judging("plain")).failed == 6
    found = rows(index, "select status, verdict, error, count(*) from judgements group by all")
    assert found == [("error", None, "the answer is longer than 81 tokens", 30)]
    # Which is no verdict, and leaves the name by vote.
    assert rows(index, "select distinct labeller from head_properties") == [("vote",)]
    assert rows(index, "from head_verdicts") == []


def test_a_prompt_that_is_too_long_fails_alone(llama: Llama, tmp_path: Path) -> None:
    index = span_index(tmp_path / "long.clipdb", heads=2, pool={"a heron " * 2000: "birds", "a kettle": "things"})
    line = done(*asking("label", index, llama, "--spans", 1))
    assert "1 head labelled by llm:random, 0 skipped, 1 failed (the first: HTTP 400: " in line
    assert rows(index, "select head, status from labels order by head") == [(0, "error"), (1, "ok")]
