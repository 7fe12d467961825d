"""Published spans and names in an index: what is stored, what a second import changes, and a model that comes later."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import MODEL, done, refused, rows, table, verified

PUBLISHED = Path(__file__).parents[4] / "shared" / "published"
TABLES = (
    "models",
    "heads",
    "texts",
    "pools",
    "pool_texts",
    "spans",
    "labels",
    "label_scores",
    "judgements",
    "runs",
    "batches",
)
HEADS = ("model", "pretrained", "layer", "head")
SPANS, LABELS = (*HEADS, "rank", "text"), (*HEADS, "property")

Rows = list[tuple[Any, ...]]

TWO_MODELS: Rows = [
    ("ViT-A", "web", 3, 0, 2, "a kettle"),
    ("ViT-A", "web", 3, 0, 1, "a heron"),
    ("ViT-B", "web", 0, 11, 1, "ein Käse, gelb"),
    ("ViT-B", "web", 0, 11, 2, "a heron"),
]
NAMES: Rows = [("ViT-A", "web", 3, 0, "Birds"), ("ViT-B", "web", 0, 11, "Food"), ("ViT-B", "web", 0, 2, "food.")]


def write(path: Path, columns: Iterable[str], lines: Rows) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([tuple(columns), *lines])
    return path


def everything(index: Path) -> dict[str, Rows]:
    return {name: rows(index, f"from {name} order by all") for name in TABLES}


def spans(index: Path, source: str = "web") -> Rows:
    return rows(index, "select model_id, layer, head, rank, text from spans where pool = ? order by all", source)


def pool(index: Path, source: str = "web") -> list[tuple[int, str]]:
    sql = "select position, text from pool_texts join texts using (text_id) where pool = ? order by position"
    return [(position, text) for position, text in rows(index, sql, source)]


@pytest.fixture
def published() -> Path:
    """Real spans and names, where they lie beside the checkout."""
    if not PUBLISHED.is_dir():
        pytest.skip("no published data beside the checkout")
    return PUBLISHED


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Where there is no index yet."""
    return tmp_path / "new.clipdb"


def test_real_spans_and_names_are_stored_as_published(published: Path, index: Path) -> None:
    for kind in ("spans", "labels"):
        done("import", kind, published / f"{kind}.csv", "--source", "web", "-i", index)
    with (published / "spans.csv").open(encoding="utf-8", newline="") as file:
        expected = [
            (f"{one['model']}/{one['pretrained']}", int(one["layer"]), int(one["head"]), int(one["rank"]), one["text"])
            for one in csv.DictReader(file)
        ]
    assert spans(index) == sorted(expected) and len(expected) == 2880
    assert [text for _, text in pool(index)] == list(dict.fromkeys(text for *_, text in expected))
    with (published / "labels.csv").open(encoding="utf-8", newline="") as file:
        names = {
            (f"{one['model']}/{one['pretrained']}", int(one["layer"]), int(one["head"])): one["property"]
            for one in csv.DictReader(file)
        }
    found = rows(index, "select model_id, layer, head, property from head_properties where labeller = 'import:web'")
    assert {(model, layer, head): name for model, layer, head, name in found} == names
    assert len(rows(index, "from heads where basis is null")) == len(names) == 208
    before = everything(index)
    for kind in ("spans", "labels"):
        assert "added 0" in done("import", kind, published / f"{kind}.csv", "--source", "web", "-i", index)
    assert everything(index) == before
    verified(index)


def test_rows_of_an_import(index: Path, tmp_path: Path) -> None:
    done("import", "spans", write(tmp_path / "s.csv", SPANS, TWO_MODELS), "--source", "web", "-i", index)
    done("import", "labels", write(tmp_path / "n.csv", LABELS, NAMES), "--source", "web", "-i", index)
    assert spans(index) == sorted((f"{m}/{p}", *rest) for m, p, *rest in TWO_MODELS)
    assert pool(index) == [(0, "a kettle"), (1, "a heron"), (2, "ein Käse, gelb")]
    digest = hashlib.sha256("ein Käse, gelb".encode()).hexdigest()
    assert rows(index, "select text_id from spans where layer = 0 and rank = 1") == [(digest,)]
    assert rows(index, "from pools") == [("web", "web", "imported from s.csv", None)]
    assert rows(index, "select model_id, layer, head, name, basis, mean from heads order by all") == [
        ("ViT-A/web", 3, 0, "L3.H0", None, None),
        ("ViT-B/web", 0, 2, "L0.H2", None, None),
        ("ViT-B/web", 0, 11, "L0.H11", None, None),
    ]
    assert rows(index, "select pool, labeller, property, confidence, rationale, status from labels order by all") == [
        ("web", "import:web", "Birds", None, None, "ok"),
        ("web", "import:web", "Food", None, None, "ok"),
        ("web", "import:web", "food.", None, None, "ok"),
    ]
    commands = rows(index, "select command, added, skipped, finished_at is not null from runs order by run")
    assert commands == [("import spans", 4, 0, True), ("import labels", 3, 0, True)]
    assert rows(index, "from models") == [] and not list((index / "vectors").iterdir())


def test_parquet_says_the_same_as_csv(tmp_path: Path) -> None:
    columns = dict(zip(SPANS, map(list, zip(*TWO_MODELS, strict=True)), strict=True))
    kinds = {"model": pa.dictionary(pa.int8(), pa.string()), "layer": pa.int8(), "rank": pa.string()}
    arrays = {
        name: pa.array(list(map(str, cells)) if name == "rank" else cells).cast(kinds[name])
        if name in kinds
        else pa.array(cells)
        for name, cells in columns.items()
    }
    pq.write_table(pa.table(arrays), tmp_path / "s.parquet")
    write(tmp_path / "s.csv", SPANS, TWO_MODELS)
    for ending in ("csv", "parquet"):
        done("import", "spans", tmp_path / f"s.{ending}", "--source", "web", "-i", tmp_path / f"{ending}.clipdb")
    one, other = tmp_path / "csv.clipdb", tmp_path / "parquet.clipdb"
    assert spans(one) == spans(other) and pool(one) == pool(other)
    assert "added 0 spans, skipped 4" in done("import", "spans", tmp_path / "s.parquet", "--source", "web", "-i", one)


def test_what_a_file_says_beside_texts_and_names_is_kept(index: Path, tmp_path: Path) -> None:
    lines: Rows = [("a/b", 0, 0, 1, "x", 0.5), ("a/b", 0, 0, 2, "y", 0.25), ("a/b", 0, 1, 1, "x", 0.125)]
    lines += [("a/b", 0, 1, 2, "z", None), ("a/b", 0, 1, 3, "y", 0.1)]
    file = write(tmp_path / "s.csv", ("id", "layer", "head", "rank", "text", "variance_explained"), lines)
    done("import", "spans", file, "--source", "web", "--model", "a/b", "-i", index)
    found = rows(index, "select variance_explained, cumulative_variance from spans order by head, rank")
    assert found == [(0.5, 0.5), (0.25, 0.75), (0.125, None), (None, None), (0.1, None)]
    names = write(tmp_path / "n.csv", (*LABELS, "confidence", "rationale"), [("a", "b", 0, 0, "Colour", 0.75, "why")])
    done("import", "labels", names, "--source", "web", "-i", index)
    assert rows(index, "select property, confidence, rationale from labels") == [("Colour", 0.75, "why")]
    names = write(tmp_path / "n.csv", (*LABELS, "confidence", "rationale"), [("a", "b", 0, 0, "Colour", 0.5, "why")])
    done("import", "labels", names, "--source", "web", "-i", index)
    assert rows(index, "select confidence from head_properties") == [(0.5,)]


def test_spans_of_a_changed_file_replace_those_of_its_models(index: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "s.csv", SPANS, TWO_MODELS)
    done("import", "spans", file, "--source", "web", "-i", index)
    other = rows(index, "from spans where model_id = 'ViT-B/web' order by all")
    changed: Rows = [("ViT-A", "web", 3, 0, 1, "a kettle"), ("ViT-A", "web", 3, 1, 1, "a spoon"), *TWO_MODELS[2:]]
    write(file, SPANS, changed)
    line = done("import", "spans", file, "--source", "web", "-i", index)
    assert "added 2 spans, skipped 2; the file has 3 heads of ViT-A/web, ViT-B/web" in line
    assert spans(index) == sorted((f"{m}/{p}", *rest) for m, p, *rest in changed)
    assert rows(index, "from spans where model_id = 'ViT-B/web' order by all") == other
    assert pool(index) == [(0, "a kettle"), (1, "a heron"), (2, "ein Käse, gelb"), (3, "a spoon")]
    write(file, SPANS, [("ViT-A", "web", 3, 1, 1, "a spoon")])  # a file of one model leaves the other as it is
    done("import", "spans", file, "--source", "web", "-i", index)
    assert rows(index, "from spans where model_id = 'ViT-B/web' order by all") == other
    assert [text for _, text in pool(index)] == ["a heron", "ein Käse, gelb", "a spoon"]
    verified(index)


def test_the_same_spans_in_another_order_are_no_change(index: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "s.csv", SPANS, TWO_MODELS)
    done("import", "spans", file, "--source", "web", "-i", index)
    before = everything(index)
    again = write(tmp_path / "again.csv", ["Text ", *SPANS[:-1]], [(one[-1], *one[:-1]) for one in TWO_MODELS[::-1]])
    assert "added 0 spans, skipped 4" in done("import", "spans", again, "--source", "web", "-i", index)
    assert everything(index) == before


def test_sources_stand_side_by_side(index: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "s.csv", SPANS, TWO_MODELS)
    for source in ("web", "paper's"):
        done("import", "spans", file, "--source", source, "-i", index)
    assert spans(index, "paper's") == spans(index, "web") and pool(index, "paper's") == pool(index, "web")
    done("import", "labels", write(tmp_path / "n.csv", LABELS, NAMES), "--source", "paper's", "-i", index)
    assert rows(index, "select distinct pool, labeller from labels") == [("paper's", "import:paper's")]


def test_a_changed_name_is_a_new_row_that_counts(index: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "n.csv", LABELS, NAMES)
    command = ("import", "labels", file, "--source", "web", "-i", index)
    done(*command)
    write(file, LABELS, [("ViT-A", "web", 3, 0, "Animals"), *NAMES[1:]])
    assert "added 1 label, skipped 2" in done(*command)
    current = "select property from head_properties where model_id = 'ViT-A/web'"
    assert rows(index, current) == [("Animals",)] and len(rows(index, "from labels")) == 4
    write(file, LABELS, NAMES)  # back again: what counts is the last row, not any row
    assert "added 1 label, skipped 2" in done(*command)
    assert rows(index, current) == [("Birds",)] and len(rows(index, "from labels")) == 5
    before = everything(index)
    assert "added 0 labels, skipped 3" in done(*command)
    assert everything(index) == before


def test_a_model_ingested_later_fills_in_what_was_only_named(
    pictures: list[Path], model: tuple[object, ...], index: Path, tmp_path: Path
) -> None:
    name, weights = MODEL.split("/")
    named: Rows = [(name, weights, layer, head, f"name {layer}.{head}") for layer in (0, 2, 4) for head in (0, 5)]
    done("import", "labels", write(tmp_path / "n.csv", LABELS, named), "--source", "web", "-i", index)
    plain = tmp_path / "plain.clipdb"
    for one in (index, plain):
        done("ingest", "images", *pictures[:40], *model, "--workers", 0, "--layers", "last2", "-i", one)
    vectors = "select layer, head, basis, mean, total_variance, effective_rank from heads where basis is not null"
    assert rows(index, f"{vectors} order by all") == rows(plain, f"{vectors} order by all") != []
    assert rows(index, "select distinct layer from heads where basis is null") == [(0,), (2,)]
    done("span", "--pool", "scenes", "--device", "cpu", "-i", index)
    done("label", "--pool", "scenes", "-i", index)
    assert {layer for (layer,) in rows(index, "select layer from spans")} == {3, 4}
    assert ("name 4.5",) in rows(index, "select property from head_properties")
    verified(index)
    listed = done(
        "query", "property-neighbours", "--property", "name 4.0", "--image", pictures[0], "-i", index, "-n", 3
    )
    assert len(listed.splitlines()) == 6 and listed.endswith("(empty: label; -f csv has all)\n")
    assert "no vectors of head L0.H0" in refused(
        "query", "neighbours", "--head", "L0.H0", "--image", pictures[0], "-i", index
    )
    assert "older" not in done("info", "-i", index)
    done("ingest", "images", *pictures[:40], *model, "--workers", 0, "--layers", "all", "-i", index)
    assert rows(index, "from heads where basis is null or mean is null") == []
    assert set(table(index, "texts").heads) == set(table(index).heads) and len(table(index).heads) == 30
    verified(index)


def test_an_ingested_model_and_one_that_was_only_named(own_index: Path, pictures: list[Path], tmp_path: Path) -> None:
    done("import", "labels", write(tmp_path / "n.csv", LABELS, NAMES), "--source", "web", "-i", own_index)
    done("import", "spans", write(tmp_path / "s.csv", SPANS, TWO_MODELS), "--source", "web", "-i", own_index)
    near = ("query", "neighbours", "--head", "L4.H2", "--image", pictures[0], "-i", own_index)
    assert done(*near) == done(*near, "--model", MODEL)
    assert "no head L4.H2" in refused(*near, "--model", "ViT-A/web")
    for question in (("text-heads", "red"), ("ablate", "--layers", "last2"), ("redundant",)):
        line = refused("query", *question, "--model", "ViT-A/web", "-i", own_index)
        assert line.startswith("ViT-A/web has no images in this index, where its heads were only named: run ")
    assert "a heron" in done("query", "head", "L3.H0", "--model", "vit-a/web", "-i", own_index)
    verified(own_index)
