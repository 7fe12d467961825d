"""What an ingest stores, counts and leaves alone."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from support import HALF, MODEL, assert_same_vectors, done, rows, table, verified

HERE = ("--workers", 0)


def test_images_are_stored_with_their_facts(ready_index: Path, pictures: list[Path]) -> None:
    import hashlib

    expected = [
        (hashlib.sha256(file.read_bytes()).hexdigest(), str(file), 64, 64, "PNG", None, None, None) for file in pictures
    ]
    assert rows(ready_index, "from images order by image_id") == sorted(expected)
    stored = table(ready_index)
    assert stored.ids == sorted(one[0] for one in expected)
    assert stored.heads == [f"l{layer}h{head}" for layer in range(1, 5) for head in range(6)]
    np.testing.assert_allclose(np.linalg.norm(stored["embedding"], axis=1), 1, atol=HALF)


def test_embeddings_are_those_of_open_clip(ready_index: Path, pictures: list[Path], weights: Path) -> None:
    """And shares of heads add up to no more than the embedding: the rest is the other layer, the MLPs and the stem."""
    import torch
    from open_clip.transform import PreprocessCfg, image_transform_v2

    from clipdb.models.loading import load

    network = load(MODEL, weights, "cpu").network
    transform = image_transform_v2(PreprocessCfg(**network.visual.preprocess_cfg), is_train=False)
    batch = torch.stack([transform(Image.open(file)) for file in pictures[:20]])
    with torch.inference_mode():
        expected = network.encode_image(batch).double().numpy()
    ids = dict(rows(ready_index, "select uri, image_id from images"))
    stored = table(ready_index)
    places = [stored.ids.index(ids[str(file)]) for file in pictures[:20]]
    norms = np.linalg.norm(expected, axis=1)
    np.testing.assert_allclose(stored["norm"][places, 0], norms, rtol=1e-4)
    np.testing.assert_allclose(stored["embedding"][places], expected / norms[:, None], atol=HALF)


def test_head_statistics_are_those_of_the_stored_vectors(ready_index: Path) -> None:
    stored = table(ready_index)
    facts = rows(ready_index, "select layer, head, mean, total_variance, effective_rank from heads")
    assert len(facts) == 24
    for layer, head, mean, variance, rank in facts:
        y = stored[f"l{layer}h{head}"]
        np.testing.assert_allclose(mean, y.mean(axis=0), atol=1e-6)
        eigenvalues = np.linalg.eigvalsh(np.cov(y.T, bias=True))
        assert variance == pytest.approx(eigenvalues.sum(), rel=1e-6)
        p = eigenvalues[eigenvalues > 0] / eigenvalues[eigenvalues > 0].sum()
        assert rank == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-4)


def test_the_run_says_what_was_done(ready_index: Path, scenes: Path, weights: Path) -> None:
    (run,) = rows(
        ready_index,
        "select arguments, versions, device, added, skipped, failed, finished_at >= started_at, run from runs "
        "where command = 'ingest images'",
    )
    arguments, versions = json.loads(run[0]), json.loads(run[1])
    assert arguments["sources"] == [str(scenes)] and arguments["model"] == MODEL
    assert arguments["checkpoint"] == str(weights)
    assert {"python", "clipdb", "duckdb", "pylance", "torch", "open_clip_torch"} <= set(versions)
    assert run[2:7] == ("cpu", 300, 0, 0, True)
    added = rows(ready_index, "select sum(added) from batches where run = ? and kind = 'images'", run[7])
    assert added == [(300,)]
    (facts,) = rows(ready_index, "select layers, heads, head_dim, width, embed_dim, patch_size, image_size from models")
    assert facts == (5, 6, 32, 192, 128, 8, 64)
    assert rows(ready_index, "select 1 from models where reconstruction_error < 1e-4 and length(weights_sha256) = 64")


def test_known_images_cost_no_forward_pass(own_index: Path, scenes: Path, model: tuple) -> None:
    before = rows(own_index, "from batches order by all")
    assert done("ingest", "images", scenes, *model, *HERE, "-i", own_index).endswith("added 0, skipped 300, failed 0\n")
    assert rows(own_index, "from batches order by all") == before
    last = "select added, skipped, failed from runs where command = 'ingest images' order by run desc limit 1"
    assert rows(own_index, last) == [(0, 300, 0)]


def test_more_images_extend_an_index(
    some: Callable[[slice], Path], scenes: Path, model: tuple, ready_index: Path, tmp_path: Path
) -> None:
    index = tmp_path / "grown.clipdb"
    assert "added 100, skipped 0" in done("ingest", "images", some(slice(0, 100)), *model, *HERE, "-i", index)
    assert "added 200, skipped 100" in done("ingest", "images", scenes, *model, *HERE, "--batch-size", 7, "-i", index)
    assert_same_vectors(table(index), table(ready_index))
    np.testing.assert_allclose(
        *(rows(one, "select total_variance from heads order by layer, head") for one in (index, ready_index)), rtol=1e-3
    )
    verified(index)


@pytest.mark.parametrize("batch_size", [4, 64], ids=["in other batches", "in one batch"])
def test_the_same_content_twice_is_one_image(
    batch_size: int, pictures: list[Path], model: tuple, tmp_path: Path
) -> None:
    folder, index = tmp_path / "copies", tmp_path / "one.clipdb"
    folder.mkdir()
    for number, file in enumerate(pictures[:10]):
        for name in ("a", "b", "c"):
            os.link(file, folder / f"{name}{number}.png")
    line = done("ingest", "images", folder, folder, *model, *HERE, "--batch-size", batch_size, "-i", index)
    assert line.endswith("added 10, skipped 50, failed 0\n")
    assert rows(index, "select count(*), count(*) filter (uri like '%/a_.png') from images") == [(10, 10)]
    assert len(table(index).ids) == 10
    verified(index)


@pytest.mark.parametrize("batch_size", [2, 64], ids=["in other batches", "in one batch"])
def test_every_copy_of_a_broken_file_fails(batch_size: int, pictures: list[Path], model: tuple, tmp_path: Path) -> None:
    folder, index = tmp_path / "broken", tmp_path / "one.clipdb"
    folder.mkdir()
    for name in "abcdefgh":
        (folder / f"{name}.jpg").write_bytes(b"")
    for number, file in enumerate(pictures[:6]):
        os.link(file, folder / f"c{number}.png")
    line = done("ingest", "images", folder, *model, *HERE, "--batch-size", batch_size, "-i", index)
    assert line.endswith("added 6, skipped 0, failed 8\n")
    assert rows(index, "select count(distinct uri), any_value(error) from image_failures") == [(8, "the file is empty")]


def test_failures_are_kept_until_the_file_is_mended(pictures: list[Path], model: tuple, tmp_path: Path) -> None:
    folder, index = tmp_path / "files", tmp_path / "one.clipdb"
    folder.mkdir()
    for file in pictures[:5]:
        shutil.copy(file, folder)
    whole = [file.read_bytes() for file in pictures[5:8]]
    broken = [folder / name for name in ("cut.png", "text.jpg", "again.png")]
    broken[0].write_bytes(whole[0][:700])
    broken[1].write_text("no picture")
    broken[2].write_bytes(whole[2][:500])
    command = ("ingest", "images", folder, *model, *HERE, "-i", index)
    assert "added 5, skipped 0, failed 3" in done(*command)
    failures = rows(index, "select uri, error from image_failures order by uri")
    assert [uri for uri, _ in failures] == sorted(map(str, broken))
    assert all(error and "\n" not in error for _, error in failures)
    runs = rows(index, "select distinct f.run = r.run from image_failures f, runs r")
    assert runs == [(True,)]
    assert "added 0, skipped 5, failed 3" in done(*command)
    broken[0].write_bytes(whole[0])
    broken[2].write_bytes(pictures[0].read_bytes())  # what the index has already
    assert "added 1, skipped 6, failed 1" in done(*command)
    assert [uri for (uri,) in rows(index, "select uri from image_failures")] == [str(broken[1])]
    broken[1].write_bytes(pictures[1].read_bytes())
    assert "added 0, skipped 8, failed 0" in done(*command)
    assert rows(index, "from image_failures") == []
    assert rows(index, "select added, skipped, failed from runs order by run") == [
        (5, 0, 3), (0, 5, 3), (1, 6, 1), (0, 8, 0)
    ]  # fmt: skip


def test_a_layer_added_later_is_null_until_its_images_come_again(
    own_index: Path, some: Callable[[slice], Path], scenes: Path, model: tuple
) -> None:
    before, texts = table(own_index), table(own_index, "texts")
    command = (*model, *HERE, "-i", own_index)
    assert "added 40, skipped 0" in done("ingest", "images", some(slice(0, 40)), *command, "--layers", "0")
    now = table(own_index)
    assert now.ids == before.ids and set(now.heads) == {*before.heads, *(f"l0h{head}" for head in range(6))}
    assert np.isnan(now["l0h3"]).all(axis=1).sum() == 260
    (mean,) = rows(own_index, "select mean from heads where name = 'L0.H3'")[0]
    np.testing.assert_allclose(mean, np.nanmean(now["l0h3"], axis=0), atol=1e-6)
    assert "added 260, skipped 40" in done("ingest", "images", scenes, *command)  # last4 is the default
    full = table(own_index)
    assert not np.isnan(full["l0h3"]).any()
    full.columns = {name: full[name] for name in before.columns}
    assert_same_vectors(full, before)
    assert "added 0, skipped 300" in done("ingest", "images", scenes, *command, "--layers", "all")
    widened = table(own_index, "texts")
    assert widened.ids == texts.ids and len(widened.heads) == 30
    (basis,) = rows(own_index, "select basis from heads where name = 'L0.H3'")[0]
    expected = widened["embedding"] @ np.array(basis).reshape(128, 32)
    np.testing.assert_allclose(widened["l0h3"], expected, atol=HALF)
    verified(own_index)


def test_split_and_label(pictures: list[Path], model: tuple, tmp_path: Path) -> None:
    for number, name in enumerate(("train/cat", "train/dog", "test/cat")):
        folder = tmp_path / "set" / name
        folder.mkdir(parents=True)
        os.link(pictures[number], folder / "one.png")
    index = tmp_path / "one.clipdb"
    done("ingest", "images", tmp_path / "set", *model, *HERE, "--label-from", "parent", "-i", index)
    facts = rows(index, "select split, label from images order by all")
    assert facts == [("test", "cat"), ("train", "cat"), ("train", "dog")]
    done("ingest", "images", pictures[3], *model, *HERE, "--split", "mine", "-i", index)
    assert rows(index, "select label from images where split = 'mine'") == [(None,)]


def test_sources_of_all_kinds_at_once(
    scenes: Path, pictures: list[Path], some: Callable[[slice], Path], model: tuple, ready_index: Path, tmp_path: Path
) -> None:
    data = [file.read_bytes() for file in pictures]
    shard, parquet, listed = tmp_path / "train-00.tar", tmp_path / "test.parquet", tmp_path / "list.txt"
    with tarfile.open(shard, "w") as archive:
        for number in range(10, 20):
            sample = {"png": data[number], "cls": b"7", "json": b'{"n": %d}' % number}
            for ending, content in sample.items():
                member = tarfile.TarInfo(f"{number:03}.{ending}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    images = [{"bytes": data[number], "path": f"{number}.png"} for number in range(20, 30)]
    pq.write_table(pa.table({"image": images, "label": ["x"] * 10, "n": list(range(20, 30))}), parquet)
    listed.write_text("\n".join(map(str, pictures[30:40])))
    sources = (some(slice(0, 10)), shard, parquet, listed, *pictures[40:45], shard)
    index = tmp_path / "all.clipdb"
    line = done("ingest", "images", *sources, *model, "--workers", 2, "--batch-size", 6, "-i", index)
    assert line.endswith("added 45, skipped 10, failed 0\n")
    assert len(table(index).ids) == 45
    found = rows(
        index, "select split, label, metadata->>'$.n', count(*) over () from images where uri like ?", f"{shard}#%"
    )
    assert sorted(found) == [("train", "7", str(number), 10) for number in range(10, 20)]
    found = rows(index, "select split, label, metadata->>'$.n' from images where uri like ?", f"{parquet}#row=%")
    assert sorted(found) == [("test", "x", str(number)) for number in range(20, 30)]
    whole = table(ready_index)
    kept = [whole.ids.index(one) for one in table(index).ids]
    whole.ids, whole.columns = table(index).ids, {name: matrix[kept] for name, matrix in whole.columns.items()}
    assert_same_vectors(table(index), whole)
    verified(index)


def test_two_models_share_images(own_index: Path, scenes: Path, weights: Path, some: Callable[[slice], Path]) -> None:
    other = ("--model", "clipdb-tiny/second", "--checkpoint", weights, "--device", "cpu")
    assert "added 20, skipped 0" in done("ingest", "images", some(slice(0, 20)), *other, *HERE, "-i", own_index)
    assert rows(own_index, "select count(*) from images") == [(300,)]
    second, first = table(own_index, model="clipdb-tiny/second"), table(own_index)
    kept = [first.ids.index(one) for one in second.ids]
    first.ids, first.columns = second.ids, {name: matrix[kept] for name, matrix in first.columns.items()}
    assert_same_vectors(second, first)
    verified(own_index)


def test_photographs(photos: Path, model: tuple, tmp_path: Path) -> None:
    index = tmp_path / "photos.clipdb"
    files = [file for file in photos.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg", ".png")]
    distinct = len({file.read_bytes() for file in files})
    line = done("ingest", "images", photos, *model, "--workers", 1, "-i", index)
    assert line.endswith(f"added {distinct}, skipped {len(files) - distinct}, failed 0\n")
    with Image.open(files[0]) as image:
        size = image.size
    assert rows(index, "select width, height from images where uri = ?", str(files[0])) in ([size], [size[::-1]])
    verified(index)
