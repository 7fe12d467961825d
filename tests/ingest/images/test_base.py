"""What a model was fine-tuned from: recorded, kept, and no other than a model's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support import MODEL, clipdb, done, refused, rows

BASES = "select model_id, base from models"


@pytest.fixture
def taken(some: Callable[[slice], Path], model: tuple[object, ...], tmp_path: Path) -> Callable[..., str]:
    def ingest(until: int, *options: object) -> str:
        return done(*arguments(until, *options))

    def arguments(until: int, *options: object) -> tuple[object, ...]:
        images = some(slice(0, until))
        return ("ingest", "images", images, *model, "--workers", 0, *options, "-i", tmp_path / "tuned.clipdb")

    ingest.arguments = arguments  # type: ignore[attr-defined]
    return ingest


def test_a_base_is_recorded_kept_and_changed(taken: Callable[..., str], tmp_path: Path) -> None:
    index = tmp_path / "tuned.clipdb"
    taken(3)
    assert rows(index, BASES) == [(MODEL, None)]
    taken(3, "--base", "ViT-B-32/openai")  # where all images are in
    assert rows(index, BASES) == [(MODEL, "ViT-B-32/openai")]
    taken(5)  # more images, of which nobody says the base again
    assert rows(index, BASES) == [(MODEL, "ViT-B-32/openai")]
    runs = rows(index, "select count(*) from runs")
    taken(5, "--base", "ViT-B-32/openai")
    assert rows(index, "select count(*) - ? from runs", runs[0][0])[0][0] <= 1
    taken(6, "--base", "ViT-B-16/openai")
    assert rows(index, BASES) == [(MODEL, "ViT-B-16/openai")]


def test_a_base_that_the_index_lacks_is_said(taken: Callable[..., str]) -> None:
    result = clipdb(*taken.arguments(3, "--base", "ViT-B-32/openai"))  # type: ignore[attr-defined]
    assert "note: ViT-B-32/openai has no images in this index yet: `clipdb query drift` needs" in result.stderr


@pytest.mark.parametrize(
    ("base", "problem"),
    [("nonsense", "'nonsense' is not a model name: write ARCH/PRETRAINED"), (MODEL, f"--base {MODEL} is")],
)
def test_what_is_no_base_is_refused(base: str, problem: str, taken: Callable[..., str], tmp_path: Path) -> None:
    assert refused(*taken.arguments(3, "--base", base)).startswith(problem)  # type: ignore[attr-defined]
    assert not (tmp_path / "tuned.clipdb").exists()
