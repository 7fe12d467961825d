"""Texts are run without their padding, where that changes nothing: for towers of every kind that open_clip builds."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from support import clipdb, done, rows

from clipdb.models.text_tower import TextTower

CONTEXT = 24
TEXT = {"context_length": CONTEXT, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
VISION = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
TEXTS = [f"{'a very ' * (i % 5)}small picture of number {i}" for i in range(50)] + ["word " * 40, "x"]


def network(folder: Path, name: str, custom: bool = False, **text: Any) -> Any:
    config = {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": TEXT | text, "custom_text": custom}
    (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    torch.manual_seed(5)
    made = open_clip.create_model(name, load_weights=False).eval()
    tower = made.text if custom else made
    torch.nn.init.normal_(tower.positional_embedding)  # so that a shift by one place would show
    return made


def plainly(made: Any, name: str, texts: list[str]) -> np.ndarray:
    with torch.inference_mode():
        return made.encode_text(open_clip.get_tokenizer(name)(texts), normalize=True).numpy()


def embed(made: Any, name: str, texts: list[str]) -> tuple[np.ndarray, list[int]]:
    """Embed, and tell how many tokens the tower was given in each pass."""
    lengths: list[int] = []
    transformer = (made.text if hasattr(made, "text") else made).transformer
    handle = transformer.register_forward_pre_hook(lambda _, inputs: lengths.append(inputs[0].shape[1]))
    embeddings = TextTower(f"{name}/x", made, torch.device("cpu"), name).embed(texts, 8)
    handle.remove()
    return embeddings, lengths


@pytest.mark.parametrize(
    ("custom", "text"), [(False, {}), (True, {}), (True, {"pool_type": "eos", "eos_id": 49407}), (True, {"pad_id": 1})]
)
def test_a_causal_tower_reads_no_padding(tmp_path: Path, custom: bool, text: dict) -> None:
    made = network(tmp_path, "causal", custom, **text)
    embeddings, lengths = embed(made, "causal", TEXTS)
    np.testing.assert_allclose(embeddings, plainly(made, "causal", TEXTS), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)
    ends = sorted(int(row.argmax()) + 1 for row in open_clip.get_tokenizer("causal")(TEXTS))
    assert ends[-1] == CONTEXT > ends[-2]
    # The proof, cut and whole; then batches by length, each as long as its longest text.
    assert lengths == [ends[15], CONTEXT, *(max(ends[i : i + 8]) for i in range(0, len(ends), 8))]


@pytest.mark.parametrize("text", [{"no_causal_mask": True}, {"pool_type": "last"}, {"embed_cls": True}])
def test_any_other_tower_reads_all(tmp_path: Path, text: dict) -> None:
    made = network(tmp_path, "other", True, **text)
    embeddings, lengths = embed(made, "other", TEXTS)
    assert set(lengths) == {CONTEXT + ("embed_cls" in text)}
    np.testing.assert_allclose(embeddings, plainly(made, "other", TEXTS), atol=1e-6)


def test_a_tower_that_only_looks_causal_reads_all(tmp_path: Path) -> None:
    made = network(tmp_path, "looks")
    made.attn_mask.zero_()
    embeddings, lengths = embed(made, "looks", TEXTS)
    assert lengths.count(CONTEXT) == len(lengths) - 1  # the one being the proof that failed
    np.testing.assert_allclose(embeddings, plainly(made, "looks", TEXTS), atol=1e-6)


def test_a_few_texts_need_no_proof(tmp_path: Path) -> None:
    made = network(tmp_path, "few")
    embeddings, lengths = embed(made, "few", TEXTS[:9])
    assert lengths == [CONTEXT, CONTEXT]
    np.testing.assert_allclose(embeddings, plainly(made, "few", TEXTS[:9]), atol=1e-6)


def many(folder: Path) -> Path:
    file = folder / "many.txt"
    file.write_text("".join(f"zebra {number}\n" for number in range(1100)))
    return file


def test_a_note_comes_once_and_progress_in_lines(
    pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clipdb.api.progress.LINE_SECONDS", 0)
    index = tmp_path / "demo.clipdb"
    result = clipdb("ingest", "images", *pictures[:3], "--model", "clipdb-tiny/scenes", "--workers", 0, "-i", index)
    assert "images 3/3, added 3, skipped 0, failed 0\n" in result.stderr
    result = clipdb("ingest", "texts", many(tmp_path), "--pool", "many", "-i", index)
    lines = [line for line in result.stderr.splitlines() if not line.startswith(("note:", "device:"))]
    assert lines == ["loading the model", *(f"texts {done}/1100" for done in (0, 256, 512, 768, 1024, 1100))]
    assert result.stderr.count("the demo model was trained without: zebra") == 1
    done("span", "--pool", "many", "-i", index)
    assert rows(index, "select count(distinct (layer, head)) from spans where pool = 'many'") == [(24,)]


def test_a_terminal_shows_bars(pictures: list[Path], tmp_path: Path) -> None:
    index = tmp_path / "demo.clipdb"
    done("ingest", "images", *pictures[:3], "--model", "clipdb-tiny/scenes", "--workers", 0, "-i", index)
    terminal, its_end = pty.openpty()
    command = [sys.executable, "-m", "clipdb", "ingest", "texts", many(tmp_path), "--pool", "many", "-i", index]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    shown = b""
    with subprocess.Popen(command, stderr=its_end, stdout=subprocess.DEVNULL, env=environment) as process:
        os.close(its_end)
        try:
            while more := os.read(terminal, 4096):
                shown += more
        except OSError:  # its end was closed
            pass
    os.close(terminal)
    assert process.returncode == 0
    assert b"loading the model" in shown and b"1100/1100" in shown and b"images" not in shown
