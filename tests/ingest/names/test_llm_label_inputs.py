"""What a language model names heads from: spans, properties, vocabularies, examples; and those that won't do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hostile_server import asking, named, serving
from span_index import span_index
from support import done, refused, rows

pytestmark = pytest.mark.usefixtures("key")


@pytest.fixture
def index(own_spans: Path) -> Path:
    return own_spans


def test_a_pool_without_properties_needs_words(tmp_path: Path) -> None:
    index = span_index(tmp_path / "bare.clipdb", heads=2, pool={"a kettle": None, "a door": " . "})
    with serving() as server:
        line = refused(*asking("label", index, server.url))
        assert line == (
            "the pool 'plain' names no properties to choose from: "
            "add --vocabulary FILE with one property per line, or --open for the model's own words"
        )
        assert server.asked == []
        assert "2 heads labelled" in done(*asking("label", index, server.url, "--open"))
    assert rows(index, "select distinct property from labels") == [("colour",)]


def test_none_of_these_is_offered_once_whatever_a_pool_calls_it(tmp_path: Path) -> None:
    tags = ["shape", "None of these", "none of these.", " none of  these", "Shape.", "art"]
    index = span_index(
        tmp_path / "none.clipdb", heads=1, pool={f"text {number}": tag for number, tag in enumerate(tags)}
    )
    with serving(lambda asked: named(asked, property="art")) as server:
        done(*asking("label", index, server.url))
    assert server.asked[0].schema["properties"]["property"]["enum"] == ["Shape.", "art", "none of these"]


def test_no_spans(index: Path) -> None:
    with serving() as server:
        assert "has no spans from the pool 'other': it has spans from plain" in refused(
            *asking("label", index, server.url, "--pool", "other")
        )
        assert "has no model 'a/b': it has " in refused(*asking("label", index, server.url, "--model", "a/b"))
    assert rows(index, "select count(*) from runs where command = 'label'") == [(0,)]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("words.txt", b"", "has no property: write one per line"),
        ("words.txt", b"\xff\xfe\x00", "is not UTF-8 text"),
        ("words.txt", b"x" * 81, "has a property of more than 80 characters"),
        ("words.txt", b"\n".join(b"%d" % one for one in range(501)), "has 501 properties, more than the 500"),
        ("words.txt", None, "cannot read"),
        ("some.json", b"{}", "is no list of examples (Input should be a valid"),
        ("some.json", b"[", "is no list of examples (Invalid JSON"),
        ("some.json", b"\xff", "is no list of examples (Invalid JSON"),
        ("some.json", b'[{"descriptions": ["a"], "property": "b"}]', "(entry 1.rationale: Field required)"),
        ("some.json", b'[{"descriptions": ["a", ""], "property": "b", "rationale": "c"}]', "(entry 1.descriptions.2: "),
        ("some.json", b'[{"descriptions": [], "property": "b", "rationale": "c"}]', "(entry 1.descriptions: "),
        ("some.json", b'[{"descriptions": ["a"], "property": "b", "rationale": "c", "d": 1}]', "(entry 1.d: "),
        ("some.json", b'[{"descriptions": ["a"], "property": 1, "rationale": "c"}]', "(entry 1.property: "),
        ("some.json", None, "cannot read"),
    ],
)
def test_bad_files(index: Path, tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    option = "--vocabulary" if name == "words.txt" else "--examples"
    with serving() as server:
        line = refused(*asking("label", index, server.url, option, path))
        assert str(path) in line and says in line
        assert server.asked == []
    assert rows(index, "select count(*) from runs where command = 'label'") == [(0,)]
