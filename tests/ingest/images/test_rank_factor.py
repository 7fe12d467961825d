"""`--rank-factor`: heads in front of an attention pooling with fewer numbers, and what that loses, measured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support import change, clipdb, done, refused, rows, table, verified
from transformers_models import save

from clipdb.models.loading import load
from clipdb.models.model import Model
from clipdb.models.model_config import named
from clipdb.models.preprocess import decode

NAME = "tiny-siglip/local"
SIZE, DIM, HEADS = 16, 48, 6
BASES = "select layer, head, basis from heads where layer >= 0 order by 1, 2"
ALL = ("--layers", "all", "--mlps", "--constants", "--workers", 0, "--device", "cpu", "--batch-size", 16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("made") / "tiny-siglip"
    save("siglip", place)
    return place


@pytest.fixture(scope="module")
def cut(folder: Path, some: Callable[[slice], Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Forty images, and then twenty more, which don't change the bases; and what the first ingest said."""
    index = tmp_path_factory.mktemp("cut") / "cut.clipdb"
    ingest = ("ingest", "images", some(slice(0, 40)), "--model", f"local-dir:{folder}", *ALL)
    first = clipdb(*ingest, "--rank-factor", 1, "-i", index)
    assert first.exit_code == 0, first.output
    before = rows(index, "select layer, head, basis from bases order by all")
    done("ingest", "images", some(slice(40, 60)), "--model", NAME, *ALL, "-i", index)
    assert rows(index, "select layer, head, basis from bases order by all") == before
    return index, first.stderr


@pytest.fixture(scope="module")
def read(folder: Path) -> Model:
    found = named(f"local-dir:{folder}", None, None)
    return load(found.model_id, found.checkpoint, "cpu", "fp32", found.config)


def written_by(model: Model, paths: list[Path]) -> np.ndarray:
    """What each head of the trunk writes into the embeddings of unit length, whole: ``[n, 2, 3, D]``."""
    pixels = np.stack([decode(path.read_bytes(), model.preprocess).pixels for path in paths])
    captured = model.adapter.capture(model.pixels_to_input(torch.from_numpy(pixels)), [0, 1])
    maps = np.stack([model.adapter.output_map(layer) for layer in (0, 1)])
    z = np.stack([captured.heads[layer].double().numpy() for layer in (0, 1)], axis=1)
    norm = captured.embedding.double().norm(dim=1).numpy()
    return np.einsum("lhdn,blhn->blhd", maps, z) / norm[:, None, None, None]


def test_room_is_said_first_and_vectors_are_small(cut: tuple[Path, str]) -> None:
    index, said = cut
    exact, kept = 2 * HEADS * DIM / 1000, 2 * HEADS * SIZE / 1000
    room = f"6 heads of the trunk take {kept:.1f} kB an image, 16 numbers each, cut: all would take {exact:.1f} kB"
    assert room in said
    assert rows(index, "select distinct size from heads where layer >= 0") == [(SIZE,)]
    assert rows(index, "select count(*) from heads where layer < 0 and tail is not null") == [(0,)]
    verified(index)


def test_bases_are_the_first_singular_vectors_and_losses_are_what_a_plain_sum_says(
    cut: tuple[Path, str], read: Model, pictures: list[Path]
) -> None:
    index, _ = cut
    written = written_by(read, pictures[:60])
    lost = np.zeros((60, DIM))
    stored = table(index, model=NAME)
    ids = [hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures[:60]]
    order = [list(stored.ids).index(one) for one in ids]
    found = rows(index, "select layer, head, basis, tail, written from heads where layer >= 0 order by layer, head")
    for layer, head, basis, tail, energy in found:
        mine = written[:, layer, head]
        q = np.array(basis).reshape(DIM, SIZE)
        assert np.abs(q.T @ q - np.eye(SIZE)).max() < 1e-5
        rest = mine - mine @ q @ q.T
        least = (np.linalg.svd(mine[:40], compute_uv=False)[SIZE:] ** 2).sum()  # of any 16 directions (Eckart, Young)
        assert (rest[:40] ** 2).sum() == pytest.approx(least, rel=1e-3)
        assert tail == pytest.approx((rest**2).sum() / (mine**2).sum(), rel=1e-3, abs=1e-9) and 0 < tail < 0.2
        assert energy == pytest.approx((mine**2).sum(), rel=1e-4)
        y = stored.columns[f"l{layer}h{head}"][order]
        assert np.abs(y - mine @ q).max() < 2e-3 * np.abs(mine).max()
        lost += rest
    ((error, proof),) = rows(index, "select storage_error, reconstruction_error from models")
    assert error == pytest.approx(np.linalg.norm(lost, axis=1).max(), rel=1e-3) and proof < 5e-6 < error


def test_every_output_that_stands_on_cut_vectors_says_so(
    cut: tuple[Path, str], read: Model, pictures: list[Path]
) -> None:
    index, _ = cut
    ((note, error),) = rows(index, "select note, storage_error from cut_models")
    ((tail,),) = rows(index, "select max(tail) from heads")
    assert note.startswith(f"up to {error:.2g} of an image's embedding is lacking: vectors of 6 heads of the trunk")
    assert f"cut to 16 numbers (--rank-factor 1), which loses up to {tail:.2g} of the squared norm of what" in note
    assert note in done("info", "-f", "csv", "-i", index).replace('""', '"')
    assert note in clipdb("query", "heads", "-i", index).stderr
    done("ingest", "texts", "--pool", "scenes", "--device", "cpu", "-i", index)
    ask = ("explain", pictures[70], "a red ring", "-i", index, "-f", "json", "--partition")
    whole = clipdb(*ask, "trunk")
    assert f"note: {note}; 'not stored' has what they lack" in whole.stderr
    shares = {row["part"]: row["share"] for row in json.loads(whole.stdout)}
    assert note not in clipdb(*ask, "pool").stderr
    change(index, "update images set label = if(image_id < '8', 'ring', 'square')")
    ablated = clipdb("query", "ablate", "--layers", "0", "-i", index)
    assert ablated.exit_code == 0 and note in ablated.stderr, ablated.output
    for query in (
        ["outliers", "--head", "L1.H0"],
        ["layers"],
        ["neighbours", pictures[0], "--head", "L0.H1"],
    ):
        assert note in clipdb("query", *query, "-i", index).stderr, query
    segment = ("segment", pictures[70], "--text", "a red ring", "-i", index, "--partition")
    assert note in clipdb(*segment, "trunk").stderr
    assert note not in clipdb(*segment, "pool").stderr
    q = {(layer, head): np.array(basis).reshape(DIM, SIZE) for layer, head, basis in rows(index, BASES)}
    (own,), text = written_by(read, pictures[70:71]), read.embed_texts(["a red ring"], 1)[0]
    lacking = sum((own[part] - own[part] @ basis @ basis.T) @ text for part, basis in q.items())
    # All else is stored, so what isn't is what the cut vectors lack.
    assert abs(shares["not stored"]) > 1e-5 and shares["not stored"] == pytest.approx(lacking, abs=3e-6)


def test_through_an_export_and_back(cut: tuple[Path, str], folder: Path, tmp_path: Path) -> None:
    index, _ = cut
    done("export", tmp_path / "out", "-i", index)
    done("import", tmp_path / "out", "-i", tmp_path / "theirs")
    asked = (
        "select layer, head, heads.size, heads.tail, written, storage_error, note "
        "from heads join cut_models using (model_id) order by 1, 2"
    )
    assert rows(tmp_path / "theirs", asked) == rows(index, asked)
    verified(tmp_path / "theirs")
    assert "cut to 16 numbers" in done("info", "-i", tmp_path / "out", "-f", "csv")
    ((error,),) = rows(index, "select storage_error from models")
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"are cut (`--rank-factor`): together they lack up to {error:.2g} of an image's embedding" in card


def test_what_makes_no_sense_is_refused(
    cut: tuple[Path, str], folder: Path, some: Callable[[slice], Path], model: tuple, tmp_path: Path
) -> None:
    index, _ = cut
    few, own = some(slice(0, 10)), ("--model", f"local-dir:{folder}")
    before = rows(index, "from bases"), rows(index, "select storage_error from models")
    ingest = ("ingest", "images", few, *own, *ALL)
    assert "has these heads with --rank-factor 1: give that" in refused(*ingest, "--rank-factor", 2, "-i", index)
    assert (rows(index, "from bases"), rows(index, "select storage_error from models")) == before
    new = tmp_path / "new"
    assert "--rank-factor 2 takes at least 32 images to choose from, and 10" in refused(
        *ingest, "--rank-factor", 2, "-i", new
    )
    assert "keeps 48 numbers a head, and 48 hold all: leave it out" in refused(*ingest, "--rank-factor", 3, "-i", new)
    pooled = ("ingest", "images", few, *own, "--workers", 0, "-i", new, "--rank-factor", 1)
    assert "choose layers, too: --layers last4" in refused(*pooled)
    assert "has no heads in front of an attention pooling" in refused(
        "ingest", "images", few, *model, "--workers", 0, "--rank-factor", 2, "-i", new
    )
    assert not new.exists()
    done(*ingest, "-i", new)
    assert "has exact vectors of these heads: leave --rank-factor out" in refused(
        *ingest, "--rank-factor", 1, "-i", new
    )
