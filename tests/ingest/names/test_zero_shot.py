"""The labeller zero-shot on real weights: its names against loops, when it gives none, what a kill leaves."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from plain_shares import merged, nearest, share_of
from support import MODEL, Process, change, clipdb, done, refused, rows, table, until, verified

from clipdb.demo import MODEL_ID

LABELS = "select layer, head, property, confidence, rationale from labels where labeller = 'zero-shot' order by all"
_OF_RUN = LABELS.replace("order", "and pool = ? and run = (select max(run) from labels where pool = ?) order")
SCORES = "select layer, head, pool, property, share, chance from label_scores order by all"
NOTE = r"no clear name: \w+ \.\d\d, \w+ \.\d\d \(zero-shot\)"
LABEL = ("label", "--pool", "scenes", "-i")


@pytest.fixture(scope="module")
def trained_index(some: Callable[[slice], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some scenes under the packaged model, spanned with the pool `scenes` and labelled. Don't write to it."""
    index = tmp_path_factory.mktemp("trained") / "trained.clipdb"
    done("ingest", "images", some(slice(0, 200)), "--model", MODEL_ID, "--device", "cpu", "--workers", 0, "-i", index)
    done("span", "--pool", "scenes", "--device", "cpu", "-i", index)
    done(*LABEL, index)
    return index


@pytest.fixture
def trained(trained_index: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_index, tmp_path / "trained.clipdb"))


def expected(index: Path, model: str, pool: str = "scenes") -> dict[tuple[int, int], dict[str, float]]:
    """Measure every property in every head, by loops over what is stored."""
    images, texts = table(index, "images", model), table(index, "texts", model)
    members = rows(index, "select property, text_id from pool_texts where pool = ? and property is not null", pool)
    found: dict[tuple[int, int], dict[str, float]] = {}
    for name in {name for name, _ in members}:
        ids = [texts.ids.index(one) for of, one in members if of == name]
        directions = merged(texts["embedding"][ids])
        if len(directions) < 2:
            continue
        groups = np.array(nearest(images["embedding"], directions))
        for head in images.heads:
            layer, number = head[1:].split("h")
            there = ~np.isnan(images[head]).any(axis=1)
            share = share_of(images[head][there], groups[there])
            found.setdefault((int(layer), int(number)), {})[name] = share
    return found


def assert_measured(index: Path, model: str, pool: str = "scenes") -> None:
    """Check shares against the loops, and labels against the shares."""
    truth = expected(index, model, pool)
    run = "(select max(run) from label_scores where pool = ?)"
    sql = f"select layer, head, property, share, chance from label_scores where pool = ? and run = {run}"
    found: dict[tuple[int, int], dict[str, tuple[float, float]]] = {}
    for layer, head, name, share, chance in rows(index, sql, pool, pool):
        found.setdefault((layer, head), {})[name] = (share, chance)
    assert {head: {name: one for name, (one, _) in of.items()} for head, of in found.items()} == {
        head: pytest.approx(shares, abs=2e-5) for head, shares in truth.items()
    }
    for layer, head, name, confidence, why in rows(index, _OF_RUN, pool, pool):
        ranked = sorted(found[layer, head].items(), key=lambda item: -item[1][0])
        (best, (share, chance)), (_, (second, _)) = ranked[:2]
        clear = share > chance and share >= 1.3 * second
        assert (name, confidence) == ((best, share) if clear else (None, None))
        assert why.startswith(f"{best} " if clear else f"no clear name: {best} ")


def test_names_are_those_of_the_loops(trained_index: Path) -> None:
    assert_measured(trained_index, MODEL_ID)
    named = [name for _, _, name, _, _ in rows(trained_index, LABELS)]
    assert len(named) == 24 and named.count(None) <= 4
    assert rows(trained_index, "select count(*) from label_scores") == [(24 * 8,)]
    verified(trained_index)


def test_random_weights_get_no_names_and_everybody_is_told(own_index: Path) -> None:
    """`own_index` has names by vote, which names every head."""
    assert rows(own_index, "select count(*) from head_properties") == [(24,)]
    assert done(*LABEL, own_index) == f"{own_index}: 0 heads labelled by zero-shot, 24 without a clear name\n"
    assert_measured(own_index, MODEL)
    shown = done("query", "heads", "-f", "json", "-i", own_index)
    assert (
        shown.count('"labeller": "vote"') == 24
        and len(re.findall('no clear name: .* [.]..[^"]* [(]zero-shot[)]', shown)) == 24
    )
    change(own_index, "delete from labels where labeller = 'vote'")
    shown = done("query", "heads", "-f", "json", "-i", own_index)
    assert (
        shown.count('"property": null') == 24
        and len(re.findall('no clear name: .* [.]..[^"]* [(]zero-shot[)]', shown)) == 24
    )
    assert "no clear name: " in done("query", "head", "L3.H0", "-f", "json", "-i", own_index)
    for command in (("judge",), ("judge", "--labeller", "zero-shot")):
        assert refused(*command, "--pool", "scenes", "-i", own_index).endswith(
            "no labeller found a clear name: see the notes of `clipdb query heads`"
        )


def test_images_of_before_a_layer_was_added(some: Callable[[slice], Path], model: tuple, tmp_path: Path) -> None:
    index = tmp_path / "grown.clipdb"
    done("ingest", "images", some(slice(0, 60)), *model, "--layers", "3-4", "--workers", 0, "-i", index)
    done("ingest", "images", some(slice(60, 100)), *model, "--layers", "2-4", "--workers", 0, "-i", index)
    done("span", "--pool", "scenes", "--device", "cpu", "-i", index)
    done(*LABEL, index)
    assert sum(np.isnan(table(index)["l2h0"]).any(axis=1)) == 60
    assert_measured(index, MODEL)


def test_the_same_again_adds_nothing(trained: Path) -> None:
    before = (rows(trained, LABELS), rows(trained, SCORES), rows(trained, "select count(*) from runs"))
    named = sum(one[2] is not None for one in before[0])
    for _ in range(2):
        assert done(*LABEL, trained) == (
            f"{trained}: 0 heads labelled by zero-shot, 0 without a clear name, 24 as before\n"
        )
    assert (rows(trained, LABELS), rows(trained, SCORES), rows(trained, "select count(*) from runs")) == before
    change(trained, "update labels set property = 'size' where (layer, head) = (1, 0)")
    change(trained, "update label_scores set share = 0.5 where (layer, head, property) = (1, 1, 'size')")
    done(*LABEL, trained)
    assert rows(trained, "select added, skipped from runs order by run desc limit 1") == [(2, 22)]
    current = rows(trained, "select count(*) from head_properties where labeller = 'zero-shot'")
    assert current == [(named,)]
    verified(trained)


def test_more_images_are_other_shares(trained: Path, scenes: Path) -> None:
    done("ingest", "images", scenes, "--model", MODEL_ID, "--device", "cpu", "--workers", 0, "-i", trained)
    assert "older than the images: run `clipdb label" in done("info", "-f", "json", "-i", trained)
    done(*LABEL, trained)
    assert_measured(trained, MODEL_ID)
    assert "run `clipdb label" not in done("info", "-f", "json", "-i", trained)
    assert rows(trained, "select count(*), count(distinct run) from labels") == [(48, 2)]
    done("export", trained.parent / "export", "-i", trained)
    assert "older than the images" not in done("info", "-i", trained.parent / "export", "-f", "csv")


def test_killed_at_any_time_it_doubles_nothing(trained_index: Path, tmp_path: Path) -> None:
    index = Path(shutil.copytree(trained_index, tmp_path / "killed.clipdb"))
    change(index, "delete from labels")
    change(index, "delete from label_scores")
    log, catalog = tmp_path / "log", index / "catalog.duckdb"
    state = catalog.stat().st_mtime_ns
    process = Process(log, *LABEL, index)
    assert until(lambda: catalog.with_suffix(".duckdb.wal").exists() or catalog.stat().st_mtime_ns != state)
    process.signal(signal.SIGKILL)  # at the first sign of writing
    process.wait()
    done(*LABEL, index)
    kept = "select count(*), count(distinct (layer, head)), count(distinct run) from labels"
    assert rows(index, kept) == [(24, 24, 1)]
    assert rows(index, "select count(*) from label_scores") == [(24 * 8,)]
    assert "24 as before" in done(*LABEL, index)
    verified(index)


def test_an_export_brings_shares_along(trained_index: Path, tmp_path: Path) -> None:
    index = tmp_path / "imported.clipdb"
    done("export", tmp_path / "out", "-i", trained_index)
    shown = done("query", "label-scores", "L3.H0", "-f", "csv", "-i", trained_index)
    assert done("query", "label-scores", "L3.H0", "-f", "csv", "-i", tmp_path / "out") == shown
    assert shown.count("\n") == 9 and shown.count("true") == 1
    done("import", tmp_path / "out", "-i", index)
    assert (rows(index, LABELS), rows(index, SCORES)) == (rows(trained_index, LABELS), rows(trained_index, SCORES))
    assert "24 as before" in done(*LABEL, index)
    verified(index)


def test_properties_that_say_the_same_are_not_told_apart(trained: Path, tmp_path: Path) -> None:
    words = ("red", "green", "blue", "yellow", "purple")
    lines = [f"{word} things,colour\npainted {word},hue" for word in words]
    (tmp_path / "twice.csv").write_text("\n".join(["text,property", *lines, "one thing,count", "stars,", "rings,  "]))
    done("ingest", "texts", tmp_path / "twice.csv", "--pool", "twice", "--device", "cpu", "-i", trained)
    done("label", "--pool", "twice", "-i", trained)
    assert_measured(trained, MODEL_ID, "twice")  # "count" has one description, and no share
    reds = rows(trained, "select distinct property from labels where pool = 'twice'")
    assert reds == [(None,)]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["a heron,", "a kettle,"], "the texts of the pool 'mine' have no properties: name these heads with"),
        (
            ["red,colour", "blue,Colour.", "one,count"],
            "the pool 'mine' has fewer than two properties with descriptions",
        ),
    ],
)
def test_pools_that_tell_nothing_apart(lines: list[str], says: str, trained: Path, tmp_path: Path) -> None:
    before = rows(trained, "from runs order by all")
    (tmp_path / "mine.csv").write_text("\n".join(["text,property", *lines]))
    done("ingest", "texts", tmp_path / "mine.csv", "--pool", "mine", "--device", "cpu", "-i", trained)
    assert refused("label", "--pool", "mine", "-i", trained).startswith(says)
    assert len(rows(trained, "from runs")) == len(before) + 1  # the ingest's


def test_what_is_missing_is_named(trained: Path, tmp_path: Path) -> None:
    no_pool = f"{trained} has no descriptions from the pool 'general': run `clipdb span --pool general -i {trained}`"
    assert refused("label", "--pool", "general", "-i", trained) == no_pool
    change(trained, "insert into pool_texts select 'scenes', sha256('new'), 9999, 'colour'")
    change(trained, "insert into texts values (sha256('new'), 'new')")
    assert refused(*LABEL, trained) == (
        f"{MODEL_ID} has no embeddings of 1 of the 465 descriptions from the pool 'scenes': "
        f"run `clipdb span --pool scenes --model {MODEL_ID} -i {trained}`"
    )
    assert "has no model 'a/b': it has clipdb-tiny/scenes" in refused(*LABEL, trained, "--model", "a/b")
    names = tmp_path / "names.csv"
    names.write_text("model,pretrained,layer,head,property\nM,paper,11,0,Colors\n")
    done("import", "labels", names, "--source", "paper", "-i", tmp_path / "named.clipdb")
    assert "has no images yet" in refused("label", "--pool", "paper", "-i", tmp_path / "named.clipdb")
    assert clipdb("label", "--labeller", "zero-shot", "--llm-model", "m", "-i", trained).exit_code == 2
