"""The examples in the docstrings of `clipdb`, run in the order in which a person would, in an empty folder."""

from __future__ import annotations

import doctest
import inspect
from pathlib import Path

import pytest

import clipdb
from clipdb.demo import write_scenes

ORDER = (
    "ingest_images",
    "ingest_texts",
    "ingest_pairs",
    "align",
    "span",
    "label",
    "judge",
    "Server",
    "review_cards",
    "review",
    "export_reviews",
    "open",
    "Index",
    "ClipdbError",
    "segment",
    "segmentation_scores",
    "ablate",
    "serve",
    "export",
    "export_embeddings",
    "export_index",
    "export_weights",
    "export_pages",
    "import_artefact",
    "import_spans",
    "import_labels",
    "import_reviews",
    "verify",
    "index_vectors",
    "drop_vector_indexes",
    "upgrade",
)


def test_every_example_of_the_api_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / "scenes", 12, 5)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    told: list[str] = []
    for name in ORDER:
        function = getattr(clipdb, name)
        example = doctest.DocTestParser().get_doctest(
            inspect.getdoc(function) or "", {"clipdb": clipdb, "Path": Path, "scenes": "scenes"}, name, None, None
        )
        assert example.examples, name
        runner.run(example, out=told.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(told)


def test_every_public_name_is_documented() -> None:
    documented = set(ORDER) | {"schema", "__version__"}
    assert set(clipdb.__all__) == documented
    assert all(inspect.getdoc(getattr(clipdb, name)) for name in documented - {"__version__"})


def test_progress_is_told_to_a_function(tmp_path: Path) -> None:
    write_scenes(tmp_path / "scenes", 3, 6)
    told: list[tuple[str, int, int | None]] = []
    counts = clipdb.ingest_images(
        tmp_path / "own.clipdb",
        [tmp_path / "scenes"],
        model="clipdb-tiny/scenes",
        workers=0,
        progress=lambda *now: told.append(now),
    )
    assert counts.added == 3 and told[-1] == ("images", 3, 3)


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_scenes(tmp_path / "scenes", 3, 7)
    index = tmp_path / "own.clipdb"
    clipdb.ingest_images(index, tmp_path / "scenes", model="clipdb-tiny/scenes", workers=0, progress=False)
    clipdb.span(index, pool="scenes", progress=False)
    clipdb.judge(index) if clipdb.label(index).named else None
    clipdb.export(index, tmp_path / "export", progress=False)
    assert capfd.readouterr() == ("", "")


def test_what_is_wrong_is_said_before_anything_is_written(tmp_path: Path) -> None:
    says = "no labeller is called 'nobody': there are vote, zero-shot, evidence, llm"
    with pytest.raises(clipdb.ClipdbError, match=says):
        clipdb.label(tmp_path / "own.clipdb", labeller="nobody")
    with pytest.raises(clipdb.ClipdbError, match="open_clip has no architecture 'ViT-B-33'"):
        clipdb.ingest_images(tmp_path / "own.clipdb", tmp_path, model="ViT-B-33/openai")
    assert list(tmp_path.iterdir()) == []
