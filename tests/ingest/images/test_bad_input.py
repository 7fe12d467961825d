"""Bad input gets one line that says what to do, exit code 1, and writes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import duckdb
import pytest
from forked import HUB, forked
from PIL import Image
from support import MODEL, assert_same, change, done, refused, rows, table, verified

HERE = ("--workers", 0)


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """An index that is not there, in a folder of its own, and is not to be there after."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder / "new.clipdb"


def contents(index: Path) -> dict[str, bytes]:
    files = (file for file in index.rglob("*") if file.is_file() and file.name != "writer.lock")
    return {str(file.relative_to(index)): file.read_bytes() for file in files}


def test_a_missing_folder(new: Path, model: tuple, tmp_path: Path) -> None:
    line = refused("ingest", "images", tmp_path / "none", *model, "-i", new)
    assert line == f"no such file or folder: {tmp_path / 'none'}"
    assert not list(new.parent.iterdir())


def test_an_empty_folder(new: Path, model: tuple, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert f"no images in {tmp_path / 'empty'}" in refused("ingest", "images", tmp_path / "empty", *model, "-i", new)
    assert not list(new.parent.iterdir())


@pytest.mark.parametrize("files", ["different", "all empty"])
def test_a_folder_of_broken_files(files: str, new: Path, ready_index: Path, model: tuple, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.jpg").write_text("" if files == "all empty" else f"text {number}")
    line = refused("ingest", "images", folder, *model, *HERE, "-i", new)
    assert line.startswith(f"none of the 3 files could be read: {folder}/0.jpg: ")
    assert not list(new.parent.iterdir())


def test_broken_files_fail_in_an_index_that_is_there(own_index: Path, ready_index: Path, model: tuple) -> None:
    broken = own_index.parent / "broken.jpg"
    broken.write_text("text")
    assert "none of the 1 files" in refused("ingest", "images", broken, *model, *HERE, "-i", own_index)
    assert rows(own_index, "select uri from image_failures") == [(str(broken),)]
    change(own_index, "delete from image_failures")
    assert_same(own_index, ready_index)


def test_broken_files_among_good_ones(new: Path, pictures: list[Path], model: tuple) -> None:
    folder = new.parent.parent / "mixed"
    folder.mkdir()
    jpeg = folder / "cut.jpg"
    with Image.open(pictures[1]) as picture:
        picture.save(jpeg)
    jpeg.write_bytes(jpeg.read_bytes()[: jpeg.stat().st_size // 2])
    (folder / "text.jpg").write_text("no picture")
    os.link(pictures[0], folder / "good.png")
    line = done("ingest", "images", folder, *model, "--workers", 1, "-i", new)
    assert line.endswith("added 1, skipped 0, failed 2\n")
    assert [uri for (uri,) in rows(new, "select uri from image_failures order by 1")] == [
        str(folder / "cut.jpg"),
        str(folder / "text.jpg"),
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("VIT-b-23/openai", "did you mean ViT-B-32"),
        ("ViT-B-32/openia", "did you mean openai?"),
        ("ViT-B-32/openia", "it has openai, "),
        ("clipdb-tiny/scene", "clipdb-tiny has no weights 'scene' (did you mean scenes?)"),
        ("ViT-B-32", "write ARCH/PRETRAINED"),
        ("../x/y", "write ARCH/PRETRAINED"),
    ],
)
def test_an_unknown_model(name: str, said: str, new: Path, scenes: Path) -> None:
    assert said in refused("ingest", "images", scenes, "--model", name, "-i", new)
    assert not list(new.parent.iterdir())


@pytest.mark.parametrize(
    ("name", "hub", "offline"),
    [
        ("ViT-B-32/laion2b_s34b_b79k", "https://hub.invalid", "0"),
        ("ViT-B-32/laion2b_s34b_b79k", "http://127.0.0.1:1", "0"),
        ("ViT-B-32/openai", "https://127.0.0.1:1", "1"),
    ],
)
def test_no_hub_and_no_weights(name: str, hub: str, offline: str, new: Path, scenes: Path, tmp_path: Path) -> None:
    """With the hub's own client, an empty cache, and a hub that nobody can resolve or that takes no connections."""
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    environment |= {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": offline}
    environment |= dict.fromkeys(("HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"), str(tmp_path / "hub"))
    command = ["ingest", "images", scenes, "--model", name, "--device", "cpu", "-i", new]
    run = forked(*command, environment=environment, reloaded=HUB)
    lines = [line for line in run.stderr.splitlines() if not line.startswith("note:")]
    assert run.returncode == 1 and run.stdout == "" and len(lines) == 1, run.stderr
    assert lines[0].startswith(f"Error: can't get the weights of {name}: the hub can't be reached, and they are ")
    assert lines[0].endswith("or give a local file with --checkpoint FILE; `clipdb demo` needs no network")
    assert not list(new.parent.iterdir())


@pytest.mark.parametrize("layers", ["5", "3-7", "last0", "4-2", "x", "", "-1"])
def test_layers_that_are_none(layers: str, new: Path, scenes: Path, model: tuple) -> None:
    line = refused("ingest", "images", scenes, *model, *HERE, f"--layers={layers}", "-i", new)
    assert line.startswith(f"--layers {layers}: ")
    assert not list(new.parent.iterdir())


@pytest.mark.parametrize("device", ["cuda", "cuda:63", "mps", "abacus"])
def test_a_device_that_is_not_there(device: str, new: Path, scenes: Path, model: tuple) -> None:
    import torch

    if {"cuda": torch.cuda, "mps": torch.backends.mps}.get(device, torch.xpu).is_available():
        pytest.skip(f"{device} is here")
    line = refused("ingest", "images", scenes, *model, *HERE, "--device", device, "-i", new)
    assert line.startswith(f"--device {device} can't be used: ") and line.endswith("try --device cpu")
    assert not list(new.parent.iterdir())


def test_other_weights_under_the_same_name(own_index: Path, scenes: Path, ready_index: Path, tmp_path: Path) -> None:
    from support import random_weights

    other = random_weights(tmp_path / "other.safetensors", seed=4)
    before = contents(own_index)
    for command, advice in (
        (["ingest", "images", scenes, "--model", MODEL, "--layers", "all"], "give this one another name"),
        (["span", "--pool", "general"], "give the file that it was ingested with, --checkpoint FILE"),
    ):
        line = refused(*command, "--checkpoint", other, "-i", own_index)
        assert f"has a {MODEL} with other weights (sha256 " in line and advice in line
    changed = {name for name, data in contents(own_index).items() if before.get(name) != data}
    assert all(name.startswith(("catalog.", "work.", "snapshots/")) for name in changed), "a run may be recorded"
    assert_same(own_index, ready_index)


def test_another_embedding_size_or_preprocessing_under_the_same_name(
    own_index: Path, scenes: Path, model: tuple
) -> None:
    for sql, said in (
        ("update models set preprocess = '{\"image_size\": 64}'", "another preprocessing"),
        ("update models set embed_dim = 512", "embeddings of size 512, not 128"),
    ):
        change(own_index, sql)
        before = contents(own_index)
        assert said in refused("ingest", "images", scenes, *model, *HERE, "-i", own_index)
        assert contents(own_index) == before


def test_a_name_of_a_head_that_the_model_has_not(scenes: Path, model: tuple, tmp_path: Path) -> None:
    """Published names come without the model; the one that is there afterwards need not be theirs."""
    names, index = tmp_path / "names.csv", tmp_path / "named.clipdb"
    names.write_text(f"model,pretrained,layer,head,property\n{MODEL.replace('/', ',')},1,0,colour\n")
    done("import", "labels", names, "--source", "paper", "-i", index)
    names.write_text(f"model,pretrained,layer,head,property\n{MODEL.replace('/', ',')},99,0,colour\n")
    done("import", "labels", names, "--source", "paper", "-i", index)
    before = contents(index)
    line = refused("ingest", "images", scenes, *model, *HERE, "-i", index)
    assert f"named.clipdb names L99.H0 of {MODEL}, which has layers 0 to 4 with 6 heads each" in line
    assert contents(index) == before


def test_such_a_name_is_in_no_question_s_way(own_index: Path) -> None:
    asked = ("query", "text-neighbours", "a red ring", "--head", "L4.H0", "-i", own_index)
    before = done(*asked)
    change(own_index, "insert into head_statistics by name select model_id, 99 as layer, 0 as head from models")
    assert done(*asked) == before


@pytest.mark.parametrize("megabytes", [4, 6, 8, 10])
def test_a_full_disk(megabytes: int, scenes: Path, pictures: list[Path], model: tuple, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs a small disk, which only root can mount")
    try:
        index = disk / "full.clipdb"
        command = ("ingest", "images", scenes, *model, *HERE, "--batch-size", 2, "-i", index)
        line = refused(*command)
        assert "full" in line or "No space left" in line
        assert index.exists() == (megabytes > 4)
        if index.exists():
            with duckdb.connect(str(index / "work.duckdb"), read_only=True) as work:
                [(committed,)] = work.execute("select count(*) from images").fetchall()
            [(published,)] = rows(index, "select count(*) from images")
            assert published <= committed < 300 and committed > 0
            assert not published or len(table(index).ids) == published
            subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
            assert f"added {300 - committed}, skipped {committed}, failed 0" in done(*command)
            verified(index)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("content", [b"", b"not a database" * 1000, None], ids=["empty", "text", "cut"])
def test_a_corrupted_catalog(content: bytes | None, own_index: Path, scenes: Path, model: tuple) -> None:
    catalog = own_index / "catalog.duckdb"
    catalog.write_bytes(catalog.read_bytes()[:20_000] if content is None else content)
    before = contents(own_index)
    for command in (
        ["ingest", "images", scenes, *model],
        ["ingest", "texts", "--pool", "scenes"],
        ["span"],
        ["label"],
        ["judge"],
    ):
        assert str(catalog) in refused(*command, "-i", own_index)
    assert contents(own_index) == before


def test_an_index_of_a_newer_schema(own_index: Path, scenes: Path, model: tuple) -> None:
    change(own_index, "insert into clipdb_schema values (99, '9.9', now())")
    before = contents(own_index)
    for command in (["ingest", "images", scenes, *model], ["span"], ["label"], ["judge"]):
        assert "has schema version 99" in refused(*command, "-i", own_index)
    assert contents(own_index) == before


def test_something_else_in_the_index_s_place(scenes: Path, model: tuple, tmp_path: Path) -> None:
    folder, file = tmp_path / "holiday", tmp_path / "file"
    folder.mkdir()
    (folder / "letter.txt").write_text("dear")
    file.write_text("x")
    for place in (folder, file):
        assert "is not an index" in refused("ingest", "images", scenes, *model, "-i", place)
    assert file.read_text() == "x" and [one.name for one in folder.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("verb", ["span", "label", "judge"])
def test_verbs_that_need_an_index(verb: str, new: Path) -> None:
    assert f"no index at {new}" in refused(verb, "-i", new)
    assert not list(new.parent.iterdir())


def test_an_index_without_a_name(scenes: Path, model: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "isn't a valid name for an index" in refused("ingest", "images", scenes, *model, *HERE, "-i", ".")
    assert not list(tmp_path.iterdir())


def test_a_pool_without_a_name(new: Path) -> None:
    assert "the pool has no name" in refused("ingest", "texts", "--pool", " ", "-i", new)
    assert not list(new.parent.iterdir())


def test_an_argument_that_is_no_text(new: Path, scenes: Path, model: tuple) -> None:
    line = refused("ingest", "images", scenes, *model, *HERE, "--split", os.fsdecode(b"\xff"), "-i", new)
    assert line == "an argument is not UTF-8 text: write it in UTF-8"
    assert not list(new.parent.iterdir())


def test_a_demo_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    line = refused("demo", tmp_path / "file" / "demo")
    assert line.startswith(f"can't write scenes into {tmp_path / 'file' / 'demo'}: ")
