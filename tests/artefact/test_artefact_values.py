"""Artefacts whose files are in order and whose content can't be: refused before anything is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from artefacts import EMBED, SIZE, edit, resign, with_cell
from support import done, refused

from clipdb.queries import checks

IMAGES, TEXTS = "vectors/tiny__one.images/00000.parquet", "vectors/tiny__one.texts/00000.parquet"


@pytest.mark.parametrize(("table", "column", "value"), [
    ("models", "model_id", "a/b/c"),
    ("models", "model_id", "a__b/c"),
    ("models", "layers", 0),
    ("models", "embed_dim", -8),
    ("models", "embed_dim", 5),
    ("models", "weights_sha256", "0"),
    ("models", "logit_scale", float("nan")),
    ("models", "preprocess", "{"),
    ("models", "preprocess", "[" * 5000 + "]" * 5000),
    ("heads", "layer", 4),
    ("heads", "head", -1),
    ("heads", "name", "L1.H1; drop table heads"),
    ("heads", "basis", [float("inf")] * (EMBED * SIZE)),
    ("heads", "basis", [1.0] * (EMBED * SIZE)),
    ("heads", "basis", [0.5] * (EMBED * SIZE + 1)),
    ("heads", "basis", [None] * (EMBED * SIZE)),
    ("heads", "basis", []),
    ("heads", "basis", None),
    ("heads", "mean", [1.0]),
    ("heads", "total_variance", float("inf")),
    ("images", "image_id", "../../etc/passwd"),
    ("images", "image_id", "A" * 64),
    ("images", "uri", None),
    ("images", "width", 0),
    ("images", "metadata", "[1, 2"),
    ("pairs", "image_a", "f" * 64),
    ("pairs", "value_b", "red"),
    ("pairs", "attribute", ""),
    ("texts", "text", "another text"),
    ("texts", "text_id", "0" * 64),
    ("pool_texts", "position", -1),
    ("pool_texts", "property", "x" * 1001),
    ("spans", "rank", 0),
    ("spans", "head", 2),
    ("spans", "text", "another text"),
    ("spans", "variance_explained", float("nan")),
    ("directions", "source", "images"),
    ("directions", "direction", 0),
    ("directions", "share", 1.5),
    ("directions", "fit", float("nan")),
    ("directions", "vector", [1.0] * EMBED),
    ("directions", "vector", [None] * EMBED),
    ("directions", "texts", "[{"),
    ("labels", "status", "fine"),
    ("labels", "confidence", 1.5),
    ("labels", "property", "x" * 1001),
    ("labels", "layer", 99),
    ("labels", "created_at", None),
    ("label_scores", "share", 1.5),
    ("label_scores", "share", float("nan")),
    ("label_scores", "share", None),
    ("label_scores", "chance", float("inf")),
    ("label_scores", "property", "x" * 1001),
    ("label_scores", "layer", 99),
    ("judgements", "status", None),
    ("judgements", "text_id", "?"),
    ("effects", "ablated", "L1.H0,L9.H9"),
    ("effects", "ablated", ""),
    ("effects", "mode", "median"),
    ("effects", "mean", "none"),
    ("effects", "part", "some"),
    ("effects", "class_name", "red"),
    ("effects", "template", ""),
    ("effects", "causal", 1.5),
    ("effects", "direct", float("nan")),
    ("effects", "difference", float("inf")),
    ("effects", "images", 0),
    ("effects", "images_sha256", "0"),
    ("runs", "arguments", "not JSON"),
    ("runs", "arguments", "[" * 5000 + "]" * 5000),
    ("runs", "failed", -1),
])  # fmt: skip
def test_a_value_that_cannot_be(
    table: str, column: str, value: object, artefact: Path, refusal: Callable[[], str]
) -> None:
    edit(artefact, f"relations/{table}.parquet", lambda rows: with_cell(rows, column, value))
    line = refusal()
    assert str(artefact) in line and len(line) < 600


GONE: dict[str, tuple[str, str, object]] = {
    "spans are of known heads": ("heads", "spans", "is of a head that doesn't exist"),
    "directions are of known heads": ("heads", "directions", "is of a head that doesn't exist"),
    "labels are of known heads": ("heads", "labels", "is of a head that doesn't exist"),
    "shares are of known heads": ("heads", "label_scores", "is of a head that doesn't exist"),
    "judgements are of known heads": ("heads", "judgements", "is of a head that doesn't exist"),
    "effects are of known heads": ("heads", "effects", "is of a head that doesn't exist"),
    "minimal pairs are of known images": ("images", "pairs", "is of an image that doesn't exist"),
    "heads are of known models": ("models", "heads", "is of a model that doesn't exist"),
    "spans are known texts": ("texts", "spans", "is of a text that doesn't exist"),
    "judgements are of known texts": ("texts", "judgements", "is of a text that doesn't exist"),
    "pools hold known texts": ("texts", "pool_texts", "is of a text that doesn't exist"),
    "pool texts are of known pools": ("pools", "pool_texts", "is of a pool that doesn't exist"),
}


def test_every_reference_that_verify_looks_at_is_looked_at() -> None:
    # In an artefact a head's basis stands in the row of the head; pairs of heads and vector indexes are left out; no
    # aligner is here.
    elsewhere = {
        *("bases are of known heads", "pairs are of known heads", "aligners are of known models"),
        "parts are of known property indexes",
    }
    assert set(GONE) | elsewhere == set(checks._REFERENCES)


@pytest.mark.parametrize(("table", "by", "said"), GONE.values(), ids=list(GONE))
def test_a_row_of_something_that_is_not_there(table: str, by: str, said: str, artefact: Path, tmp_path: Path) -> None:
    """The other tables that would miss it first are empty, too."""
    for path in artefact.glob("relations/*.parquet"):
        if path.stem not in ("models", "heads", "texts", "pools", by):
            edit(artefact, f"relations/{path.name}", lambda rows: rows.slice(0, 0))
    edit(artefact, f"relations/{table}.parquet", lambda rows: rows.slice(0, 0))
    line = refused("import", artefact, "-i", tmp_path / "new.clipdb")
    assert said in line and f"{by}.parquet" in line


@pytest.mark.parametrize(("field", "value"), [
    ("preprocess", {"mean": [0.25], "x": "é"}),
    ("preprocess", None),
    ("layers", [1]),
    ("layers", [1, 2, 3]),
    ("weights_sha256", "1" * 64),
    ("weights_sha256", None),
])  # fmt: skip
def test_a_manifest_that_contradicts_the_relations(
    field: str, value: object, artefact: Path, refusal: Callable[[], str]
) -> None:
    manifest = json.loads((artefact / "manifest.json").read_text())
    manifest["models"][0][field] = value
    (artefact / "manifest.json").write_text(json.dumps(manifest))
    assert refusal() == (
        f"{artefact}: manifest.json and the relations differ in the {field} of tiny/one: get the artefact again"
    )


def test_a_basis_that_is_wider_than_its_space(artefact: Path, refusal: Callable[[], str]) -> None:
    """Of zeros it would be orthonormal, and Q^T Q take 320 GB."""

    def widen(rows: pa.Table) -> pa.Table:
        return with_cell(with_cell(rows, "mean", None), "basis", [0.0] * (EMBED * 200_000))

    edit(artefact, "relations/heads.parquet", widen)
    assert "has a basis of another shape" in refusal()


@pytest.mark.parametrize("table", ["models", "heads", "images", "texts", "labels", "runs"])
def test_a_row_that_comes_twice(table: str, artefact: Path, refusal: Callable[[], str]) -> None:
    edit(artefact, f"relations/{table}.parquet", lambda rows: pa.concat_tables([rows, rows.slice(0, 1)]))
    assert "comes twice" in refusal()


@pytest.mark.parametrize(("path", "column", "value", "said"), [
    (IMAGES, "image_id", "x" * 64, "is no SHA-256"),
    (IMAGES, "image_id", None, "id"),
    (IMAGES, "embedding", np.ones(EMBED, np.float16), "length is not 1"),
    (IMAGES, "embedding", np.full(EMBED, np.nan, np.float16), "length is not 1"),
    (IMAGES, "embedding", None, "no embedding"),
    (IMAGES, "norm", 0.0, "not finite and positive"),
    (IMAGES, "norm", float("nan"), "not finite and positive"),
    (IMAGES, "norm", None, "no norm"),
    (IMAGES, "l2h1", np.array([0, np.inf, 0], np.float16), "not finite"),
    (IMAGES, "l2h1", np.array([0, 0, np.nan], np.float16), "not finite"),
    (IMAGES, "l2h1", [np.float16(0), None, np.float16(0)], "a null in l2h1"),
    (TEXTS, "text_id", "0" * 64, "is not among its texts"),
    (TEXTS, "embedding", np.zeros(EMBED, np.float32), "length is not 1"),
    (TEXTS, "l1h0", np.array([np.inf, 0, 0], np.float16), "not finite"),
])  # fmt: skip
def test_a_vector_that_cannot_be(
    path: str, column: str, value: object, said: str, artefact: Path, refusal: Callable[[], str]
) -> None:
    def change(rows: pa.Table) -> pa.Table:
        field = rows.schema.field(column)
        if pa.types.is_fixed_size_list(field.type):  # whose numbers may be null in a hostile file
            kind = pa.list_(field.type.value_type, field.type.list_size)
            rows = rows.set_column(rows.schema.get_field_index(column), column, rows.column(column).cast(kind))
        return with_cell(rows, column, value, 2)

    edit(artefact, path, change)
    line = refusal()
    assert said in line and str(artefact / path).rpartition("/")[0] in line


def test_an_image_that_comes_twice_in_different_shards(artefact: Path, refusal: Callable[[], str]) -> None:
    edit(artefact, IMAGES, lambda rows: pa.concat_tables([rows, rows.slice(2, 1)]))
    assert "comes twice" in refusal()


def test_fewer_rows_than_the_manifest_says(artefact: Path, refusal: Callable[[], str]) -> None:
    table = pq.read_table(artefact / IMAGES)
    pq.write_table(table.slice(1), artefact / IMAGES)
    resign(artefact)
    assert "it has 4 rows, and the manifest says 5" in refusal()


@pytest.mark.parametrize(("path", "column", "value", "said"), [
    ("relations/images.parquet", "image_id", "x", "image_id"),
    (IMAGES, "image_id", "x", "is no SHA-256"),
    (IMAGES, "l2h1", np.array([0, np.inf, 0], np.float16), "a vector l2h1 that is not finite"),
    (TEXTS, "l1h0", np.array([np.inf, 0, 0], np.float16), "a vector l1h0 that is not finite"),
])  # fmt: skip
def test_no_new_index_is_left_behind(
    path: str, column: str, value: object, said: str, artefact: Path, tmp_path: Path
) -> None:
    edit(artefact, path, lambda rows: with_cell(rows, column, value))
    assert said in refused("import", artefact, "-i", tmp_path / "new" / "new.clipdb")
    assert not list((tmp_path / "new").iterdir())


def test_a_whole_artefact_is_taken_after_all_that(exported: Path, index: Path) -> None:
    assert "vectors added 0, skipped 8\n" in done("import", exported, "-i", index)
