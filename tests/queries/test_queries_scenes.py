"""Do neighbours have what they are asked for? Measured with the packaged model on scenes that are known."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import done

import clipdb
from clipdb.demo import MODEL_ID, write_scenes
from clipdb.demo.captions import scene_pool
from clipdb.demo.scenes import VALUES

SCENES, ASKED, K, SEED = 300, 150, 8, 90003
# How much higher than by the whole embedding precision@8 has to be, for a property that some head carries: three
# standard errors or more. docs/decisions.md has what was measured, which is several times as much.
MARGINS = {"colour": 0.3, "shape": 0.15, "texture": 0.2, "background": 0.4}
Truth = dict[str, dict[str, str]]
Ask = Callable[..., list[dict[str, object]]]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[clipdb.Index, Truth]]:
    """Scenes under the packaged model, its heads named by zero-shot, and what each scene shows."""
    folder = tmp_path_factory.mktemp("labelled")
    index = folder / "scenes.clipdb"
    drawn = write_scenes(folder / "scenes", SCENES, SEED)
    done("ingest", "images", folder / "scenes", "--model", MODEL_ID, "--device", "cpu", "--workers", 0, "-i", index)
    done("span", "--pool", "scenes", "--device", "cpu", "-i", index)
    done("label", "--pool", "scenes", "-i", index)
    with clipdb.open(index) as db:
        ids = dict(db.sql("select parse_filename(uri), image_id from images").fetchall())
        yield db, {ids[Path(path).name]: {name: getattr(scene, name) for name in VALUES} for path, scene in drawn}


def carried(db: clipdb.Index, among: tuple[str, ...]) -> list[str]:
    """Choose the properties that some head carries; weights that name none of two can't be asked this."""
    known = {name for (name,) in db.sql("select distinct property from head_properties").fetchall()}
    found = [name for name in among if name in known]
    if len(found) < 2:
        pytest.skip(f"heads of the packaged model carry {json.dumps(sorted(known))}, and of {among} only {found}")
    return found


def precision(truth: Truth, name: str, ask: Ask) -> float:
    """Give the share of images among the 8 nearest that have the value of the image asked for."""
    hits = [
        truth[str(row["image_id"])][name] == truth[image][name] for image in sorted(truth)[:ASKED] for row in ask(image)
    ]
    assert len(hits) == ASKED * K
    return sum(hits) / len(hits)


def test_a_property_finds_its_own_better_than_the_whole_embedding(labelled: tuple[clipdb.Index, Truth]) -> None:
    db, truth = labelled
    for name in carried(db, tuple(MARGINS)):
        whole = precision(truth, name, lambda image: db.rows("embedding_neighbours", image=image, k=K))
        for space in ("joint", "heads"):
            ask = _of(db, name, None, space)
            assert precision(truth, name, ask) > whole + MARGINS[name], (name, space)


def test_unlike_lowers_the_match_of_the_other_property(labelled: tuple[clipdb.Index, Truth]) -> None:
    db, truth = labelled
    names = carried(db, tuple(MARGINS))
    for name in names:
        whole = precision(truth, name, lambda image: db.rows("embedding_neighbours", image=image, k=K))
        for other in names:
            if other == name:
                continue
            # At most 0.6 of what it was, and 0.03 less at least; measured are 0.02 to 0.4 of what it was. The property
            # that is asked for stays above what the whole embedding gives.
            before = precision(truth, other, _of(db, name, None))
            after = precision(truth, other, _of(db, name, other))
            assert after < min(0.6 * before, before - 0.03), (name, other)
            assert precision(truth, name, _of(db, name, other)) > whole, (name, other)


def test_the_default_measures_are_the_best(labelled: tuple[clipdb.Index, Truth]) -> None:
    db, truth = labelled
    heads = db.sql("select name, property from head_properties order by layer, head").fetchall()
    images = {
        name: _mean(precision(truth, about, _near(db, head, chosen)) for head, about in heads)
        for name, chosen in (("default", {}), ("dot", {"measure": "dot"}), ("centred", {"measure": "centred"}))
    }
    assert images["default"] > images["dot"] + 0.05 and images["default"] > images["centred"] - 0.01
    texts = {
        name: _mean(_texts(db, truth, head, about, chosen) for head, about in heads)
        for name, chosen in (("default", {}), ("dot", {"measure": "dot"}), ("cosine", {"measure": "cosine"}))
    }
    assert texts["default"] > texts["dot"] + 0.03 and texts["default"] > texts["cosine"] - 0.01


def _of(db: clipdb.Index, like: str, unlike: str | None, space: str = "joint") -> Ask:
    return lambda image: db.rows("property_neighbours", image=image, like=like, unlike=unlike, k=K, space=space)


def _near(db: clipdb.Index, head: str, chosen: dict[str, str]) -> Ask:
    return lambda image: db.rows("neighbours", head=head, image=image, k=K, **chosen)


def _texts(db: clipdb.Index, truth: Truth, head: str, name: str, chosen: dict[str, str]) -> float:
    """Give the precision@8 of the first descriptions of each of the property's values."""
    values = VALUES[name]
    texts = [text for text, about in scene_pool() if about == name]
    hits = [
        truth[row["image_id"]][name] == values[place % len(values)]
        for place, text in enumerate(texts)
        for row in db.rows("text_neighbours", head=head, text=text, k=K, **chosen)
    ]
    return _mean(hits)


def _mean(values: Iterator[float] | list[bool]) -> float:
    found = list(values)
    return sum(found) / len(found)
