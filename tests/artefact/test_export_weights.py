"""`clipdb export weights` on the packaged model: what is written embeds as `clipdb ablate` runs the model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from support import HALF, change, clipdb, done, random_weights, refused

import clipdb as package
from clipdb import demo
from clipdb.artefact.export import weight_files
from clipdb.models.ablation import Edit, begin
from clipdb.models.loading import load
from clipdb.models.preprocess import decode

COUNT = 12
ORIGINAL = demo.PACKAGED[demo.MODEL_ID]
HEADS = {3: [0, 3], 4: [4]}
WITHOUT = ("--without", "L3.H0,L3.H3", "--without", "head=L4.H4")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes whose background is known, and a head with a name."""
    folder = tmp_path_factory.mktemp("weights")
    drawn = demo.write_scenes(folder / "scenes", COUNT, 11)
    options: dict[str, Any] = {"model": demo.MODEL_ID, "device": "cpu", "workers": 0, "progress": False}
    package.ingest_images(folder / "i.clipdb", folder / "scenes", **options)
    for path, scene in drawn:
        truth = json.dumps({"background": scene.background})
        change(folder / "i.clipdb", "update images set metadata = ? where ends_with(uri, ?)", truth, path.name)
    columns = "model_id, layer, head, pool, labeller, run, property, status, created_at"
    values = "?, 4, 4, 'scenes', 'human:ann', 'r', 'back|ground', 'ok', now()"
    change(folder / "i.clipdb", f"insert into labels ({columns}) values ({values})", demo.MODEL_ID)
    return folder / "i.clipdb"


@pytest.fixture(scope="module")
def images(index: Path) -> torch.Tensor:
    model = load(demo.MODEL_ID, device="cpu")
    pixels = [decode(path.read_bytes(), model.preprocess).pixels for path in sorted(index.parent.glob("scenes/*.png"))]
    return model.pixels_to_input(torch.from_numpy(np.stack(pixels)))


def causal(images: torch.Tensor, mode: str, over: torch.Tensor) -> torch.Tensor:
    """Unit embeddings of the model run without the heads, whose means are over some images."""
    adapter = load(demo.MODEL_ID, device="cpu").adapter
    means = begin(adapter, over, HEADS, every_token=True).outputs
    kept = {
        layer: z.mean(dim=(0, 1))[None, heads] for (layer, z), heads in zip(means.items(), HEADS.values(), strict=True)
    }
    edits = {layer: Edit(heads, kept[layer] if mode == "mean" else None) for layer, heads in HEADS.items()}
    return torch.nn.functional.normalize(begin(adapter, images, HEADS).without(edits), dim=-1)


@torch.inference_mode()
def embed(images: torch.Tensor, checkpoint: Path) -> torch.Tensor:
    return load("clipdb-tiny/edited", checkpoint, "cpu").network.encode_image(images, normalize=True)


@pytest.mark.parametrize("mode", ["zero", "mean"])
def test_a_file_embeds_as_causal_ablation(index: Path, images: torch.Tensor, mode: str, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    target = ("--target", "background") if mode == "mean" else ()
    given = ("--mode", mode, *target, "--device", "cpu", "-i", index)
    said = done("export", "weights", out, *WITHOUT, *given)
    assert said == (
        f"{out}: clipdb-tiny/scenes without 3 heads: L3.H0, L3.H3, L4.H4; {'4' if mode == 'mean' else '2'} tensors "
        "differ from the original\n"
    )
    expected = causal(images, mode, images)
    assert (embed(images, out) - expected).abs().max() < 1e-5
    assert (embed(images, ORIGINAL) - expected).abs().max() > 1e-2

    counts = package.ingest_images(
        tmp_path / "e.clipdb", index.parent / "scenes", model="clipdb-tiny/edited", checkpoint=out, device="cpu",
        workers=0, progress=False,
    )  # fmt: skip
    assert (counts.added, counts.failed) == (COUNT, 0)
    with package.open(tmp_path / "e.clipdb", device="cpu") as db:
        found = db.sql(
            'select uri, embedding from vectors."clipdb-tiny/edited".images join images using (image_id) order by uri'
        ).fetchall()
    np.testing.assert_allclose([row[1] for row in found], expected, atol=HALF)

    original, edited = load_file(ORIGINAL), load_file(out)
    with safe_open(out, "pt") as file:
        recipe = json.loads(file.metadata()["clipdb"])
    differing = {name for name, tensor in edited.items() if not torch.equal(tensor, original[name])}
    assert differing == set(recipe["changed"]) and set(edited) == set(original)
    assert recipe["heads"] == [
        {"head": "L3.H0", "property": None, "labeller": None},
        {"head": "L3.H3", "property": None, "labeller": None},
        {"head": "L4.H4", "property": "back|ground", "labeller": "human:ann"},
    ]
    assert recipe["mode"] == mode and recipe["images"] == (COUNT if mode == "mean" else None)
    card = (tmp_path / "out.md").read_text()
    assert r"| L4.H4 | back\|ground | human:ann |" in card
    assert (out.stat().st_mode, sorted(one.name for one in tmp_path.iterdir())) == (
        (tmp_path / "out.md").stat().st_mode,
        ["e.clipdb", "out.md", "out.safetensors"],
    )
    assert ("not measured" in card) == (mode == "zero")
    if mode == "mean":
        with package.open(index, device="cpu") as db:
            heads = ["L3.H0", "L3.H3", "L4.H4"]
            row = package.ablate(db, heads=heads, mean="global", target="background").rows[0]
        assert [recipe["effect"][name] for name in ("images", "before", "causal")] == [COUNT, row[4], row[6]]
        assert f"| without these heads | {row[6]:.3f} |" in card


def test_the_mean_is_over_so_many_images_and_those_that_are_gone_are_counted(
    index: Path, images: torch.Tensor, tmp_path: Path
) -> None:
    own, scenes = tmp_path / "i.clipdb", tmp_path / "scenes"
    shutil.copytree(index, own)
    shutil.copytree(index.parent / "scenes", scenes)
    change(own, "update images set uri = replace(uri, ?, ?)", str(index.parent / "scenes"), str(scenes))
    with package.open(own) as db:
        first = [row[0] for row in db.sql("select uri from images order by image_id limit 3").fetchall()]
    Path(first[1]).unlink()
    given = (*WITHOUT, "--mode", "mean", "--images", "3", "--device", "cpu", "-i", own)
    result = clipdb("export", "weights", tmp_path / "out.safetensors", *given)
    assert result.stderr == "note: 1 image was left out of the mean: the file is gone, changed or damaged\n"
    names = [path.name for path in sorted((index.parent / "scenes").glob("*.png"))]
    over = images[[names.index(Path(one).name) for one in (first[0], first[2])]]
    assert (embed(images, tmp_path / "out.safetensors") - causal(images, "mean", over)).abs().max() < 1e-5


def test_a_folder_is_loaded_by_its_name(index: Path, images: torch.Tensor, tmp_path: Path) -> None:
    out = tmp_path / "edited"
    given = (*WITHOUT, "--device", "cpu", "-i", index)
    done("export", "weights", out, *given)
    files = ["README.md", "clipdb_edit.json", "open_clip_config.json", "open_clip_model.safetensors"]
    assert sorted(one.name for one in out.iterdir()) == files
    network, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{out}")
    with torch.inference_mode():
        found = network.eval().encode_image(images, normalize=True)
    assert (found - causal(images, "zero", images)).abs().max() < 1e-5
    assert tuple(preprocess.transforms[-1].mean) == load(demo.MODEL_ID, device="cpu").preprocess.mean
    options: dict[str, Any] = {"model": f"local-dir:{out}", "device": "cpu", "workers": 0, "progress": False}
    assert package.ingest_images(tmp_path / "e.clipdb", index.parent / "scenes", **options).added == COUNT
    assert "is a folder of edited weights already: add --replace" in refused("export", "weights", out, *given)
    done("export", "weights", out, *given, "--replace")
    (out / "mine.txt").write_text("mine")
    assert "holds mine.txt, which is no part" in refused("export", "weights", out, *given, "--replace")


def test_a_folder_of_transformers_is_loaded_by_its_name(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from transformers_models import save

    save("clip", tmp_path / "tiny")
    demo.write_scenes(tmp_path / "scenes", 3, 1)
    options: dict[str, Any] = {"layers": "all", "device": "cpu", "workers": 0, "progress": False}
    model = f"local-dir:{tmp_path / 'tiny'}"
    package.ingest_images(tmp_path / "i.clipdb", tmp_path / "scenes", model=model, **options)
    given = {"without": "L1.H2", "mode": "mean", "device": "cpu"}
    done = package.export_weights(tmp_path / "i.clipdb", tmp_path / "edited", **given)
    weight, bias = (f"vision_model.encoder.layers.1.self_attn.out_proj.{one}" for one in ("weight", "bias"))
    assert done.changed == (bias, weight)
    found = transformers.CLIPModel.from_pretrained(tmp_path / "edited").state_dict()
    original = load_file(tmp_path / "tiny" / "model.safetensors")
    assert not found[weight][:, 32:].any()
    assert {name for name in original if not torch.equal(found[name], original[name])} == {weight, bias}
    model = f"local-dir:{tmp_path / 'edited'}"
    assert package.ingest_images(tmp_path / "e.clipdb", tmp_path / "scenes", model=model, **options).added == 3


def test_heads_of_a_pooling_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from transformers_models import save

    save("siglip", tmp_path / "tiny")
    demo.write_scenes(tmp_path / "scenes", 2, 1)
    options: dict[str, Any] = {"device": "cpu", "workers": 0, "progress": False}
    package.ingest_images(tmp_path / "i.clipdb", tmp_path / "scenes", model=f"local-dir:{tmp_path / 'tiny'}", **options)
    given = ("--without", "P.H0", "--device", "cpu", "-i", tmp_path / "i.clipdb")
    line = refused("export", "weights", tmp_path / "o.safetensors", *given)
    assert line.startswith("tiny/local has only heads of its attention pooling here, which can't be taken out of")


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("o.safetensors", ["--without", "L9.H0"], "has no vectors of head L9.H0"),
        ("o.safetensors", ["--without", "L0.H0"], "has no vectors of head L0.H0"),
        ("o.safetensors", ["--without", "colour"], "'colour' selects no heads"),
        ("o.safetensors", ["--without", "property=colour"], "no head carries the property 'colour'"),
        ("o.safetensors", ["--without", "P.H0"], "P.H0"),
        ("o.safetensors", ["--without", "L4.H4", "--target", "size"], "no image has 'size' in its metadata"),
        ("mine.safetensors", ["--without", "L4.H4"], "mine.safetensors is there already: add --replace"),
        ("card.safetensors", ["--without", "L4.H4"], "card.md is there already: add --replace"),
        ("mine.safetensors/o", ["--without", "L4.H4"], "mine.safetensors"),
        ("nowhere/o.safetensors", ["--without", "L4.H4"], "there is no directory"),
        ("other", ["--without", "L4.H4"], "other is there and is no folder of edited weights"),
        ("other", ["--without", "L4.H4", "--replace"], "other is there and is no folder of edited weights"),
    ],
)
def test_bad_input_is_one_line_and_loses_nothing(
    index: Path, tmp_path: Path, name: str, given: list[str], said: str
) -> None:
    (tmp_path / "other").mkdir()
    for mine in ("mine.safetensors", "card.md", "other/mine"):
        (tmp_path / mine).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    assert said in refused("export", "weights", tmp_path / name, *given, "--device", "cpu", "-i", index)
    assert sorted(tmp_path.rglob("*")) == before
    assert {one.read_text() for one in before if one.is_file()} == {"mine"}


def test_other_weights_and_the_models_own_file_are_refused(index: Path, tmp_path: Path) -> None:
    other = random_weights(tmp_path / "other.safetensors", 1)
    given = ("--without", "L4.H4", "--device", "cpu", "-i", index)
    line = refused("export", "weights", tmp_path / "o.safetensors", *given, "--checkpoint", other)
    assert "has a clipdb-tiny/scenes with other weights" in line
    own = tmp_path / "own.safetensors"
    save_file(load_file(ORIGINAL), own)
    before = own.read_bytes()
    line = refused("export", "weights", own, *given, "--checkpoint", own, "--replace")
    assert line == f"{own} holds the model's own weights: choose another name"
    assert own.read_bytes() == before and len(list(tmp_path.iterdir())) == 2


def test_a_full_disk_leaves_what_was_there(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.safetensors"
    out.write_text("mine")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weight_files, "sync", full)
    given = (*WITHOUT, "--replace", "--device", "cpu", "-i", index)
    assert "No space left on device" in refused("export", "weights", out, *given)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("out.safetensors", "mine")]
    assert "No space left on device" in refused("export", "weights", tmp_path / "folder", *given)
    assert [one.name for one in tmp_path.iterdir()] == ["out.safetensors"]
