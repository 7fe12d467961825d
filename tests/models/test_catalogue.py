"""The catalogue: current, complete, and proven for everything that it says can be read."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import open_clip
import pytest
from tool_scripts import TOOLS, tool

BOUND = 5e-6
MEASURES = os.environ.get("CLIPDB_PROVE_ALL")  # all architectures, which takes a quarter of an hour


@pytest.fixture(scope="module")
def list_models():
    return tool("list_models")


@pytest.fixture(scope="module")
def listed(list_models) -> list[dict[str, str]]:
    with list_models.CATALOGUE.open() as file:
        return list(csv.DictReader(file))


def test_the_catalogue_is_current(list_models) -> None:
    assert list_models.CATALOGUE.read_text() == list_models.catalogue(list_models.known())


def test_every_architecture_and_every_weight_of_open_clip_is_listed(listed: list[dict[str, str]]) -> None:
    pairs = {(row["arch"], row["pretrained"]) for row in listed}
    assert pairs >= set(open_clip.list_pretrained()) | {("clipdb-tiny", "scenes")}
    files = (Path(open_clip.__file__).parent / "model_configs").glob("*.json")
    assert {arch for arch, _ in pairs} >= {file.stem for file in files}
    assert len(pairs) == len(listed)


def test_what_can_be_read_is_proven_and_what_cannot_has_its_reason(listed: list[dict[str, str]]) -> None:
    for row in listed:
        if row["why_not"]:
            assert not row["family"] and any(name in row["why_not"] for name in ("ConvNeXt", "FastViT", "Swin"))
            continue
        errors = [float(row[name]) for name in ("error", "pool_error") if row[name]]
        if row["arch"].startswith("hf:"):
            assert len(errors) == 1 + ("Siglip" in row["arch"])
        else:
            assert len(errors) == (int(row["layers"]) > 0) + (int(row["pool_heads"]) > 0), row["arch"]
        assert max(errors) < BOUND, row["arch"]
    assert sum(bool(row["pretrained"] and row["family"]) for row in listed) >= 179  # of 197


@pytest.mark.skipif(not MEASURES, reason="CLIPDB_PROVE_ALL is not set")
def test_every_architecture_that_can_be_read_adds_up(list_models, listed: list[dict[str, str]]) -> None:
    for arch in dict.fromkeys(row["arch"] for row in listed if row["family"]):
        assert max(map(float, list_models.prove(arch).values())) < BOUND, arch


@pytest.mark.skipif(not MEASURES, reason="CLIPDB_PROVE_ALL is not set")
@pytest.mark.parametrize(
    "arch",
    [
        "ViT-B-16", "ViT-L-14", "ViT-L-14-CLIPA", "coca_ViT-L-14", "ViT-B-16-SigLIP", "ViT-L-16-SigLIP-256",
        "PE-Core-B-16", "PE-Core-L-14-336", "EVA02-B-16", "EVA02-L-14", "MobileCLIP-B", "ViTamin-B", "ViTamin-L",
    ],
)  # fmt: skip
def test_base_and_large_add_up_at_full_depth(list_models, arch: str) -> None:
    assert max(map(float, list_models.prove(arch, None).values())) < BOUND


@pytest.mark.skipif(not MEASURES, reason="CLIPDB_PROVE_ALL is not set")
def test_the_largest_tower_is_proven_within_8_gb() -> None:
    """With all its layers, in a process of its own, whose memory at its peak is told in kB."""
    script = """
import resource, sys
sys.path.append(sys.argv[1])
import list_models
errors = list_models.prove("ViT-gopt-16-SigLIP2-384", None)
print(max(map(float, errors.values())), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    ran = subprocess.run([sys.executable, "-c", script, str(TOOLS)], check=True, capture_output=True, text=True)
    error, peak = map(float, ran.stdout.splitlines()[-1].split())
    print(f"error {error:.1e}, {peak / 1e6:.2f} GB")
    assert error < BOUND and peak < 8e6
