"""Pools in an index, and the vectors of their texts."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from support import HALF, MODEL, change, clipdb, done, refused, rows, table, verified

from clipdb import pools
from clipdb.models.loading import load


def ids_of(texts: list[str]) -> list[str]:
    return [hashlib.sha256(text.encode()).hexdigest() for text in texts]


def embed(texts: list[str], weights: Path) -> np.ndarray:
    """Embed with open_clip alone, as unit vectors."""
    network = load(MODEL, weights, "cpu").network
    with torch.inference_mode():
        embeddings = network.encode_text(open_clip.get_tokenizer("clipdb-tiny")(texts)).double().numpy()
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)


def test_head_vectors_of_texts_are_their_embeddings_in_head_space(ready_index: Path, weights: Path) -> None:
    stored = table(ready_index, "texts")
    texts = dict(rows(ready_index, "select text_id, text from texts"))
    assert sorted(texts) == stored.ids == sorted(ids_of([one.text for one in pools.load("scenes")]))
    expected = embed([texts[one] for one in stored.ids], weights)
    np.testing.assert_allclose(stored["embedding"], expected, atol=1e-5)
    for layer, head, basis in rows(ready_index, "select layer, head, basis from heads"):
        q = np.array(basis, np.float64).reshape(128, 32)
        np.testing.assert_allclose(stored[f"l{layer}h{head}"], expected @ q, atol=HALF)


def test_shares_of_heads_are_inner_products(ready_index: Path) -> None:
    """<y, Q^T t> is <Q y, t>: what the head gives to the cosine."""
    images, texts = table(ready_index), table(ready_index, "texts")
    ((basis,),) = rows(ready_index, "select basis from heads where name = 'L4.H2'")
    shares = images["l4h2"] @ texts["l4h2"].T
    contributions = images["l4h2"] @ np.array(basis).reshape(128, 32).T
    np.testing.assert_allclose(shares, contributions @ texts["embedding"].T, atol=HALF)


def test_a_pool_of_ones_own_without_properties(own_index: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("a heron\n\n  a kettle \na heron\nsomething red\nein Käse 🧀\n")
    result = clipdb("ingest", "texts", file, "--pool", "mine", "-i", own_index)
    assert result.stdout.endswith("pool mine has 4 texts; embedded 3, skipped 1\n")  # 'something red' is of the scenes
    assert "left out 1 duplicate and 1 empty row" in result.stderr
    members = "from pool_texts join texts using (text_id) where pool = 'mine'"
    expected = [("a heron", 0, None), ("a kettle", 1, None), ("something red", 2, None), ("ein Käse 🧀", 3, None)]
    assert rows(own_index, f"select text, position, property {members} order by position") == expected
    assert rows(own_index, "from pools where pool = 'mine'") == [("mine", "mine", str(file), None)]
    assert set(ids_of(["a heron", "ein Käse 🧀"])) <= set(table(own_index, "texts").ids)
    verified(own_index)


def test_a_pool_is_replaced_and_its_texts_stay(own_index: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("text,property\na heron,animals\na kettle,kitchen\n")
    command = ("ingest", "texts", file, "--pool", "mine", "-i", own_index)
    assert "embedded 2, skipped 0" in done(*command)
    assert "embedded 0, skipped 2" in done(*command)
    file.write_text("text,property\na kettle,metal\na spoon,metal\n")
    assert "embedded 1, skipped 1" in done(*command)
    members = "select text, property from pool_texts join texts using (text_id) where pool = 'mine' order by position"
    assert rows(own_index, members) == [("a kettle", "metal"), ("a spoon", "metal")]
    assert rows(own_index, "select count(*) from texts where text = 'a heron'") == [(1,)]
    stored = table(own_index, "texts")
    assert len(stored.ids) == len(set(stored.ids)) == len(pools.load("scenes")) + 3
    verified(own_index)


def test_a_shipped_pool_keeps_its_title_and_licence(ready_index: Path) -> None:
    about = pools.shipped()["scenes"]
    assert rows(ready_index, "from pools") == [("scenes", about.title, about.source, "Apache-2.0")]
    stored = rows(ready_index, "select text, property from pool_texts join texts using (text_id) order by position")
    assert stored == [tuple(one) for one in pools.load("scenes")]


def test_texts_may_come_before_images(pictures: list[Path], model: tuple, weights: Path, tmp_path: Path) -> None:
    index = tmp_path / "texts-first.clipdb"
    assert "embedded 0, skipped 0" in done("ingest", "texts", "--pool", "scenes", "-i", index)
    done("ingest", "images", *pictures[:20], *model, "--workers", 0, "-i", index)
    assert "24 heads spanned" in done("span", "--pool", "scenes", "-i", index)
    assert len(table(index, "texts").ids) == len(pools.load("scenes"))
    verified(index)


def test_a_text_longer_than_the_context_is_cut_and_said(own_index: Path, weights: Path, tmp_path: Path) -> None:
    long = " ".join(["red"] * 40)
    (tmp_path / "long.txt").write_text(f"{long}\n{' '.join(['red'] * 30)}\n")
    result = clipdb("ingest", "texts", tmp_path / "long.txt", "--pool", "long", "-i", own_index)
    assert result.exit_code == 0
    assert "note: 1 text is longer than 30 tokens: the last 10 were dropped" in result.stderr
    stored = table(own_index, "texts")
    row = stored.ids.index(ids_of([long])[0])
    np.testing.assert_allclose(stored["embedding"][row], embed([long], weights)[0], atol=1e-5)


def test_a_model_whose_weights_are_gone_is_named(own_index: Path, tmp_path: Path) -> None:
    gone = "update runs set arguments = replace(arguments::varchar, 'random.safetensors', 'gone.safetensors')"
    change(own_index, gone)
    (tmp_path / "mine.txt").write_text("a heron\n")
    result = clipdb("ingest", "texts", tmp_path / "mine.txt", "--pool", "mine", "-i", own_index)
    assert result.exit_code == 0 and "embedded 0" in result.stdout
    assert f"note: not embedded for {MODEL}: no checkpoint at " in result.stderr
    assert rows(own_index, "select count(*) from pool_texts where pool = 'mine'") == [(1,)]
    assert "gone.safetensors" in refused("span", "--pool", "mine", "-i", own_index)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.txt", None, "no file "),
        ("empty.txt", "", "is empty"),
        ("blank.txt", "\n  \n", "holds no description"),
        ("x.csv", "words\na\n", "has no column 'text'"),
        ("x.docx", "a", "cannot tell what"),
    ],
)
def test_files_that_are_no_pool(name: str, content: str | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    assert said in refused("ingest", "texts", tmp_path / name, "--pool", "mine", "-i", tmp_path / "new.clipdb")
    assert not (tmp_path / "new.clipdb").exists()


def test_a_pool_that_does_not_ship(tmp_path: Path) -> None:
    line = refused("ingest", "texts", "--pool", "scense", "-i", tmp_path / "new.clipdb")
    assert line == "clipdb ships no pool 'scense': did you mean scenes?"
    assert not list(tmp_path.iterdir())
