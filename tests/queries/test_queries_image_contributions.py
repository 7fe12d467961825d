"""The cosine of two images as a sum over the heads of either."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from built_index import Built
from support import MODEL, rows, table

import clipdb

ROWS = "select name, share, share_b from image_contributions($model, $image, $image_b)"


def plain_shares(index: Path, image: int, other: int) -> tuple[dict[str, float], float]:
    """Shares of the first image's heads along the other's embedding, and the cosine, from what is stored."""
    stored = table(index)
    shares = {}
    for layer, head, basis in rows(index, "select layer, head, basis from heads order by all"):
        vector = stored[f"l{layer}h{head}"][image]
        q = np.array(basis, np.float64).reshape(-1, len(vector))
        shares[f"L{layer}.H{head}"] = float(q @ vector @ stored["embedding"][other])
    return shares, float(stored["embedding"][image] @ stored["embedding"][other])


def test_shares_of_both_sides_are_plain_products(ready_index: Path) -> None:
    ids = table(ready_index).ids
    with clipdb.open(ready_index) as db:
        found = db.sql(ROWS, model=MODEL, image=ids[3], image_b=ids[70]).fetchall()
    (first, cosine), (second, _) = plain_shares(ready_index, 3, 70), plain_shares(ready_index, 70, 3)
    assert [name for name, _, _ in found] == [*first, "not stored"]
    for name, share, share_b in found[:-1]:
        assert share == pytest.approx(first[name], abs=1e-6) and share_b == pytest.approx(second[name], abs=1e-6)
    assert sum(one for _, one, _ in found) == pytest.approx(cosine, abs=1e-6)
    assert sum(one for _, _, one in found) == pytest.approx(cosine, abs=1e-6)


def test_an_image_and_itself_are_one_side_twice(ready_index: Path) -> None:
    name = table(ready_index).ids[5][:12]
    with clipdb.open(ready_index) as db:
        found = db.query.image_contributions(image=name, image_b=name, by="layer").fetchall()
        by_head = db.query.image_contributions(image=name, image_b=name).fetchall()
    assert len(found) < len(by_head)
    assert all(share == share_b for *_, share, share_b in found + by_head)
    assert sum(row[-1] for row in found) == pytest.approx(1, abs=1e-3)


def test_a_head_that_one_image_has_not_been_through_has_no_share_of_it(built: Built) -> None:
    with clipdb.open(built.path) as db:
        found = db.sql(ROWS, model="one/a", image=built.ids[0], image_b=built.ids[-1]).fetchall()
    lacking = [share_b for name, share, share_b in found if share is not None and share_b is None]
    assert lacking and found[-1][0] == "not stored"
