"""What kind a failure is of, as a program that calls `clipdb` sees it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from support import change

import clipdb
from clipdb.errors import Kind
from clipdb.ingest.store.lock import writer_lock


def kind(call: Callable[[], object]) -> str:
    """Return the kind of the failure that a call ends in."""
    with pytest.raises(clipdb.ClipdbError) as caught:
        call()
    return caught.value.kind


def ask(index: Path, query: str, **values: object) -> Callable[[], object]:
    """Return the call of a named query."""

    def asked() -> object:
        with clipdb.open(index) as opened:
            return getattr(opened.query, query)(**values).fetchall()

    return asked


def test_the_kinds_are_those_that_are_documented() -> None:
    listed = [line.split("``")[1] for line in (clipdb.ClipdbError.__doc__ or "").splitlines() if "- ``" in line]
    assert sorted(listed) == sorted(get_args(Kind))


def test_a_package_that_is_not_installed_is_missing(ready_index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic", None)  # Python finds no such module then
    assert kind(lambda: clipdb.label(ready_index, labeller="llm", server=clipdb.Server("m"))) == "missing"


def test_what_does_not_exist_is_absent(ready_index: Path, scenes: Path, tmp_path: Path) -> None:
    index = ready_index
    assert kind(lambda: clipdb.open(tmp_path / "none.clipdb")) == "absent"
    assert kind(lambda: clipdb.open(tmp_path)) == "absent"
    assert kind(lambda: clipdb.verify(tmp_path / "none.clipdb")) == "absent"
    assert kind(lambda: clipdb.import_artefact(index, tmp_path / "none")) == "absent"
    assert kind(lambda: clipdb.ingest_images(tmp_path / "new.clipdb", scenes, model="ViT-B-33/openai")) == "absent"
    assert kind(lambda: clipdb.ingest_texts(index, tmp_path / "none.csv", pool="p", progress=False)) == "absent"
    assert kind(lambda: clipdb.span(index, pool="nobody's", progress=False)) == "absent"
    assert kind(lambda: clipdb.span(index, model="some/other", progress=False)) == "absent"
    assert kind(lambda: clipdb.label(index, pool="nobody's")) == "absent"
    assert kind(lambda: clipdb.judge(index, labeller="nobody")) == "absent"
    assert kind(lambda: clipdb.review(index, "L9.H9", "colour", reviewer="ada")) == "absent"
    assert kind(lambda: clipdb.export(index, tmp_path / "export", models=["some/other"])) == "absent"
    with clipdb.open(index) as opened:
        assert kind(lambda: clipdb.segment(opened, "nowhere.png", "a ship")) == "absent"
    assert kind(ask(index, "neighbours", image="nowhere.png", head="L3.H1")) == "absent"
    assert kind(ask(index, "heads", property="nothing like it")) == "absent"
    assert kind(ask(index, "neighbours", image=str(scenes / "scene-00000.png"), head="L9.H9")) == "absent"
    assert kind(ask(index, "heads", model="some/other")) == "absent"


def test_an_index_that_somebody_writes_to_is_busy(own_index: Path) -> None:
    with writer_lock(own_index):
        assert kind(lambda: clipdb.judge(own_index)) == "busy"
    assert clipdb.judge(own_index).note


def test_what_a_newer_clipdb_made_is_newer(own_index: Path, tmp_path: Path) -> None:
    clipdb.export(own_index, tmp_path / "export", what="relations", progress=False)
    manifest = tmp_path / "export" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format_version": ', '"format_version": 9'))
    assert kind(lambda: clipdb.open(tmp_path / "export")) == "newer"
    change(own_index, "insert into clipdb_schema values (99, '99', now())")
    assert kind(lambda: clipdb.open(own_index)) == "newer"
    assert kind(lambda: clipdb.upgrade(own_index)) == "newer"


def test_what_cannot_be_used_is_invalid(ready_index: Path, scenes: Path, tmp_path: Path) -> None:
    assert kind(lambda: clipdb.export(ready_index, "https://example.org/heads")) == "invalid"
    assert kind(lambda: clipdb.review(ready_index, "eleven", "colour", reviewer="ada")) == "invalid"
    assert kind(lambda: clipdb.ingest_images(tmp_path / "new.clipdb", scenes, model="no name")) == "invalid"
    assert kind(ask(ready_index, "heads", nothing=1)) == "invalid"
