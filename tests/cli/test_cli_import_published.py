"""`clipdb import spans` and `labels` as people use them: an index of nothing but names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from published_files import HEADS, bytes_of
from support import change, clipdb, done, refused, rows, verified


@pytest.fixture
def index(names_only: Path, tmp_path: Path) -> Path:
    """A copy of `names_only` of the test's own."""
    return Path(shutil.copytree(names_only, tmp_path / "own.clipdb"))


def test_what_is_printed(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("note,layer,head,rank,text,Pa\x1bge\nx,3,0,1,a red mug,7\n")
    command = ("import", "spans", tmp_path / "s.csv", "--source", "web", "-i", tmp_path / "i.clipdb")
    result = clipdb(*command, "--model", "ViT-A/web")
    assert result.stdout == f"{tmp_path / 'i.clipdb'}: added 1 span, skipped 0; the file has 1 head of ViT-A/web\n"
    assert result.stderr == "note: left out the columns note, Pa\\u001bge\n"
    (tmp_path / "s.csv").write_text("layer,head,rank,Pa\x1bge\n3,0,1,7\n")
    assert "has no column 'text' (its columns: layer, head, rank, Pa\\u001bge)" in refused(*command)


def test_the_same_file_again_leaves_every_byte(names_only: Path, index: Path) -> None:
    before = bytes_of(index)
    for kind in ("spans", "labels"):
        assert "added 0" in done("import", kind, names_only.with_name(f"{kind}.csv"), "--source", "web", "-i", index)
    assert bytes_of(index) == before


def test_questions_without_model_and_images(names_only: Path) -> None:
    index = names_only
    cards = done("query", "heads", "-i", index, "-f", "csv").splitlines()
    assert [line.split(",")[:4] for line in cards[1:]] == [
        ["ViT-A/web", "L3.H0", "Colours", "import:web"],
        ["ViT-A/web", "L3.H1", "colours", "import:web"],
    ]
    one = done("query", "head", "L3.H0", "-i", index, "-f", "csv").splitlines()
    assert [line.split(",")[7:9] for line in one[1:]] == [["1", "a red mug"], ["2", "a heron"]]
    assert "L3.H0" in done("query", "spans", "mug", "-i", index)
    assert "L3.H1" in done("query", "property", "color", "-i", index)
    assert "L3.H0, L3.H1" in done("query", "spans-shared", "-i", index)
    shared = json.loads(done("query", "entanglement", "-i", index, "-f", "json"))[0]
    assert (shared["labelled"], shared["shared"], shared["entanglement"], shared["exclusive"]) == (2, 2, 1.0, 0.0)
    for name in ("layers", "coverage", "properties", "properties-by-layer"):
        assert "ViT-A/web" in done("query", name, "-i", index)
    info = done("info", "-i", index, "-f", "csv")
    assert "ViT-A/web,heads,,2,layers 3; 2 without vectors" in info and "older" not in info
    verified(index)


@pytest.mark.parametrize(
    "question",
    [
        ("neighbours", "--head", "L3.H0", "--image", __file__),
        ("text-neighbours", "red", "--head", "L3.H0"),
        ("text-heads", "red"),
        ("redundant",),
    ],
)
def test_questions_about_vectors_say_what_is_missing(question: tuple[str, ...], names_only: Path) -> None:
    assert refused("query", *question, "-i", names_only).startswith("ViT-A/web has no images in this index")


def test_language_models_can_be_asked_about_imported_spans(names_only: Path) -> None:
    server = ("--llm-model", "x", "--base-url", "http://localhost:1/v1", "--dry-run")
    asked = done("label", "--labeller", "llm", "--open", "--pool", "web", *server, "-i", names_only)
    assert "ViT-A/web L3.H0" in asked and "a red mug" in asked and "2 calls" in asked


def test_verbs_that_need_more_than_names_say_so(index: Path) -> None:
    before = rows(index, "from runs")
    assert "has no images yet" in refused("span", "--pool", "web", "-i", index)
    assert "has no images yet" in refused("label", "--pool", "web", "-i", index)
    assert refused("label", "--labeller", "vote", "--pool", "web", "-i", index).startswith(
        "no span from the pool 'web' has both a property and a variance to vote with: name these heads with "
    )
    assert "has no spans from the pool 'general'" in refused(
        "label", "--labeller", "vote", "--pool", "general", "-i", index
    )
    assert rows(index, "from runs") == before


def test_tags_and_variances_let_the_vote_name_imported_spans(tmp_path: Path) -> None:
    index = tmp_path / "i.clipdb"
    (tmp_path / "s.csv").write_text(
        f"{HEADS},rank,text,variance_explained\na,b,0,0,1,a red mug,.5\na,b,0,0,2,a heron,.2\na,b,0,0,3,a gull,.1\n"
    )
    (tmp_path / "tags.csv").write_text("text,property\na red mug,colour\na heron,birds\na gull,birds\n")
    command = ("import", "spans", tmp_path / "s.csv", "--source", "web", "-i", index)
    done(*command)
    done("ingest", "texts", tmp_path / "tags.csv", "--pool", "web", "-i", index)
    done("label", "--labeller", "vote", "--pool", "web", "-i", index)
    assert rows(index, "select labeller, property, confidence from labels") == [("vote", "colour", 0.625)]
    assert "3 verdicts" in done("judge", "--pool", "web", "-i", index)
    assert rows(index, "select ccs from ccs") == [(1,)]
    assert "added 0 spans, skipped 3" in done(*command)
    verified(index)


def test_imported_spans_are_not_spanned_over(own_index: Path, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("layer,head,rank,text\n4,0,1,a red mug\n")
    done("import", "spans", tmp_path / "s.csv", "--source", "web", "--model", "clipdb-tiny/random", "-i", own_index)
    assert refused("span", "--pool", "web", "-i", own_index) == (
        "the spans of clipdb-tiny/random from the pool 'web' were imported and would be lost: span with another pool; "
        "`clipdb ingest texts FILE --pool NAME` makes one"
    )
    assert rows(own_index, "select text from spans where pool = 'web'") == [("a red mug",)]


def test_a_name_given_here_goes_before_an_imported_one(index: Path) -> None:
    change(
        index,
        "insert into labels by name select 'ViT-A/web' as model_id, 3 as layer, 0 as head, 'web' as pool, "
        "'human:ann' as labeller, '2' as run, 'mugs' as property, 'ok' as status, now() as created_at",
    )
    assert rows(index, "select property, labeller from head_properties order by head") == [
        ("mugs", "human:ann"),
        ("colours", "import:web"),
    ]
