"""Review in the browser: what is decided is on disk before the next head shows, as `clipdb review` writes it."""

from __future__ import annotations

import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_parts import HOST, Client, Parts, client_of
from support import MODEL, Process, done, refused, rows, until

import clipdb
from clipdb.demo import write_scenes
from clipdb.explorer.site import Site
from clipdb.ingest.store.lock import LOCK, writer_lock

DECIDED = (
    "select model_id || ' ' || name, property, status from labels join heads using (model_id, layer, head) "
    "where labeller = 'human:ann' order by layer, head"
)
SPANS = "select text from spans where layer = 1 and head = 0 order by rank limit 10"


@pytest.fixture
def site(own_index: Path, tmp_path: Path) -> Site:
    return Site(own_index, device="cpu", thumbnails=tmp_path / "t.db", reviewer="ann")


@pytest.fixture
def client(site: Site) -> Iterator[Client]:
    with client_of(site) as client:
        yield client


def on_disk(index: Path, sql: str) -> list[tuple[Any, ...]]:
    """Query a copy of the file: DuckDB opens the file that an explorer reads only in the explorer's way."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(index / "catalog.duckdb", folder)
        return rows(Path(folder), sql)


def shown(page: str) -> str:
    """The name that a page asks about."""
    return next(attrs["value"] or "" for _, attrs in Parts(page).elements if attrs.get("name") == "shown")


def decide(client: Client, address: str, **said: str) -> str:
    """Send a decision; return the address of the next page, once the decision is written."""
    sent = client.post(address, data=said)
    assert sent.status_code == 303, sent.text
    while "/written/" in sent.headers["location"]:
        sent = client.settled(sent.headers["location"])
        assert sent.status_code == 303, sent.text
    return str(sent.headers["location"])


def test_accept_rename_reject_and_skip(client: Client, own_index: Path) -> None:
    first = client.get("/review/next?blind=").headers["location"]
    assert first == f"/review/{MODEL}/L1.H0?"
    page = client.get(first)
    name = shown(page.text)
    with clipdb.open(own_index) as index:
        spans = [row[0] for row in index.sql(SPANS).fetchall()]
    assert re.findall(r"<li>(.*?)</li>", page.text)[: len(spans)] == spans and "images/" in page.text
    second = decide(client, first, decision="accept", shown=name)
    assert second.startswith(f"/review/{MODEL}/L1.H1") and len(on_disk(own_index, DECIDED)) == 1
    third = decide(client, second, decision="rename", property="  sailing ", shown="x")
    rejected = shown(client.get(third).text)
    fourth = decide(client, third, decision="reject", shown=rejected)
    assert f'value="{rejected}"><button' in client.get(third).text  # Back, to take it after all
    fifth = decide(client, fourth, decision="skip", shown="x")
    assert fifth.startswith(f"/review/{MODEL}/L1.H4")
    assert on_disk(own_index, DECIDED) == [
        (f"{MODEL} L1.H0", name, "ok"),
        (f"{MODEL} L1.H1", "sailing", "ok"),
        (f"{MODEL} L1.H2", rejected, "rejected"),
    ]
    assert "sailing" in client.get(f"/models/{MODEL}").text
    # What is left begins with the head that was skipped; the command line goes on from here, and the other way round.
    assert "/L1.H3" in client.get("/review/next").headers["location"]
    clipdb.review(own_index, "L1.H3", "sky", reviewer="ann")
    assert "/L1.H4" in client.get("/review/next").headers["location"]
    start = client.get("/review").text
    assert "<dd>4</dd>" in start and f"clipdb review --reviewer ann -i {own_index}" in start
    # Back, and another decision.
    again = client.get(second)
    assert "decided on this head before" in again.text
    decide(client, second, decision="rename", property="rowing")
    assert on_disk(own_index, DECIDED + ", run")[1:3] == [
        (f"{MODEL} L1.H1", "sailing", "ok"),
        (f"{MODEL} L1.H1", "rowing", "ok"),
    ]


def test_blind_and_a_sample_are_in_the_address(client: Client, own_index: Path) -> None:
    address = client.get("/review/next?sample=2&seed=7&blind=1").headers["location"]
    assert address.endswith("?sample=2&seed=7&blind=1")
    drawn = [card.name for card in clipdb.review_cards(own_index, reviewer="ann", sample=2, seed=7)]
    assert f"/{drawn[0]}?" in address
    page = Parts(client.get(address).text)
    named = {one for (one,) in on_disk(own_index, "select distinct property from labels")}
    parts = [page.text, *(str(value) for _, attrs in page.elements for value in attrs.values())]
    spans = {one for (one,) in on_disk(own_index, "select text from spans")}
    for text in spans:
        parts = [part.replace(text, "") for part in parts]
    assert not [one for one in named for part in parts if re.search(rf"\b{one}\b", part)] and "vote" not in page.text
    refused = client.post(address, data={"decision": "accept", "shown": "colour"})
    assert refused.status_code == 422 and "write your own" in refused.text
    following = decide(client, address, decision="rename", property="sky")
    assert f"/{drawn[1]}?" in following
    assert decide(client, following, decision="rename", property="sea").startswith("/review?")
    assert "Nothing is left" in client.get("/review?sample=2&seed=7&blind=1").text
    blind = "select distinct json_extract_string(arguments, 'blind') from runs where command = 'review'"
    assert on_disk(own_index, blind) == [("true",)]


def test_a_decision_waits_for_an_ingest(
    client: Client, own_index: Path, model: tuple[object, ...], tmp_path: Path
) -> None:
    write_scenes(tmp_path / "more", 150, seed=99)
    with client_of(Site(own_index, thumbnails=tmp_path / "other.db")) as reader:
        ingest = Process(
            tmp_path / "log", "ingest", "images", tmp_path / "more", *model, "--workers", 0, "-i", own_index
        )
        holder = own_index / LOCK  # which is read, not tried: an ingest that finds it taken gives up
        assert until(lambda: f'"pid": {ingest.pid},' in holder.read_text())
        ingest.signal(signal.SIGSTOP)  # or it may be done before the answers below are
        sent = client.post(f"/review/{MODEL}/L1.H0", data={"decision": "rename", "property": "sky"})
        waiting = client.get(sent.headers["location"])
        assert waiting.status_code == 202 and waiting.headers["refresh"], waiting.text
        assert "your answer is kept" in waiting.text and "clipdb ingest images" in waiting.text
        assert reader.get(f"/models/{MODEL}").status_code == 200  # nobody who reads has to wait
        ingest.signal(signal.SIGCONT)
        settled = client.settled(sent.headers["location"])
        assert ingest.wait() == 0 and "/L1.H1" in settled.headers["location"]
    assert [row[1] for row in on_disk(own_index, DECIDED)] == ["sky"]
    assert on_disk(own_index, "select count(*) from images") == [(450,)]


def test_what_a_stopped_explorer_could_not_write_is_said(
    own_index: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    site = Site(own_index, thumbnails=tmp_path / "t.db", reviewer="ann")
    with writer_lock(own_index), client_of(site) as client:
        sent = client.post(f"/review/{MODEL}/L1.H0", data={"decision": "rename", "property": "sky"})
        assert client.get(sent.headers["location"]).status_code == 202
    assert f"the decision on {MODEL} L1.H0, 'sky', was not written" in caplog.text + capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "said", "status", "detail"),
    [
        ("L1.H0", {"decision": "rename", "property": " ... "}, 422, "write a word or two"),
        ("L1.H0", {"decision": "rename", "property": "two\nlines"}, 422, "write a word or two"),
        ("L1.H0", {"decision": "rename"}, 422, "write a word or two"),
        ("L1.H0", {"decision": "accept"}, 422, "no name is shown"),
        ("L1.H0", {"decision": "delete"}, 422, "is no decision"),
        ("L1.H0", {}, 422, "is no decision"),
        ("L9.H9", {"decision": "skip"}, 404, "not among the heads"),
        ("nine", {"decision": "skip"}, 422, "nine"),
        ("L1.H0?sample=no", {"decision": "skip"}, 422, "--sample takes a whole number"),
        ("L1.H0?sample=0", {"decision": "skip"}, 422, "--sample takes 1 or more"),
        ("L1.H0?labeller=llm:x", {"decision": "skip"}, 404, "has no heads"),
    ],
)
def test_what_is_no_decision_changes_nothing(
    shown_index: Path, address: str, said: dict[str, str], status: int, detail: str, tmp_path: Path
) -> None:
    with client_of(Site(shown_index, thumbnails=tmp_path / "t.db", reviewer="ann")) as client:
        sent = client.post(f"/review/{MODEL}/{address}", data=said)
        assert sent.status_code == status and detail in Parts(sent.text).text
        other = client.post(f"/review/{MODEL}/L1.H0", data=said, headers={"origin": "http://evil.example"})
        assert other.status_code == 403
        assert client.get(f"/review/{MODEL}/L1.H0/written/7").status_code == 404
    assert on_disk(shown_index, DECIDED) == []


def test_without_a_reviewer_the_page_says_how_to_begin(explorer: Client) -> None:
    for address in ("/review", "/review/next", f"/review/{MODEL}/L1.H0", f"/review/{MODEL}/L1.H0/written/0"):
        answer = explorer.get(address)
        assert answer.status_code == 403 and "clipdb serve --reviewer NAME" in answer.text
    sent = explorer.post(f"/review/{MODEL}/L1.H0", data={"decision": "skip"}, headers={"origin": f"http://{HOST}"})
    assert sent.status_code == 403 and 'href="/review"' not in explorer.get("/status").text


def test_who_cannot_review(shown_index: Path, tmp_path: Path) -> None:
    serve = ("serve", "-i", shown_index, "--port", 0)
    assert "isn't a valid name" in refused(*serve, "--reviewer", " ")
    assert "add --allow review" in refused(*serve, "--reviewer", "ann", "--public")
    assert "needs --reviewer" in refused(*serve, "--public", "--allow", "review")
    assert "--allow goes with --public" in refused(*serve, "--allow", "sql")
    done("export", "artefact", tmp_path / "export", "-i", shown_index)
    assert "export" in refused("serve", "-i", tmp_path / "export", "--port", 0, "--reviewer", "ann")
