"""What messages advise runs as it stands, and defaults choose what there is to choose."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from support import change, clipdb, done, refused

import clipdb as package
from clipdb.schema import creation

ADVICE = re.compile(r"`(clipdb [^`]+)`")


@pytest.fixture(scope="module")
def made(pictures: list[Path], model: tuple, tmp_path_factory: pytest.TempPathFactory) -> Path:
    index = tmp_path_factory.mktemp("made") / "it's made.clipdb"
    done("ingest", "images", *pictures[:12], "--model", "clipdb-tiny/scenes", "--workers", 0, "-i", index)
    return index


@pytest.fixture
def index(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / made.name))


@pytest.fixture(scope="module")
def with_texts(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`made` with the texts of the pool that is described with by default, which take seconds to embed."""
    index = Path(shutil.copytree(made, tmp_path_factory.mktemp("texts") / made.name))
    done("ingest", "texts", "--pool", "general", "-i", index)
    return index


def advised(text: str) -> list[list[str]]:
    return [shlex.split(command)[1:] for command in ADVICE.findall(text)]


def follow(index: Path, *command: object) -> None:
    """Run a command, and what its refusal advises, until it goes through."""
    for _ in range(4):
        result = clipdb(*command)
        if result.exit_code == 0:
            return
        (step, *_) = advised(result.stderr)
        assert step[-2:] == ["-i", str(index)], step
        follow(index, *step)
    raise AssertionError(result.stderr)


@pytest.mark.parametrize(
    "command",
    [("query", "spans", "red"), ("query", "properties"), ("query", "association"), ("label",), ("judge",)],
)
def test_following_the_advice_leads_to_an_answer(with_texts: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    index = Path(shutil.copytree(with_texts, tmp_path / with_texts.name))
    follow(index, *command, "-i", index)
    assert clipdb(*command, "-i", index).exit_code == 0


def test_advice_needs_no_index_where_it_is_the_default(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPDB_INDEX", str(index))
    assert refused("query", "properties").endswith("run `clipdb label`")


def test_advice_for_an_export_imports_it_first(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export = tmp_path / "an export"
    done("export", export, "-i", index)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLIPDB_INDEX", raising=False)
    told = refused("query", "properties", "-i", export)
    assert advised(told) == [["import", str(export)], ["label"]], told
    done(*advised(told)[0])
    assert "has no spans yet" in refused("label")


def test_a_missing_index_names_those_nearby(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (index.parent / "clipdb-demo").mkdir()
    index.rename(index.parent / "clipdb-demo" / "demo.clipdb")
    monkeypatch.chdir(index.parent)
    monkeypatch.delenv("CLIPDB_INDEX", raising=False)
    assert "no index at index.clipdb: name one with -i (clipdb-demo/demo.clipdb), or make one" in refused("info")
    done("info", "-i", "clipdb-demo/demo.clipdb")


def test_the_pool_is_the_one_with_spans(index: Path) -> None:
    assert "has no spans yet: run `clipdb span -i" in refused("label", "-i", index)
    done("span", "--pool", "scenes", "-i", index)
    assert "heads labelled by zero-shot" in done("label", "-i", index)
    assert "verdicts by vote" in done("judge", "-i", index)
    change(index, "insert into spans select * replace ('birds' as pool) from spans where pool = 'scenes'")
    assert "has spans from several pools: choose one with --pool (birds, scenes)" in refused("label", "-i", index)
    change(index, "insert into spans select * replace ('general' as pool) from spans where pool = 'birds'")
    said = clipdb("label", "-i", index)
    assert "'general'" in said.stderr.splitlines()[-1], "it has no texts of that pool"
    assert said.stderr.startswith(
        "note: the pool general is used; --pool chooses another that has spans: birds, scenes\n"
    )


def test_what_info_advises_runs(index: Path, pictures: list[Path]) -> None:
    done("span", "--pool", "scenes", "-i", index)
    for labeller in ("zero-shot", "vote"):
        done("label", "--labeller", labeller, "-i", index)
    done("judge", "-i", index)
    done("ingest", "images", pictures[12], "--model", "clipdb-tiny/scenes", "--workers", 0, "-i", index)
    for _ in range(3):
        notes = [row["note"] or "" for row in json.loads(done("info", "-f", "json", "-i", index))]
        steps = advised(" ".join(notes))
        if not steps:
            break
        for step in steps:
            done(*step)
    assert not steps


def test_info_counts_what_counts(index: Path, pictures: list[Path]) -> None:
    done("span", "--pool", "scenes", "-i", index)
    done("label", "--labeller", "vote", "-i", index)
    change(index, "insert into labels select * replace ('9' as run, 'b' || property as property) from labels")
    lines = [line.split(",") for line in done("info", "-f", "csv", "-i", index).splitlines()]
    assert [line[3:] for line in lines if line[1] == "labels"] == [["24", "2 runs"]]


def test_heads_of_one_pool(index: Path) -> None:
    def heads(*more: str) -> set[tuple[str, ...]]:
        lines = done("query", "heads", "-n", 0, "--columns", "property,labeller", "-f", "csv", "-i", index, *more)
        return {tuple(line.split(",")) for line in lines.splitlines()[1:]}

    done("span", "--pool", "scenes", "-i", index)
    done("label", "--labeller", "vote", "-i", index)
    before = heads()
    change(index, "insert into pools (pool) values ('birds')")
    change(index, "insert into spans select * replace ('birds' as pool, '9' as run) from spans")
    renamed = "select * replace ('birds' as pool, 'llm:x' as labeller, 'bird' as property, '9' as run) from labels"
    change(index, f"insert into labels {renamed}")
    assert heads() == heads("--pool", "birds") == {("bird", "llm:x")}
    assert heads("--pool", "scenes") == before


def test_prompts_have_whole_keys(index: Path) -> None:
    done("span", "--pool", "scenes", "-i", index)
    asked = ("--llm-model", "q", "--base-url", "http://localhost:1/v1", "--dry-run", "-i", index)
    shown = done("label", "--labeller", "llm", *asked)
    assert '"variance_explained"' in shown and "u005f" not in shown


def test_names_only_index_is_asked_without_vectors(tmp_path: Path) -> None:
    path = tmp_path / "named.clipdb"
    creation.create(path)
    with package.open(path) as db:
        assert ("heads",) in db.sql("show tables").fetchall()


def test_a_mistyped_command_writes_nothing(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "has no command 'reviewz': write reviews, or ./reviewz" in refused("export", "reviewz", "-i", index)
    assert "has no command 'lables': write labels" in refused("import", "lables", "-i", index)
    assert not (tmp_path / "reviewz").exists()
    done("export", "./reviewz", "-i", index)
    Path("names.csv").write_text("layer,head,property")
    assert "import a file with spans FILE, labels FILE or reviews FILE" in refused("import", "names.csv", "-i", index)


def test_a_file_of_sql_is_read_from_stdin(index: Path, tmp_path: Path) -> None:
    (tmp_path / "q.sql").write_text("select 1")
    assert f"`clipdb query - < {tmp_path / 'q.sql'}`" in refused("query", tmp_path / "q.sql", "-i", index)
