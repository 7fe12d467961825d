"""Manifests that anybody may have written."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipdb.artefact.format import RELATIONS, Manifest
from clipdb.artefact.manifest import read_manifest
from clipdb.errors import ClipdbError
from clipdb.schema.migrations import SCHEMA_VERSION

SHA = "0123456789abcdef" * 4
ONE = "ViT-B-32/openai"


def entry(path: str, kind: str, name: str, rows: int = 1) -> dict[str, Any]:
    return {"path": path, "kind": kind, "name": name, "rows": rows, "bytes": 10, "sha256": SHA}


def manifest() -> dict[str, Any]:
    shards = [entry(f"vectors/ViT-B-32__openai.images/0000{n}.parquet", "images", ONE, 5) for n in range(2)]
    return {
        "format": "clipdb",
        "format_version": 1,
        "clipdb_version": "0.1.0",
        "schema_version": SCHEMA_VERSION,
        "what": "all",
        "models": [
            {
                "model_id": ONE,
                "weights_sha256": SHA,
                "preprocess": {"image_size": 224},
                "layers": [8, 9],
                "images": 10,
                "texts": 0,
                "images_run": None,
            }
        ],
        "files": [
            *(entry(f"relations/{name}.parquet", "relation", name) for name in RELATIONS),
            *shards,
            entry("thumbnails/00000.parquet", "thumbnails", ""),
            entry("README.md", "card", "", 0),
        ],
        "licence": "cc-by-4.0",
        "citation": "Ø",
    }


def refusal(content: Any) -> str:
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    with pytest.raises(ClipdbError) as caught:
        read_manifest(text, "DIR")
    said = str(caught.value)
    assert "\n" not in said and said.startswith("DIR") and len(said) < 400
    return said


def test_a_good_one_is_read_and_written_as_it_was() -> None:
    read = read_manifest(json.dumps(manifest()), "DIR")
    assert read.models[0].layers == (8, 9) and read.models[0].preprocess == {"image_size": 224}
    assert [file.rows for file in read.of("images", ONE)] == [5, 5]
    assert read.to_json() == json.dumps(manifest(), indent=2, ensure_ascii=False) + "\n"
    assert read_manifest(read.to_json().encode(), "DIR") == read
    assert isinstance(read, Manifest)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        ("[" * 200_000, "is not JSON"),
        ("1" * 5000, "is not JSON"),
        ("[]", "is not of a clipdb artefact"),
        ("null", "is not of a clipdb artefact"),
        ('{"format": "other"}', "is not of a clipdb artefact"),
        ('{"format": "clipdb"}', "format_version is null and not a number"),
        (" " * (64 * 2**20 + 1), "is larger than any"),
    ],
)
def test_what_is_no_manifest(text: str | bytes, said: str) -> None:
    assert said in refusal(text)


def test_exports_of_earlier_versions_lack_what_came_later() -> None:
    whole = manifest()
    # The newest first: each lacks all that follow.
    for tables, version in (
        (("directions",), 7),
        (("effects",), 6),
        (("pairs",), 5),
        (("components", "aligners"), 4),
        (("label_scores",), 1),
    ):
        assert f"has relation {tables[0]}, which does not belong" in refusal(whole | {"schema_version": version})
        lacking = whole | {"files": [file for file in whole["files"] if file["name"] not in tables]}
        assert read_manifest(json.dumps(lacking | {"schema_version": version}), "DIR").schema_version == version
        assert f"lacks the relation {tables[0]}" in refusal(lacking | {"schema_version": version + 1})
        whole = lacking


def test_newer_versions_say_what_to_do() -> None:
    for field, known in (("format_version", 1), ("schema_version", SCHEMA_VERSION)):
        assert refusal(manifest() | {field: known + 1, "brand_new": []}) == (
            f"DIR has {field.replace('_', ' ')} {known + 1} and this clipdb knows {known}: upgrade clipdb"
        )
        assert f"{field} is 0 and not a number from 1" in refusal(manifest() | {field: 0})
        assert f"{field} is true" in refusal(manifest() | {field: True})


@pytest.mark.parametrize(
    "path",
    [
        "../models.parquet",
        "relations/../../models.parquet",
        "/etc/passwd",
        "relations//models.parquet",
        "relations/models.parquet/",
        "./relations/models.parquet",
        "relations\\models.parquet",
        "C:/models.parquet",
        "https://example.org/models.parquet",
        "relations/models.parquet\0",
        "relations/models.parquet\n",
        "relations/heads.parquet",
        "",
    ],
)
def test_no_path_but_the_one_that_belongs(path: str) -> None:
    content = manifest()
    content["files"][0]["path"] = path
    said = refusal(content)
    assert 'where "relations/models.parquet" belongs' in said or "twice" in said


def _set(*keys: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


FILES = len(RELATIONS)
WRONG: dict[str, Callable[[dict[str, Any]], Any]] = {
    'files[0].sha256 is "ABC"': _set("files", 0, "sha256", value="ABC"),
    "files[0].sha256 is": _set("files", 0, "sha256", value=SHA.upper()),
    "files[1].rows is -1": _set("files", 1, "rows", value=-1),
    "files[1].rows is 1.0": _set("files", 1, "rows", value=1.0),
    "files[1].bytes is 9223372036854775808": _set("files", 1, "bytes", value=2**63),
    'files[1].kind is "pickle"': _set("files", 1, "kind", value="pickle"),
    "files[1].kind is an object": _set("files", 1, "kind", value={}),
    'files[1].name is "batches"': _set("files", 1, "name", value="batches"),
    "files[1] is not an object": _set("files", 1, value="relations/heads.parquet"),
    "files is not a list": _set("files", value={}),
    "has no files[1].rows": lambda content: content["files"][1].pop("rows"),
    'has files[1]."sql", which is no field': _set("files", 1, "sql", value="drop table"),
    "has no citation": lambda content: content.pop("citation"),
    'has "extra", which is no field': _set("extra", value=1),
    "licence is 5 and not a text": _set("licence", value=5),
    "licence is": _set("licence", value="\ud800"),
    'what is "everything"': _set("what", value="everything"),
    'models[0].model_id is "../up/"': _set("models", 0, "model_id", value="../up/"),
    "models[0].layers are not in order": _set("models", 0, "layers", value=[9, 8]),
    "models[0].layers is 99999": _set("models", 0, "layers", value=[99999]),
    "models[0].preprocess is not an object": _set("models", 0, "preprocess", value=[1]),
    "models[0].weights_sha256 is": _set("models", 0, "weights_sha256", value=""),
    "gives the wrong number of images": _set("models", 0, "images", value=11),
    'has the model "ViT-B-32__openai" twice': lambda c: c["models"].append(copy.deepcopy(c["models"][0])),
    'has the file "relations/models.parquet" twice': lambda c: c["files"].append(copy.deepcopy(c["files"][0])),
    "lacks the relation spans": lambda content: content["files"].pop(RELATIONS.index("spans")),
    "does not name README.md": lambda content: content["files"].pop(),
    "has vectors of ViT-B-32/openai, which is not among its models": _set("models", value=[]),
    "has vectors of other/one": _set("files", FILES, "name", value="other/one"),
    "has relation images, which does not belong to vectors": _set("what", value="vectors"),
    "which does not belong to relations": _set("what", value="relations"),
    'where "vectors/ViT-B-32__openai.images/00000.parquet" belongs': lambda c: c["files"].pop(FILES),
    'files[19].name is "x", and a file of thumbnails has none': _set("files", FILES + 2, "name", value="x"),
}


@pytest.mark.parametrize("said", WRONG)
def test_every_field_has_its_type_and_bounds(said: str) -> None:
    content = manifest()
    WRONG[said](content)
    assert said in refusal(content)


def test_what_may_be_left_out() -> None:
    content = manifest()
    content["files"] = [file for file in content["files"] if file["name"] != "image_failures"][:-2]
    content["files"].append(entry("README.md", "card", "", 0))
    content["models"][0] |= {"weights_sha256": None, "preprocess": None, "layers": []}
    assert read_manifest(json.dumps(content), "DIR").models[0].weights_sha256 is None


def test_a_long_manifest_is_read_in_a_moment() -> None:
    content = manifest()
    content["files"][-2:-1] = [entry(f"thumbnails/{n:05d}.parquet", "thumbnails", "") for n in range(50_000)]
    assert len(read_manifest(json.dumps(content), "DIR").of("thumbnails")) == 50_000


def test_a_value_of_any_depth_is_refused() -> None:
    """Of which some can be read, and not be written again into the message."""
    text = json.dumps(manifest() | {"licence": "HERE"})
    for depth in range(600, sys.getrecursionlimit() + 50):
        assert "DIR" in refusal(text.replace('"HERE"', "[" * depth + "]" * depth))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
def test_any_other_value_anywhere_is_read_or_refused(data: st.DataObject) -> None:
    content: Any = manifest()
    whole = content
    while isinstance(content, dict | list) and content:
        keys = list(content) if isinstance(content, dict) else range(len(content))
        key = data.draw(st.sampled_from(list(keys)))
        if not isinstance(content[key], dict | list) or data.draw(st.booleans()):
            content[key] = data.draw(JSON)
            break
        content = content[key]
    try:
        read = read_manifest(json.dumps(whole), "DIR")
    except ClipdbError as error:
        assert str(error).startswith("DIR")
    else:
        assert {file.path for file in read.files} <= {file["path"] for file in manifest()["files"]}
