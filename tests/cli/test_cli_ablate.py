"""`clipdb ablate` on the packaged model: figures against a plain loop over open_clip's own model, and bad input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import change, clipdb, done, refused

import clipdb as package
from clipdb import demo
from clipdb.api.ablation_sets import bootstrap, wilson
from clipdb.models.loading import load
from clipdb.models.preprocess import decode

COUNT = 40
HEADS = {3: [0, 3], 4: [4]}
NAMES = "L3.H0,L3.H3,L4.H4"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 scenes whose label is their background."""
    folder = tmp_path_factory.mktemp("ablate")
    drawn = demo.write_scenes(folder / "scenes", COUNT, 11)
    package.ingest_images(folder / "i.clipdb", folder / "scenes", model=demo.MODEL_ID, device="cpu", progress=False)
    for path, scene in drawn:
        truth = json.dumps({"background": scene.background, "one": "same", "file": path.name})
        change(folder / "i.clipdb", "update images set metadata = ? where ends_with(uri, ?)", truth, path.name)
    return folder / "i.clipdb"


def ask(index: Path, *more: object) -> list[dict[str, Any]]:
    given = ("--target", "background", "--device", "cpu", "-i", index, "-f", "json")
    return list(json.loads(done("ablate", *given, *more)))


@torch.inference_mode()
def plain(index: Path, mode: str, mean: str, at: str) -> tuple[float, float]:
    """Accuracy with all heads, and of open_clip's model with hooks that replace these heads one token at a time."""
    with package.open(index) as db:
        found = db.sql("select uri, metadata->>'background' from images order by image_id").fetchall()
    model = load(demo.MODEL_ID, None, "cpu", "fp32", None)
    pixels = np.stack([decode(Path(uri).read_bytes(), model.preprocess).pixels for uri, _ in found])
    images, names = model.pixels_to_input(torch.from_numpy(pixels)), sorted({name for _, name in found})
    texts = torch.from_numpy(model.embed_texts([f"a photo of a {name}" for name in names], 64))
    truth = torch.tensor([names.index(name) for _, name in found])
    visual, size = model.network.visual, model.adapter.head_dim
    blocks = visual.transformer.resblocks

    def attention(block: Any, change: Any) -> Any:
        def run(q_x: torch.Tensor, **_: object) -> torch.Tensor:
            part = block.attn
            qkv = q_x @ part.in_proj_weight.T + part.in_proj_bias
            query, key, value = (
                one.unflatten(-1, (part.num_heads, size)).transpose(1, 2) for one in qkv.chunk(3, dim=-1)
            )
            weights = (query @ key.transpose(2, 3) / size**0.5).softmax(dim=-1)
            z = change((weights @ value).transpose(1, 2).flatten(2))
            return part.out_proj(z)

        return run

    outputs: dict[int, torch.Tensor] = {}

    def keep(layer: int) -> Any:
        return lambda z: outputs.setdefault(layer, z.clone())

    def replace(layer: int) -> Any:
        def change(z: torch.Tensor) -> torch.Tensor:
            z, seen = z.clone(), outputs[layer]
            for head in HEADS[layer]:
                columns = slice(head * size, (head + 1) * size)
                for token in range(1 if at == "class-token" else z.shape[1]):
                    average = seen[:, token, columns].mean(dim=0)
                    if mean == "global":
                        average = seen[:, :, columns].mean(dim=(0, 1))
                    z[:, token, columns] = 0 if mode == "zero" else average
            return z

        return change

    accuracies = []
    for what in (keep, replace):
        for layer in HEADS:
            blocks[layer].attention = attention(blocks[layer], what(layer))
        right = (visual(images) @ texts.T).argmax(dim=1) == truth
        accuracies.append(float(right.double().mean()))
    return accuracies[0], accuracies[1]


@pytest.mark.parametrize(
    ("mode", "mean", "at"), [("zero", "token", "all"), ("mean", "token", "all"), ("mean", "global", "class-token")]
)
def test_accuracies_equal_a_plain_run_of_the_model(index: Path, mode: str, mean: str, at: str) -> None:
    rows = ask(index, "--heads", NAMES, "--mode", mode, "--mean", mean, "--at", at, "--control", "0")
    before, causal = plain(index, mode, mean, at)
    whole = rows[0]
    assert (whole["part"], whole["images"], whole["heads"]) == ("all", COUNT, NAMES)
    assert (whole["before"], whole["causal"]) == pytest.approx((before, causal), abs=1e-12)
    classes = [row for row in rows if row["part"] == "class"]
    assert sum(row["images"] * row["causal"] for row in classes) == pytest.approx(COUNT * causal)
    assert rows[-1]["part"] == "worst group" and rows[-1]["causal"] == min(row["causal"] for row in classes)
    with package.open(index, device="cpu") as db:
        direct = db.query.ablate(heads=NAMES, mode=mode, target="background", control=0).fetchall()
    assert whole["direct"] == pytest.approx(direct[0][4], abs=1e-12)
    assert whole["difference"] == pytest.approx(whole["causal"] - whole["direct"])
    assert whole["difference_low"] <= whole["difference"] <= whole["difference_high"]


def test_each_head_is_what_it_is_alone_and_controls_are_random_sets(index: Path) -> None:
    each = [row for row in ask(index, "--each", "--layers", "3-4", "--images", "20") if row["part"] == "all"]
    assert [row["heads"] for row in each] == [f"L{layer}.H{head}" for layer in (3, 4) for head in range(6)]
    alone = ask(index, "--heads", "L4.H4", "--images", "20", "--control", "2")[0]
    same = next(row for row in each if row["heads"] == "L4.H4")
    assert same["images"] == 20 and same["control_causal"] is None
    assert {key: same[key] for key in ("before", "direct", "causal")} == {
        key: alone[key] for key in ("before", "direct", "causal")
    }
    assert alone["control_low"] <= alone["control_causal"] <= alone["control_high"]


def test_intervals_are_those_of_the_books() -> None:
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    changes = np.repeat([-1, 0, 1], [10, 60, 30])
    low, high = bootstrap(changes, 0)
    half = 1.96 * changes.std() / 10
    assert (low, high) == pytest.approx((0.2 - half, 0.2 + half), abs=0.02)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "no heads to ablate: choose them by heads, property, layers, labeller or ccs, or take each"),
        (["--heads", "L0.H1"], "L0.H1"),
        (["--layers", "0"], "has no vectors of layer 0"),
        (["--heads", "L4.H1", "--target", "one"], "images have only 'same' as 'one'"),
        (["--heads", "L4.H1", "--target", "nothing"], "no image has 'nothing' in its metadata"),
        (["--heads", "L4.H1", "--template", "a photo"], "has no {}"),
        (["--heads", "", "--target", "background"], "set of heads is empty"),
    ],
)
def test_bad_input_is_one_line(index: Path, given: list[str], said: str) -> None:
    assert said in refused("ablate", "--target", "background", *given, "--device", "cpu", "-i", index)


def test_classes_of_one_image_each_can_be_asked_about(index: Path) -> None:
    rows = ask(index, "--heads", "L4.H1", "--target", "file", "--control", "0")
    assert len([row for row in rows if row["part"] == "class" and row["images"] == 1]) == COUNT


def test_files_that_are_gone_or_others_are_left_out_and_counted(index: Path, tmp_path: Path) -> None:
    scenes = tmp_path / "scenes"
    shutil.copytree(index.parent / "scenes", scenes)
    moved = tmp_path / "i.clipdb"
    shutil.copytree(index, moved)
    change(moved, "update images set uri = replace(uri, ?, ?)", str(index.parent / "scenes"), str(scenes))
    files = sorted(scenes.glob("*.png"))
    files[0].unlink()
    files[1].write_bytes(files[2].read_bytes())
    given = ("--heads", "L4.H1", "--target", "background", "--control", "0", "--device", "cpu", "-i", moved)
    result = clipdb("ablate", *given)
    assert result.exit_code == 0, result.output
    assert "38 images classified; 2 images left out: the file is gone, changed or damaged" in result.stderr
    shutil.rmtree(scenes)
    assert "none of the 40 images can be read" in refused("ablate", *given)


def test_other_weights_than_the_indexs_are_refused(index: Path, weights: Path) -> None:
    given = ("--heads", "L4.H1", "--target", "background", "--checkpoint", weights, "--device", "cpu", "-i", index)
    assert "weights" in refused("ablate", *given)


def test_groups_and_templates_equal_a_plain_run(index: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "file.txt", tmp_path / "same.txt"):
        path.write_text("a photo of a {}\n\n  the background is {c} \n", "utf-8-sig" if path.stem == "file" else None)
    with package.open(index) as db:
        found = db.sql("select uri, metadata->>'background' from images order by image_id").fetchall()
    change(index, "update images set metadata = json_merge_patch(metadata, {half: len(uri) % 2, cut: uri[-5]}::json)")
    model = load(demo.MODEL_ID, None, "cpu", "fp32", None)
    names = sorted({name for _, name in found})
    texts = np.stack(
        [model.embed_texts([f"a photo of a {name}", f"the background is {name}"], 64).mean(axis=0) for name in names]
    )
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    pixels = np.stack([decode(Path(uri).read_bytes(), model.preprocess).pixels for uri, _ in found])
    with torch.inference_mode():
        images = model.network.encode_image(model.pixels_to_input(torch.from_numpy(pixels))).numpy()
    right = [names[place] == name for place, (_, name) in zip((images @ texts.T).argmax(axis=1), found, strict=True)]
    groups: dict[str, list[bool]] = {}
    for good, (uri, name) in zip(right, found, strict=True):
        groups.setdefault(f"{name}, {uri[-5]}, {len(uri) % 2}", []).append(good)
    given = ("--heads", NAMES, "--control", 0, "--groups", "cut,half", "--templates", tmp_path / "file.txt")
    rows = ask(index, *given)
    assert rows[0]["before"] == pytest.approx(sum(right) / COUNT)
    by_group = {row["name"]: row for row in rows if row["part"] == "group"}
    assert {name: (row["images"], row["before"]) for name, row in by_group.items()} == {
        name: (len(good), pytest.approx(sum(good) / len(good))) for name, good in groups.items()
    }
    assert rows[-1]["causal"] == min(row["causal"] for row in by_group.values())
    assert rows[-1]["before"] == pytest.approx(min(sum(good) / len(good) for good in groups.values()))
    again = clipdb("ablate", "--target", "background", "--device", "cpu", "-i", index, "-f", "json", *given)
    assert "measured before: not computed again" in again.stderr and json.loads(again.stdout) == rows
    asked = ("query", "ablate", *given[:4], "--target", "background", "-i", index, "-f", "json")
    direct = json.loads(done(*asked, "--mode", "mean", *given[4:6], "--templates", tmp_path / "same.txt"))
    assert {row["name"]: row["after"] for row in direct if row["part"] == "group"} == {
        name: pytest.approx(row["direct"]) for name, row in by_group.items()
    }
    kept = json.loads(done("query", "effects", "--target", "background x cut x half", "-i", index, "-f", "json"))
    assert [row["head"] for row in kept] == [NAMES]


def test_the_published_templates_are_open_clips(index: Path) -> None:
    from open_clip import OPENAI_IMAGENET_TEMPLATES

    with package.open(index, device="cpu") as db:
        one = db.query.ablate(heads=NAMES, target="background", templates="openai", control=0).fetchall()
        lines = "\n".join(template("{}") for template in OPENAI_IMAGENET_TEMPLATES)
        assert db.query.ablate(heads=NAMES, target="background", template=lines, control=0).fetchall() == one


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "has no templates: write one a line"),
        (b"\n \n", "has no templates: write one a line"),
        (b"a photo of a {}\na photo\n", "the template 'a photo' has no {}"),
        (b"{} here\n {c} here", "the template '{} here' comes twice"),
        (b"\xff\xfe{}", "is not text in UTF-8"),
        (None, "can't be read: Is a directory"),
    ],
)
def test_a_file_of_templates_that_is_none_is_refused(
    index: Path, tmp_path: Path, content: bytes | None, problem: str
) -> None:
    file = tmp_path if content is None else tmp_path / "templates.txt"
    if content is not None:
        file.write_bytes(content)
    for verb in (("ablate",), ("query", "ablate")):
        said = refused(*verb, "--heads", NAMES, "--target", "background", "--templates", file, "-i", index)
        assert problem in said and str(file) in said
