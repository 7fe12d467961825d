"""Weights from the Hub: its own client against a server that speaks its protocol, from an empty cache."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import open_clip
import pytest
import torch
from forked import HUB, forked
from hub_server import Hub, hub_server
from safetensors.torch import save_file
from support import done, rows

MODEL = "ViT-B-32/openai"
REPOSITORY = "timm/vit_base_patch32_clip_224.openai"
TOKEN = "hf_no_real_token_Qm4Zt8"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with random weights of ViT-B-32, as the Hub would have them."""
    folder = tmp_path_factory.mktemp("hub")
    torch.manual_seed(1)
    network = open_clip.create_model("ViT-B-32", load_weights=False, precision="fp16")
    place = folder / REPOSITORY / "open_clip_model.safetensors"
    place.parent.mkdir(parents=True)
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, place)
    return folder


@pytest.fixture
def hub(published: Path) -> Iterator[Hub]:
    with hub_server(published) as served:
        yield served


def run(hub: Hub, cache: Path, *arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
    """Run clipdb in a process of its own, which has a token, with the server as its Hub."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "http"))}
    environment |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(cache), "HF_TOKEN": TOKEN, "NO_COLOR": "1"} | more
    return forked(*arguments, environment=environment, reloaded=HUB)


def ingest(hub: Hub, folder: Path, pictures: list[Path], **more: str) -> subprocess.CompletedProcess[str]:
    where = ("--device", "cpu", "--workers", 0, "-i", folder / "x.clipdb")
    return run(hub, folder / "cache", "ingest", "images", *pictures, "--model", MODEL, *where, **more)


def test_from_an_empty_cache_to_a_named_head(hub: Hub, published: Path, pictures: list[Path], tmp_path: Path) -> None:
    """Cut in the middle, too: what came is kept, and the rest asked for."""
    hub.cuts = 1
    first = ingest(hub, tmp_path, pictures[:4])
    assert first.returncode == 0, first.stderr
    whole, rest = hub.downloads()
    assert whole is None and rest is not None and int(rest.strip("bytes=-")) > 10**8
    with (published / REPOSITORY / "open_clip_model.safetensors").open("rb") as file:
        expected = hashlib.file_digest(file, "sha256").hexdigest()
    index = tmp_path / "x.clipdb"
    assert rows(index, "select model_id, weights_sha256 from models") == [(MODEL, expected)]
    pool = tmp_path / "words.csv"
    pool.write_text("text,property\n" + "".join(f"{word},colour\n" for word in ("red", "green", "blue", "black")))
    describe = ["span", "--pool", "words", "--count", 2, "--device", "cpu"]
    for verb in (["ingest", "texts", pool, "--pool", "words"], describe):
        ended = run(hub, tmp_path / "cache", *verb, "-i", index)
        assert ended.returncode == 0, ended.stderr
    done("label", "--labeller", "vote", "-i", index)
    assert rows(index, "select count(*) from labels where property is not null") == [(48,)]
    assert len(hub.downloads()) == 2  # never again
    hub.refuses = 500
    again = ingest(hub, tmp_path, pictures[4:6], HF_HUB_OFFLINE="1")
    assert again.returncode == 0 and "added 2" in again.stdout, again.stderr
    assert all(header == f"Bearer {TOKEN}" for header in hub.authorized)
    everything = b"".join(file.read_bytes() for file in index.rglob("*") if file.is_file())
    assert TOKEN not in first.stdout + first.stderr and TOKEN.encode() not in everything


@pytest.mark.parametrize(("status", "says"), [(401, "accepted their terms"), (404, "404"), (429, "429")])
def test_what_the_hub_refuses_is_one_line(
    status: int, says: str, hub: Hub, pictures: list[Path], tmp_path: Path
) -> None:
    hub.refuses = status
    ended = ingest(hub, tmp_path, pictures[:2])
    lines = [line for line in ended.stderr.splitlines() if not line.startswith(("note:", "HTTP Error", "Rate limited"))]
    assert ended.returncode == 1 and len(lines) == 1, ended.stderr
    assert lines[0].startswith(f"Error: can't get the weights of {MODEL}: ") and says in lines[0].lower(), lines[0]
    assert "--checkpoint FILE" in lines[0] and TOKEN not in lines[0]
    assert not (tmp_path / "x.clipdb").exists()
