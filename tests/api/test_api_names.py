"""Names, verdicts and decisions through the Python API: what a language model would be asked, is asked, and is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hostile_server import KEY, serving
from span_index import MODEL, span_index
from support import rows

import clipdb
from clipdb.ingest.names.llm.outcome import Calls, Outcome

HEADS = 3


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return span_index(tmp_path / "spans.clipdb", heads=HEADS)


def test_a_language_model_names_and_judges(
    index: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    told: list[tuple[str, int, int | None]] = []
    with serving() as served:
        server = clipdb.Server("small", base_url=served.url)
        planned = clipdb.label(index, labeller="llm", server=server, repeats=2, dry_run=True)
        assert isinstance(planned, Calls) and served.asked == []
        assert (planned.count, planned.skipped, planned.answer_tokens) == (2 * HEADS, 0, 2 * HEADS * server.max_tokens)
        labelled = clipdb.label(index, labeller="llm", server=server, progress=lambda *now: told.append(now))
        assert labelled == Outcome(answered=HEADS, rows=HEADS)
        judged = clipdb.judge(index, judge="llm", server=server, dry_run=True)
        assert isinstance(judged, Calls) and judged.count == HEADS
        assert len(served.asked) == HEADS
    assert told[-1] == ("heads", HEADS, HEADS)
    assert capfd.readouterr() == ("", "")


def test_a_language_model_needs_a_server(index: Path) -> None:
    with pytest.raises(clipdb.ClipdbError, match=r"pass server=clipdb.Server\(MODEL, base_url=URL\)"):
        clipdb.label(index, labeller="llm")


def test_a_person_decides(index: Path) -> None:
    card = clipdb.review_cards(index, reviewer="ada", spans=2)[1]
    assert (card.model_id, card.name, card.reviewed, len(card.spans)) == (MODEL, "L10.H1", False, 2)
    first, second = (span["text"] for span in card.spans)
    clipdb.review(index, card.name, "seas", reviewer="ada", confidence=0.5, verdicts={first: True, second: None})
    assert [one.name for one in clipdb.review_cards(index, reviewer="ada") if one.reviewed] == ["L10.H1"]
    assert rows(index, "select property, labeller, pool, confidence from labels") == [
        ("seas", "human:ada", "plain", 0.5)
    ]
    assert rows(index, "select text, verdict from judgements join texts using (text_id) order by text = ?", second) == [
        (first, True),
        (second, None),
    ]


def test_what_a_person_says_has_to_hold(index: Path) -> None:
    for message, given in {
        "'ships on Mars' is no span of L10.H0 from the pool 'plain'": {"verdicts": {"ships on Mars": True}},
        "'two\\\\nlines' isn't a valid name for a head": {"property": "two\nlines"},
        "has no head L9.H0": {"head": "L9.H0"},
        "a/b has no head L10.H0": {"model": "a/b"},
    }.items():
        said = {"head": "L10.H0", "property": "seas", "reviewer": "ada"} | given
        with pytest.raises(clipdb.ClipdbError, match=message):
            clipdb.review(index, **said)  # type: ignore[arg-type]
    assert rows(index, "from labels") == []


def test_whose_head_it_is_has_to_be_said_where_there_are_two(tmp_path: Path) -> None:
    index = span_index(tmp_path / "two.clipdb", heads=2, models=("A/x", "B/x"))
    with pytest.raises(clipdb.ClipdbError, match=r"has several models: say whose head it is \(A/x, B/x\)"):
        clipdb.review(index, "L10.H0", "seas", reviewer="ada")
    clipdb.review(index, "L10.H0", "seas", reviewer="ada", model="B/x")
    assert rows(index, "select model_id from labels") == [("B/x",)]
