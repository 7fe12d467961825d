"""Models of which only published names and spans are known: their artefacts hold no row of them, and are as good."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from artefacts import EMBED, MODEL, SIZE, contents, edit, export, files, with_cell
from support import change, clipdb, done, refused, rows, verified

from clipdb.artefact.merge import import_artefact

SIX = [f"ViT-{letter}/web" for letter in "ABCDEF"]
HEADS = ("model", "pretrained", "layer", "head")


def published(index: Path, models: list[str], heads: list[tuple[int, int]], source: str = "paper") -> Path:
    """Import a name for each head, and two spans for those of the first model."""
    named = [(*model.split("/"), *head, "Colour" if head[1] else "birds") for model in models for head in heads]
    spans = [(*models[0].split("/"), *head, rank, f"text {rank}") for head in heads for rank in (1, 2)]
    for kind, columns, lines in (("labels", ("property",), named), ("spans", ("rank", "text"), spans)):
        file = index.with_suffix(f".{kind}.csv")
        with file.open("w", newline="") as opened:
            csv.writer(opened).writerows([(*HEADS, *columns), *lines])
        done("import", kind, file, "--source", source, "-i", index)
    return index


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of names for six models and nothing else, with verdicts on one; don't write to it."""
    index = published(tmp_path_factory.mktemp("six") / "six.clipdb", SIX, [(22, 0), (22, 1), (23, 5)])
    change(
        index,
        "insert into judgements by name select model_id, layer, head, text_id, 'birds' as property, "
        "'human:a' as judge, rank = 1 as verdict, 'ok' as status, run from spans where head = 0",
    )
    return index


@pytest.mark.parametrize("what", ["relations", "all"])
def test_names_travel(what: str, six: Path, tmp_path: Path) -> None:
    exported = export(six, tmp_path / "exported", what=what)
    assert json.loads((exported / "manifest.json").read_text())["models"] == []
    other = tmp_path / "other.clipdb"
    done("import", exported, "-i", other)
    assert contents(other) == contents(six)
    assert files(export(other, tmp_path / "again", what=what)) == files(exported)
    assert "rows added 0" in done("import", exported, "-i", other)
    verified(other)


def test_there_are_no_vectors_to_export(six: Path, tmp_path: Path) -> None:
    assert "this index has no vectors" in refused("export", tmp_path / "exported", "--what", "vectors", "-i", six)
    assert not list(tmp_path.iterdir())


def test_one_model_of_six(six: Path, tmp_path: Path) -> None:
    done("export", tmp_path / "one", "--model", "vit-c/WEB", "--model", SIX[0], "--layers", "22", "-i", six)
    done("import", tmp_path / "one", "-i", tmp_path / "one.clipdb")
    for table in ("heads", "labels", "spans", "judgements"):
        where = f"from {table} where model_id in ('{SIX[0]}', 'ViT-C/web') and layer = 22 order by all"
        assert rows(tmp_path / "one.clipdb", f"from {table} order by all") == rows(six, where)
    line = refused("export", tmp_path / "none", "--layers", "last4", "-i", six)
    assert line == f"--layers last4: of {SIX[0]} this index has layers 22, 23"
    assert "no model 'ViT-Z/web'" in refused("export", tmp_path / "none", "--model", "ViT-Z/web", "-i", six)


def test_names_are_read_where_they_lie(six: Path, tmp_path: Path) -> None:
    exported = export(six, tmp_path / "exported", what="relations")
    for question in (
        ("heads",), ("scoreboard",), ("ccs",), ("entanglement",), ("association",), ("heads", "--model", SIX[3]),
        ("select model_id, name, property from head_cards order by all",),
    ):  # fmt: skip
        told = [done("query", *question, "-f", "json", "-i", place) for place in (six, exported)]
        assert told[0] == told[1] and json.loads(told[0])
    assert {row["model_id"] for row in json.loads(told[0])} == set(SIX)


def test_names_beside_the_model_itself(index: Path, exported: Path, tmp_path: Path) -> None:
    """Whichever comes first: what was measured stays, and a head that wasn't gets its name."""
    names = published(tmp_path / "names.clipdb", [MODEL, "ViT-A/web"], [(1, 0), (3, 1)])
    of_names = export(names, tmp_path / "names", what="relations")
    one, other = tmp_path / "one.clipdb", tmp_path / "other.clipdb"
    done("import", exported, "-i", one)
    done("import", of_names, "-i", one)
    done("import", of_names, "-i", other)
    done("import", exported, "-i", other)
    assert contents(one) == contents(other)
    held, own = contents(one), contents(index)
    assert held["models"] == own["models"] and held[f"{MODEL} images"] == own[f"{MODEL} images"]
    assert [row for row in held["heads"] if row in own["heads"]] == own["heads"]
    added = [row[:3] for row in held["heads"] if row not in own["heads"]]
    assert added == [("ViT-A/web", 1, 0), ("ViT-A/web", 3, 1), (MODEL, 3, 1)]
    verified(one)
    exported_again = export(one, tmp_path / "both")
    done("import", exported_again, "-i", tmp_path / "third.clipdb")
    assert contents(tmp_path / "third.clipdb") == held
    assert [model["model_id"] for model in json.loads((exported_again / "manifest.json").read_text())["models"]] == [
        MODEL
    ]


def test_a_name_of_no_head_of_a_model_that_is_there(index: Path, tmp_path: Path) -> None:
    names = published(tmp_path / "names.clipdb", [MODEL], [(11, 0)])
    line = refused("import", export(names, tmp_path / "names"), "-i", index)
    assert f"model_id {MODEL}, layer 11, head 0 is a head that its model has not" in line
    line = refused("import", export(index, tmp_path / "model"), "-i", names)
    assert f"names L11.H0 of {MODEL}, a head that the model in {tmp_path / 'model'} has not" in line


@pytest.fixture
def of_names(six: Path, tmp_path: Path) -> Path:
    return export(six, tmp_path / "names")


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("basis", np.eye(EMBED, SIZE).ravel(), "is of a model that doesn't exist"),
        ("total_variance", 1.0, "is of a model that doesn't exist"),
        ("effective_rank", 1.0, "is of a model that doesn't exist"),
        ("mean", [1.0], "has a mean of another shape"),
        ("model_id", "../x\x1b[2J", "is of no model"),
        ("model_id", "ViT-A__x/web", "is of no model"),
        ("layer", -1, "has another name"),
        ("layer", -2, "is a head that its model has not"),
    ],
)
def test_a_head_that_was_named_has_a_name_alone(column: str, value: object, said: str, of_names: Path) -> None:
    edit(of_names, "relations/heads.parquet", lambda rows: with_cell(rows, column, value))
    assert said in refused("import", of_names, "-i", of_names.with_name("new.clipdb"))


@pytest.mark.parametrize("table", ["spans", "labels", "judgements"])
def test_what_is_said_of_a_head_needs_the_head(table: str, of_names: Path) -> None:
    edit(of_names, f"relations/{table}.parquet", lambda rows: with_cell(rows, "head", 7))
    line = refused("import", of_names, "-i", of_names.with_name("new.clipdb"))
    assert "head 7" in line and "is of a head that doesn't exist" in line


def test_vectors_need_their_model(artefact: Path, refusal: Callable[[], str]) -> None:
    edit(artefact, "relations/models.parquet", lambda rows: rows.slice(0, 0))
    assert "layer 1, head 0 is of a model that doesn't exist" in refusal()

    def bare(rows: pa.Table) -> pa.Table:
        for column in ("basis", "size", "mean", "total_variance", "effective_rank"):
            field = rows.schema.field(column)
            rows = rows.set_column(rows.schema.get_field_index(column), field, pa.nulls(len(rows), field.type))
        return rows

    edit(artefact, "relations/heads.parquet", bare)
    assert f"lacks {MODEL}, which the manifest names" in refusal()


def test_a_card_of_names(six: Path, tmp_path: Path) -> None:
    import datasets

    exported = export(six, tmp_path / "names")
    text = (exported / "README.md").read_text()
    assert f"# Attention heads of {', '.join(SIX)}\n" in text and "vector column" not in text
    for model in SIX:
        assert f"| {model} | 22, 23 | 3 | 0 | 0 | none: its heads are known by name alone |" in text
        assert f"| {model} | current | 3 | " in text
    loaded = {
        name: len(datasets.load_dataset(str(exported), name, split="train", cache_dir=str(tmp_path / "cache")))
        for name in datasets.get_dataset_config_names(str(exported))
    }
    held = {name: pq.read_metadata(exported / "relations" / f"{name}.parquet").num_rows for name in contents(six)
            if name != "comments"}  # fmt: skip
    assert loaded == {name: count for name, count in held.items() if count} and "models" not in loaded


def test_a_card_of_names_alone_shows_a_table_that_is_there(six: Path, tmp_path: Path) -> None:
    index = Path(shutil.copytree(six, tmp_path / "own.clipdb"))
    change(index, "delete from spans")
    text = (export(index, tmp_path / "names") / "README.md").read_text()
    assert '- config_name: "heads"\n  default: true' in text and 'load_dataset("OWNER/NAME", "heads"' in text


def test_an_import_of_names_says_no_more_than_that(six: Path, tmp_path: Path) -> None:
    imported_to = tmp_path / "new.clipdb"
    imported = import_artefact(imported_to, export(six, tmp_path / "names"))
    assert not imported.notes and imported.vectors.added == 0
    one, other = (clipdb("info", "-i", index).stdout.replace(str(index), "INDEX") for index in (imported_to, six))
    assert one == other
