"""What `clipdb ablate` finds is kept, set by set, and read from there; also where the work is cut short."""

from __future__ import annotations

import errno
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_parts import client_of
from support import change, clipdb, done, refused, rows, verified

import clipdb as package
from clipdb import demo
from clipdb.api import kept_effects
from clipdb.explorer.site import Site
from clipdb.ingest.store.lock import writer_lock

COUNT = 12
EACH = ("--each", "--layers", "3-4", "--mode", "zero", "--target", "background")
NAMES = [f"L{layer}.H{head}" for layer in (3, 4) for head in range(6)]
LOST = "select ablated, part, class_name, images, before, direct, causal, seed from effects order by all"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of 12 scenes, of which two backgrounds are known."""
    folder = tmp_path_factory.mktemp("effects")
    drawn = demo.write_scenes(folder / "scenes", COUNT, 11)
    package.ingest_images(folder / "i.clipdb", folder / "scenes", model=demo.MODEL_ID, device="cpu", progress=False)
    for place, (path, _) in enumerate(drawn):
        truth = json.dumps({"background": "grass" if place % 3 else "sand"})
        change(folder / "i.clipdb", "update images set metadata = ? where ends_with(uri, ?)", truth, path.name)
    return folder / "i.clipdb"


@pytest.fixture
def index(scenes: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(scenes, tmp_path / "i.clipdb", symlinks=True))


@pytest.fixture(scope="module")
def swept(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """An index of which twelve heads were measured, and what was printed."""
    index = Path(shutil.copytree(scenes, tmp_path_factory.mktemp("swept") / "i.clipdb", symlinks=True))
    return index, json.loads(done("ablate", *EACH, "--device", "cpu", "-i", index, "-f", "json"))


def ablate(index: Path, *arguments: object) -> Any:
    return clipdb("ablate", *arguments, "--device", "cpu", "-i", index, "-f", "json")


def test_what_is_printed_is_kept_and_read_again(swept: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    index = Path(shutil.copytree(swept[0], tmp_path / "i.clipdb", symlinks=True))
    printed = swept[1]
    kept = rows(index, LOST)
    assert [row[0] for row in kept if row[1] == "all"] == NAMES
    assert {row[2] for row in kept if row[1] == "class"} == {"grass", "sand"} and len(kept) == 4 * len(NAMES)
    shown = ("heads", "part", "name", "images", "before", "direct", "causal")
    assert [(*row[:2], row[2] or None, *row[3:7]) for row in kept if row[1] != "class"] == [
        tuple(row[name] for name in shown) for row in printed
    ]
    verified(index)
    runs = rows(index, "select run from runs where command = 'ablate'")
    again = ablate(index, *EACH)
    assert json.loads(again.stdout) == printed and "12 of 12 heads were measured before" in again.stderr
    assert rows(index, "select run from runs where command = 'ablate'") == runs
    # Another seed is another interval: its rows take the place of the older ones, as do those of other classes.
    other = ablate(index, "--heads", "L3.H0", *EACH[3:], "--seed", 1, "--control", 1)
    assert other.exit_code == 0 and "kept" not in other.stderr
    change(index, "update images set metadata = '{\"background\": \"night\"}' where metadata->>'background' = 'sand'")
    assert "kept" not in ablate(index, "--heads", "L4.H1", *EACH[3:], "--control", 0).stderr
    after = rows(index, LOST)
    assert {row[2] for row in after if row[:2] == ("L4.H1", "class")} == {"grass", "night"}
    assert {row[-1] for row in after if row[0] == "L3.H0"} == {1} and len(after) == len(kept)
    verified(index)


@pytest.mark.parametrize("how", ["Ctrl-C", "full disk"])
def test_what_was_computed_stays_where_the_work_is_cut_short(
    how: str, index: Path, swept: tuple[Path, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    put = kept_effects.put

    def cut_short(connection: Any, table: str, found: list[dict[str, Any]], new: bool) -> None:
        if found[0]["ablated"] == "L3.H4":  # older rows of the set are out by then
            if how == "full disk":
                raise OSError(errno.ENOSPC, "No space left on device")
            signal.raise_signal(signal.SIGINT)
        put(connection, table, found, new=new)

    with monkeypatch.context() as patch:
        patch.setattr(kept_effects, "put", cut_short)
        stopped = ablate(index, *EACH)
    assert stopped.exit_code != 0 and len(stopped.stderr.splitlines()) == 1
    assert [name for (name,) in rows(index, "select ablated from effects where part = 'all' order by 1")] == NAMES[:4]
    went_on = ablate(index, *EACH)
    assert "4 of 12 heads were measured before" in went_on.stderr and json.loads(went_on.stdout) == swept[1]
    assert rows(index, LOST) == rows(swept[0], LOST)


def test_nothing_is_kept_where_it_cannot_be(swept: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    index = Path(shutil.copytree(swept[0], tmp_path / "i.clipdb", symlinks=True))
    given = ("--heads", "L3.H0,L3.H1", "--target", "background", "--control", 0)
    before = rows(index, LOST)
    with writer_lock(index):
        busy = ablate(index, *given)
    assert busy.exit_code == 0 and json.loads(busy.stdout)[0]["heads"] == "L3.H0,L3.H1"
    assert f"nothing will be kept: {index} is being written by process" in busy.stderr
    done("export", tmp_path / "export", "-i", index)
    exported = ablate(tmp_path / "export", *given)
    assert json.loads(exported.stdout) == json.loads(busy.stdout)
    assert "is an export; import it to keep what is computed" in exported.stderr
    assert rows(index, LOST) == before
    asked = [done("query", "effects", "-i", place, "-f", "csv") for place in (index, tmp_path / "export")]
    assert asked[0] == asked[1] and asked[0].count("\n") == 1 + len(NAMES)
    done("import", tmp_path / "export", "-i", tmp_path / "new.clipdb")
    assert rows(tmp_path / "new.clipdb", LOST) == before


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--layers", "0"), "has no vectors of layer 0"),
        (("--target", "one"), "images have only 'same' as 'one'"),
        (("--checkpoint", "WEIGHTS"), "weights"),
    ],
)
def test_a_refusal_keeps_what_there_was(
    swept: tuple[Path, list[dict[str, Any]]], weights: Path, given: tuple[str, str], said: str
) -> None:
    index, _ = swept
    change(index, 'update images set metadata = json_merge_patch(metadata, \'{"one": "same"}\')')
    before = rows(index, LOST)
    words = [weights if word == "WEIGHTS" else word for word in given]
    assert said in refused("ablate", *EACH, *words, "--device", "cpu", "-i", index)
    assert rows(index, LOST) == before


def test_the_queries_show_what_is_kept(swept: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    index, printed = swept
    whole = {row["heads"]: row for row in printed if row["part"] == "all"}
    asked = json.loads(done("query", "effects", "-i", index, "-f", "json", "--plot", tmp_path / "effects.png"))
    assert (tmp_path / "effects.png").read_bytes()[:4] == b"\x89PNG"
    assert sorted(row["head"] for row in asked) == NAMES
    for row in asked:
        one = whole[row["head"]]
        assert row["direct_drop"] == pytest.approx(one["before"] - one["direct"], abs=1e-9)
        assert row["causal_drop"] == pytest.approx(one["before"] - one["causal"], abs=1e-9)
        assert row["causal_low"] <= row["causal_drop"] <= row["causal_high"]
        assert row["difference"] == pytest.approx(row["direct_drop"] - row["causal_drop"], abs=1e-9)
    assert [row["causal_drop"] for row in asked] == sorted((row["causal_drop"] for row in asked), reverse=True)
    card = json.loads(done("query", "head", "L3.H2", "-i", index, "-f", "json"))[0]
    assert card["target"] == "background" and card["causal_drop"] == pytest.approx(
        whole["L3.H2"]["before"] - whole["L3.H2"]["causal"], abs=1e-9
    )
    with client_of(Site(index, thumbnails=tmp_path / "thumbnails.db")) as client:
        page = client.settled(f"/models/{demo.MODEL_ID}/heads/L3.H2").text
    assert "Accuracy lost without L3.H2" in page and f"{card['causal_drop']:.3f} <span" in page
    one = json.loads(done("query", "effects", "--head", "L3.H2", "--target", "background", "-i", index, "-f", "json"))
    assert [row["head"] for row in one] == ["L3.H2"]
    assert json.loads(done("query", "effects", "--mode", "mean", "-i", index, "-f", "json")) == []


def test_agreement_is_spearmans_with_ties_averaged(
    swept: tuple[Path, list[dict[str, Any]]], tmp_path: Path, index: Path
) -> None:
    assert "this index has no effects yet: run `clipdb ablate --each" in refused("query", "effects", "-i", index)
    copy = Path(shutil.copytree(swept[0], tmp_path / "copy.clipdb", symlinks=True))
    generator = np.random.default_rng(3)
    figures = {name: generator.integers(0, 5, size=2) / 4 for name in NAMES}
    for name in NAMES[:6]:
        figures[name][0] = 0.5
    for name, (direct, causal) in figures.items():
        change(copy, "update effects set direct = ?, causal = ? where ablated = ?", direct, causal, name)
    found = json.loads(done("query", "effect-agreement", "-i", copy, "-f", "json"))
    by_layer = {row["layer"]: row for row in found}
    assert by_layer[3]["spearman"] is None and by_layer[3]["note"] == "one value only"
    for layer, names in ((4, NAMES[6:]), (None, NAMES)):
        assert by_layer[layer]["heads"] == len(names) and by_layer[layer]["images"] == COUNT
        assert by_layer[layer]["spearman"] == pytest.approx(spearman(np.array([figures[one] for one in names])))


def spearman(pairs: np.ndarray) -> float:
    """Pearson's correlation of ranks, each value's the mean of the places that it takes ``[n, 2]``."""
    ranks = np.array([[np.mean(np.flatnonzero(np.sort(side) == value)) for value in side] for side in pairs.T])
    return float(np.corrcoef(ranks)[0, 1])


def test_figures_over_more_images_stay(swept: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    index = Path(shutil.copytree(swept[0], tmp_path / "i.clipdb", symlinks=True))
    before = rows(index, LOST)
    fewer = ablate(index, "--each", "--heads", "L3.H0,L3.H1", *EACH[3:], "--images", COUNT - 4)
    assert "2 of 2 sets stay as they were measured over more images: this isn't kept" in fewer.stderr
    assert max(row["images"] for row in json.loads(fewer.stdout)) == COUNT - 4 and rows(index, LOST) == before


def test_what_tells_little_is_said(index: Path) -> None:
    change(
        index, "update images set metadata = '{\"n\": ' || rowid || ', \"half\": ' || rowid % 2 || '}' where rowid > 2"
    )
    alone = ablate(index, "--heads", "L3.H0", "--target", "n", "--control", 0).stderr
    assert "note: each image has a value of its own as 'n'" in alone
    told = ablate(index, "--heads", "L3.H0", "--target", "half", "--template", "a {}", "--control", 0).stderr
    assert f"note: 3 of {COUNT} images have no half and are left out" in told
    assert "the model hardly tells these classes apart, so what it loses says little" in told
    asked = ("query", "ablate", "--heads", "L3.H0", "--target", "half", "--template", "a {}", "--control", 0)
    assert "the model hardly tells these classes apart" in clipdb(*asked, "-i", index).stderr
