"""Two accounts of one thing: equal ones are skipped, different ones named, and a choice decides."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from artefacts import EMBED, HEADS, MODEL, SIZE, basis, contents, edit, export, make, resign, sha, vector, with_cell
from support import change, clipdb, done, refused, rows, verified

from clipdb.ingest.store.vector_arrays import vector_column


@pytest.fixture
def own(index: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(index, tmp_path / "own.clipdb"))


@pytest.fixture
def theirs(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "theirs"))


# Column, value, row, and what the message says.
CHANGES: dict[str, tuple[str, object, int, tuple[str, ...]]] = {
    "images": ("label", "even", 0, ("image_id", "(label: even, not")),
    "image_failures": ("error", "gone", 0, ("uri /broken/0", "(error: gone, not no picture)")),
    "pairs": ("value_b", "green", 0, ("attribute colour", "(value_b: green, not blue)")),
    "pools": ("source", "elsewhere", 0, ("pool mine", "(source: elsewhere, not None)")),
    "pool_texts": ("property", "colour", 0, ("pool mine",)),
    "spans": ("variance_explained", 0.5, 0, (MODEL, "layer 1", "head 0", "pool mine")),
    "directions": ("share", 0.5, 0, (MODEL, "layer 1", "head 0", "source weights", "pool mine")),
    "labels": ("property", "shape\nand size", 0, ("labeller human:Åse", "property: shape\\nand size, not colour")),
    "label_scores": ("share", 0.5, 0, ("property colour", "share: 0.5, not -0.25")),
    "judgements": ("verdict", True, 0, ("judge vote", "verdict: True, not None")),
    "effects": ("causal", 0.25, 0, (MODEL, "ablated L1.H0", "target label")),
    "runs": ("added", 77, 0, ("added: 77, not 5",)),
}


def changed(directory: Path, table: str) -> None:
    column, value, row, _ = CHANGES[table]
    edit(directory, f"relations/{table}.parquet", lambda rows: with_cell(rows, column, value, row))


@pytest.mark.parametrize("table", CHANGES)
def test_a_different_row_is_named(table: str, index: Path, theirs: Path) -> None:
    changed(theirs, table)
    line = refused("import", theirs, "-i", index)
    assert line.startswith(f"{table}: ") and line.endswith("take one of them with --prefer theirs or --prefer ours")
    for part in CHANGES[table][3]:
        assert part in line


def test_a_choice_decides(own: Path, theirs: Path) -> None:
    for table in CHANGES:
        changed(theirs, table)
    before = contents(own)
    done("import", theirs, "--prefer", "ours", "-i", own)
    assert contents(own) == before
    assert "replaced " in done("import", theirs, "--prefer", "theirs", "-i", own)
    now = contents(own)
    assert [name for name in now if now[name] != before[name]] == list(CHANGES)
    for table, (column, value, _, _) in CHANGES.items():
        values = rows(own, f"select {column} from {table}")
        assert values.count((value,)) == 1 and len(values) >= len(before[table])
    other = own.with_name("other.clipdb")
    done("import", theirs, "-i", other)
    assert contents(other) == now
    verified(own)


def test_a_list_of_spans_or_a_pool_stays_whole(own: Path, theirs: Path) -> None:
    """Nobody wants the first picks of one and the rest of another."""
    for table in ("spans", "pool_texts"):
        edit(theirs, f"relations/{table}.parquet", lambda rows: rows.slice(1))
        assert refused("import", theirs, "-i", own).startswith(
            f"{'pool_texts' if table == 'pool_texts' else 'spans'}: "
        )
        done("import", theirs, "--prefer", "theirs", "-i", own)
    heads = rows(own, "select layer, head, list(rank order by rank) from spans group by all order by all")
    assert heads[0][2] == [2] and all(ranks == [1, 2] for _, _, ranks in heads[1:])
    assert len(rows(own, "from pool_texts")) == 2


@pytest.mark.parametrize("column", ["embedding", "norm", "l1h0"])
@pytest.mark.parametrize("kind", ["images", "texts"])
def test_different_vectors(kind: str, column: str, own: Path, theirs: Path) -> None:
    if (kind, column) == ("texts", "norm"):
        return
    value = {"embedding": np.eye(EMBED)[0], "norm": 5.0, "l1h0": np.ones(SIZE)}[column]
    number = np.float32 if kind == "texts" and column == "embedding" else np.float16
    cell = value if column == "norm" else value.astype(number)
    edit(theirs, f"vectors/tiny__one.{kind}/00000.parquet", lambda rows: with_cell(rows, column, cell, 1))
    before = contents(own)
    line = refused("import", theirs, "-i", own)
    assert line.startswith(f"vectors of {kind} of {MODEL}: {kind[:-1]}_id ") and "--prefer" in line
    assert ("L1.H0" if column == "l1h0" else column) in line
    done("import", theirs, "--prefer", "ours", "-i", own)
    assert contents(own) == before
    assert "replaced 1" in done("import", theirs, "--prefer", "theirs", "-i", own)
    found = contents(own)[f"{MODEL} {kind}"]["rows"]
    differing = [key for key, row in before[f"{MODEL} {kind}"]["rows"].items() if found[key] != row]
    assert len(differing) == 1
    expected = value if column == "norm" else np.array(value.tolist()).tobytes()
    assert found[differing[0]][column] == expected
    verified(own)


def test_what_was_rounded_otherwise_is_the_same(own: Path, theirs: Path) -> None:
    def rounded(table: pa.Table) -> pa.Table:
        for name in table.column_names[3:]:
            values = np.stack(table.column(name).to_pylist()).astype(np.float16)
            values = np.nextafter(values, np.float16(np.inf))
            array = vector_column(values).cast(table.schema.field(name).type)
            table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), array)
        return table

    edit(theirs, "vectors/tiny__one.images/00000.parquet", rounded)
    before = contents(own)
    assert "vectors added 0, skipped 8\n" in done("import", theirs, "-i", own)
    assert contents(own) == before


@pytest.mark.parametrize(
    ("column", "value", "named"),
    [
        ("weights_sha256", "f" * 64, "other weights"),
        ("preprocess", '{"mean": [0.4], "x": "é"}', "another preprocessing"),
        ("width", 12, "another width"),
        ("logit_scale", 100.0, "another logit_scale"),
    ],
)
def test_another_model_of_that_name_is_refused_whatever_is_preferred(
    column: str, value: object, named: str, own: Path, theirs: Path
) -> None:
    def say(manifest: dict[str, Any]) -> None:
        """Have the manifest agree, as an export's does."""
        if column in manifest["models"][0]:
            manifest["models"][0][column] = json.loads(str(value)) if column == "preprocess" else value

    edit(theirs, "relations/models.parquet", lambda rows: with_cell(rows, column, value))
    resign(theirs, say)
    before = contents(own)
    for prefer in ([], ["--prefer", "theirs"], ["--prefer", "ours"]):
        line = refused("import", theirs, *prefer, "-i", own)
        assert MODEL in line and named in line and "another index" in line
    assert contents(own) == before


def test_what_was_measured_is_no_conflict(own: Path, theirs: Path) -> None:
    edit(theirs, "relations/models.parquet", lambda rows: with_cell(rows, "reconstruction_error", 3e-5))
    edit(theirs, "relations/heads.parquet", lambda rows: with_cell(rows, "total_variance", 9.0))
    before = rows(own, "from heads order by all")
    done("import", theirs, "-i", own)
    assert rows(own, "select reconstruction_error from models") == [(3e-5,)]
    assert rows(own, "from heads order by all") == before


ANGLE = 0.7
TURN = np.array([[np.cos(ANGLE), -np.sin(ANGLE), 0], [np.sin(ANGLE), np.cos(ANGLE), 0], [0, 0, -1]])


def test_vectors_in_another_basis_of_the_same_space_are_turned(own: Path, tmp_path: Path) -> None:
    """As two machines' SVDs give them: signs, and directions of equal strength."""
    other = export(make(tmp_path / "other.clipdb", range(3, 9), turn=TURN, spans=False), tmp_path / "other")
    before = contents(own)
    result = clipdb("import", other, "-i", own)
    assert result.exit_code == 0, result.output
    assert "4 heads have another basis of the same space" in result.stderr
    now = contents(own)
    assert [row[:5] for row in now["heads"]] == [row[:5] for row in before["heads"]]
    found = now[f"{MODEL} images"]["rows"]
    assert len(found) == 9
    for number in range(9):
        row = found[sha(f"image {number}")]
        if number < 5:
            assert row == before[f"{MODEL} images"]["rows"][sha(f"image {number}")]
        for layer in (1, 2):
            for head in range(HEADS):
                got = np.frombuffer(row[f"l{layer}h{head}"])
                np.testing.assert_allclose(got, vector(number, layer, head), rtol=2e-3, atol=2e-4)
    verified(own)
    means = {(layer, head): mean for layer, head, mean in rows(own, "select layer, head, mean from heads")}
    for (layer, head), mean in means.items():
        expected = np.mean([np.frombuffer(row[f"l{layer}h{head}"]) for row in found.values()], axis=0)
        np.testing.assert_allclose(mean, expected, rtol=1e-5, atol=1e-6)


def test_a_basis_of_another_space_is_refused(own: Path, theirs: Path) -> None:
    strange = basis(7, 7).ravel()
    edit(theirs, "relations/heads.parquet", lambda rows: with_cell(rows, "basis", strange))
    for prefer in ([], ["--prefer", "theirs"]):
        line = refused("import", theirs, *prefer, "-i", own)
        assert "L1.H0" in line and "another space" in line


def test_the_better_account_of_a_run_stands(own: Path, index: Path, exported: Path) -> None:
    change(own, "update runs set finished_at = null, added = 1")
    done("import", exported, "-i", own)
    assert contents(own) == contents(index)
    unfinished = own.with_name("unfinished.clipdb")
    shutil.copytree(index, unfinished)
    change(unfinished, "update runs set finished_at = null, added = 1")
    done("import", export(unfinished, own.with_name("exported")), "-i", own)
    assert contents(own) == contents(index)


def test_a_model_that_was_known_by_name_alone(own: Path, tmp_path: Path, exported: Path, index: Path) -> None:
    """As published names of heads bring it: no weights, no bases, no vectors."""
    change(own, "delete from batches")
    change(own, "update models set weights_sha256 = null, preprocess = null, logit_scale = null")
    change(own, "delete from bases")
    change(own, "update head_statistics set mean = null, total_variance = null, effective_rank = null")
    done("import", exported, "-i", own)
    assert contents(own) == contents(index)


def test_an_image_found_elsewhere_stays_where_the_index_knows_it(own: Path, theirs: Path) -> None:
    for row in range(2):
        edit(
            theirs,
            "relations/images.parquet",
            lambda rows, row=row: with_cell(rows, "uri", f"/elsewhere/{row}.jpg", row),  # type: ignore[misc]
        )
    before = contents(own)
    result = clipdb("import", theirs, "-i", own)
    assert result.exit_code == 0, result.output
    assert result.stderr == f"note: 2 images have another path in the artefact than in {own}: ours were kept\n"
    assert contents(own) == before
    assert clipdb("import", theirs, "--prefer", "ours", "-i", own).stderr == ""
    assert contents(own) == before
    assert clipdb("import", theirs, "--prefer", "theirs", "-i", own).stderr == ""
    assert len(rows(own, "from images where uri like '/elsewhere/%'")) == 2
    edit(theirs, "relations/images.parquet", lambda rows: with_cell(rows, "uri", "/third.jpg"))
    edit(theirs, "relations/images.parquet", lambda rows: with_cell(rows, "height", 21))
    assert refused("import", theirs, "-i", own).startswith("images: image_id ")


@pytest.fixture(scope="module")
def found_over(tmp_path_factory: pytest.TempPathFactory) -> dict[object, Path]:
    """Exports of spans over some images, and an index of five that is older than those, and one that is newer."""
    folder = tmp_path_factory.mktemp("spans")
    made: dict[object, Path] = {"older": make(folder / "older.clipdb", range(5))}
    for numbers in (range(9), range(3), range(3, 8)):
        index = make(folder / f"{numbers}.clipdb", numbers)
        change(index, "update spans set variance_explained = variance_explained / 2")
        change(index, "delete from image_failures")
        made[numbers] = export(index, folder / f"{numbers}")
    return made | {"newer": make(folder / "newer.clipdb", range(5))}


@pytest.mark.parametrize("theirs_first", [False, True])
@pytest.mark.parametrize(
    ("numbers", "prefer", "stale"),
    [
        (range(9), None, True),  # the spans over five images stay, and now there are nine
        (range(9), "ours", True),
        (range(9), "theirs", False),  # the spans over nine images are taken
        (range(3), None, False),
        (range(3), "ours", False),
        (range(3), "theirs", True),  # the spans over three images are taken, and there are five
        (range(3, 8), "theirs", True),
    ],
)
def test_what_is_said_of_spans_is_true(
    numbers: range,
    prefer: str | None,
    stale: bool,
    theirs_first: bool,
    found_over: dict[object, Path],
    tmp_path: Path,
) -> None:
    own = shutil.copytree(found_over["newer" if theirs_first else "older"], tmp_path / "own.clipdb")
    options = ["--prefer", prefer] if prefer else []
    result = clipdb("import", found_over[numbers], *options, "-i", own)
    assert result.exit_code == 0, result.output
    assert ("run `clipdb span -i " in result.stderr) == stale, result.stderr
    if stale and len(rows(own, "from images")) > 5:
        assert "older than the images" in done("info", "-i", own)
