"""Whole models of other poolings, random and small, from pictures to a named head: what people do with any model."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from random_towers import unsettle
from safetensors.torch import save_file
from support import MODEL, done, refused, rows, table

from clipdb.models.loading import split_name

NAME = "my-map/v1"
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
SIZES = {"image_size": 64, "patch_size": 16, "width": 64, "layers": 5, "head_width": 16, "mlp_ratio": 2.0}
MODELS: dict[str, dict[str, Any]] = {
    "map": {
        "embed_dim": 96,
        "custom_text": True,
        "init_logit_bias": -10,
        "vision_cfg": {"timm_model_name": "test_vit3", "timm_pool": "map", "timm_proj": "none", "image_size": 160},
    },
    "clipa": {
        "embed_dim": 48,
        "vision_cfg": SIZES | {"pool_type": "avg", "final_ln_after_pool": True, "no_ln_pre": True},
    },
    "resnet": {"embed_dim": 32, "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16}},
}


@pytest.fixture(scope="module", params=MODELS)
def made(request: pytest.FixtureRequest, pictures: list[Path], tmp_path_factory: pytest.TempPathFactory) -> tuple:
    """The model's name, and an index that was ingested, spanned and labelled as by default."""
    folder = tmp_path_factory.mktemp(request.param)
    config = folder / f"my-{request.param}.json"
    config.write_text(json.dumps(MODELS[request.param] | {"text_cfg": TEXT}))
    torch.manual_seed(0)
    open_clip.add_model_config(config)
    network = open_clip.create_model(config.stem, load_weights=False)
    unsettle(network.visual)
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, folder / "v1.safetensors")
    index = folder / "index.clipdb"
    given = ("--config", config, "--checkpoint", folder / "v1.safetensors", "--workers", 0, "-i", index)
    done("ingest", "images", *pictures[:12], *given)
    done("span", "--pool", "scenes", "--count", 3, "-i", index)
    done("label", "--labeller", "vote", "-i", index)
    return request.param, index


def test_the_heads_that_are_kept_by_default(made: tuple) -> None:
    name, index = made
    ((layers, pool_heads, error, bias),) = rows(
        index, "select layers, pool_heads, reconstruction_error, logit_bias from models"
    )
    heads = rows(index, "select partition, count(*), min(layer), any_value(size) from heads group by all order by all")
    assert (
        heads == {"map": [("pool", 3, -1, 32)], "clipa": [("trunk", 16, 1, 16)], "resnet": [("pool", 8, -1, 64)]}[name]
    )
    assert (layers, pool_heads) == {"map": (9, 3), "clipa": (5, None), "resnet": (0, 8)}[name]
    assert error < 5e-6 and bias == (-10 if name == "map" else None)


def test_a_picture_and_a_text_are_explained_to_the_models_own_cosine(made: tuple, pictures: list[Path]) -> None:
    _, index = made
    shares = json.loads(done("explain", pictures[50], "a red ring", "-i", index, "-f", "json"))
    found = json.loads(done("segment", pictures[50], "--text", "a red ring", "-i", index, "-f", "json"))
    heads = sum(row["share"] for row in shares if row["heads"])
    assert sum(row["share"] for row in found) == pytest.approx(heads, abs=1e-5)
    from clipdb.api.opening import open as open_index
    from clipdb.api.own_cosine import own_cosines

    with open_index(index, device="cpu") as opened:
        data = pictures[50].read_bytes()
        own = own_cosines(opened.context, opened.context.model(None), data, "picture", ["a red ring"])
    assert sum(row["share"] for row in shares) == pytest.approx(own[0], abs=1e-5)


def test_neighbours_spans_and_a_whole_index(made: tuple, pictures: list[Path]) -> None:
    name, index = made
    head = "L4.H0" if name == "clipa" else "P.H1"
    assert (
        len(
            done(
                "query", "neighbours", "--head", head, "--image", pictures[3].name, "-i", index, "-f", "csv"
            ).splitlines()
        )
        > 5
    )
    assert rows(index, "select count(*) from spans")[0][0] == 3 * rows(index, "select count(*) from heads")[0][0]
    checked = json.loads(done("verify", "-i", index, "-f", "json"))
    assert checked and {row["result"] for row in checked} == {"ok"}


of_two_partitions = pytest.mark.parametrize("made", ["map"], indirect=True)


@pytest.fixture(scope="module")
def both(made: tuple, pictures: list[Path]) -> Path:
    """An index with the heads of the pooling and of the last layers."""
    index: Path = made[1]
    done("ingest", "images", *pictures[:12], "--model", NAME, "--layers", "last2", "--workers", 0, "-i", index)
    return index


@of_two_partitions
def test_heads_of_the_trunk_are_added_exactly_and_never_summed_with_those_of_the_pooling(
    both: Path, pictures: list[Path], tmp_path: Path
) -> None:
    heads = rows(both, "select name, partition, size, basis is null from heads order by layer, head")
    assert heads == [
        *[(f"P.H{head}", "pool", 32, False) for head in range(3)],
        *[(f"L{layer}.H{head}", "trunk", 96, True) for layer in (7, 8) for head in range(3)],
    ]
    asked = (pictures[50], "a red ring", "-i", both)
    for partition, parts in (("pool", 4), ("trunk", 7)):
        shares = json.loads(done("explain", *asked, "--partition", partition, "-f", "json"))
        assert len(shares) == parts
    why = "choose one with --partition pool or --partition trunk"
    assert why in refused("explain", *asked)
    assert why in refused("segment", pictures[50], "--text", "a red ring", "-i", both)
    assert why in refused(
        "export", "embeddings", tmp_path / "x.npy", "--without", "layer=8", "--without", "layer=pool", "-i", both
    )
    done("segment", pictures[50], "--text", "a red ring", "--layers", "pool", "-i", both)
    stored = table(both, model=NAME)
    assert stored["l8h1"].shape == (12, 96) and stored["ph2"].shape == (12, 32)


@of_two_partitions
def test_metrics_have_a_row_for_each_partition(both: Path) -> None:
    done("span", "--pool", "scenes", "--count", 3, "-i", both)
    done("label", "--labeller", "vote", "-i", both)
    found = rows(both, "select partition, heads, labelled_heads from entanglement order by partition")
    assert [(partition, heads) for partition, heads, _ in found] == [("pool", 3), ("trunk", 6)]
    by_property = rows(
        both, "select partition, sum(labelled_heads) from entanglement_by_property group by all order by 1"
    )
    assert by_property == [(partition, labelled) for partition, _, labelled in found]


@of_two_partitions
def test_a_page_explains_with_the_heads_of_one(both: Path) -> None:
    from starlette.testclient import TestClient

    from clipdb.explorer.app import create_app
    from clipdb.explorer.site import Site

    image = table(both, model=NAME).ids[0]
    with TestClient(create_app(Site(both, (), "cpu", None)), base_url="http://localhost") as explorer:
        assert all(f"heads/{head}" in explorer.get(f"/models/{NAME}").text for head in ("P.H2", "L8.H0"))
        for asked, kept in (("", "pool"), ("&partition=trunk", "trunk")):
            shown = explorer.get(f"/models/{NAME}/images/{image}?image_b={image}{asked}").text
            assert "cos = 1.000" in shown and f'<option value="{kept}" selected>' in shown


@of_two_partitions
def test_an_export_comes_back_as_it_was(both: Path, tmp_path: Path) -> None:
    done("export", tmp_path / "out", "-i", both)
    done("import", tmp_path / "out", "-i", tmp_path / "again.clipdb")
    query = "select layer, head, name, partition, size, basis, mean from heads order by all"
    assert rows(tmp_path / "again.clipdb", query) == rows(both, query)
    one, other = table(both, model=NAME), table(tmp_path / "again.clipdb", model=NAME)
    assert one.ids == other.ids and np.array_equal(one["l8h0"], other["l8h0"])
    done("import", tmp_path / "out", "-i", both)


@of_two_partitions
def test_nothing_is_left_of_either_partition(both: Path, pictures: list[Path]) -> None:
    every = ("--layers", "all", "--mlps", "--constants", "--workers", 0)
    done("ingest", "images", *pictures[:12], "--model", NAME, *every, "-i", both)
    listed = rows(both, "select name, partition, size from components where layer < 1 order by layer, head")
    assert listed == [
        ("REST", "trunk", 96),  # all patches are pooled, so the stem shows the image
        ("P.REST", "pool", 1),
        ("P.MLP", "both", 96),
        ("L0.MLP", "trunk", 96),
    ]
    for asked, bound in ((pictures[50], 5e-6), (pictures[3].name, 1e-4)):  # read now, and stored in float16
        for partition, others in (("pool", {"P.MLP", "P.REST"}), ("trunk", {"P.MLP", "REST", "L0.MLP", "L8.MLP"})):
            given = ("explain", asked, "--image-b", pictures[4].name, "--partition", partition)
            shares = {row["part"]: row for row in json.loads(done(*given, "-i", both, "-f", "json"))}
            assert others <= shares.keys() and abs(shares["not stored"]["share"]) < bound
            assert partition == "trunk" or not {"REST", "L0.MLP"} & shares.keys()
    checked = json.loads(done("verify", "-i", both, "-f", "json"))
    assert {row["result"] for row in checked} == {"ok"}


@pytest.mark.parametrize("made", ["resnet"], indirect=True)
def test_a_convolutional_tower_has_constants_alone(made: tuple, pictures: list[Path]) -> None:
    name, index = made
    given = ("ingest", "images", *pictures[:12], "--model", f"my-{name}/v1", "--workers", 0, "-i", index)
    assert "--mlps: the model's pooling has no MLP and its trunk is convolutional: leave it out" in refused(
        *given, "--mlps"
    )
    done(*given, "--constants")
    assert rows(index, "select name, size from components") == [("P.REST", 1)]
    shares = json.loads(done("explain", pictures[50], "--image-b", pictures[4].name, "-i", index, "-f", "json"))
    assert shares[-1]["part"] == "not stored" and abs(shares[-1]["share"]) < 5e-6  # read now, in float32


def test_a_tokenizer_that_needs_a_package_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    from clipdb.errors import ClipdbError
    from clipdb.models.text_tower import TextTower

    split_name(MODEL)  # which makes the architecture known
    network = open_clip.create_model("clipdb-tiny", load_weights=False)
    monkeypatch.setitem(sys.modules, "transformers", None)  # as where it isn't installed
    with pytest.raises(
        ClipdbError, match=r"^the tokenizer of ViT-B-16-SigLIP/webli needs the package transformers: pip install"
    ):
        tower = TextTower("ViT-B-16-SigLIP/webli", network, torch.device("cpu"), "ViT-B-16-SigLIP")
        tower.embed(["a red ring"], 1)
