"""A cosine as a sum over the heads of the text tower and the tokens that they read, in SQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import MODEL, table

import clipdb
from clipdb.errors import ClipdbError

TEXT = "a red ring on brick"
ROWS = "select place, token, layer, head, name, share from text_contributions($model, $image, $text)"


def test_tokens_and_heads_add_up_to_the_cosine_that_the_model_itself_gives(ready_index: Path, weights: Path) -> None:
    from clipdb.models.loading import load

    stored = table(ready_index)
    along = stored["embedding"][3] / (stored["embedding"][3] ** 2).sum() ** 0.5
    with clipdb.open(ready_index) as db:
        found = db.sql(ROWS, model=MODEL, image=stored.ids[3], text=TEXT).fetchall()
        by = {
            by: db.query.text_contributions(image=stored.ids[3], text=TEXT, by=by).fetchall()
            for by in ("token", "head")
        }
    model = load(MODEL, weights, "cpu")
    assert sum(row[-1] for row in found) == pytest.approx(float(model.embed_texts([TEXT], 1)[0] @ along), abs=1e-6)
    *parts, rest = found
    assert rest[:5] == (None, None, None, None, "no head")
    layers, heads = len(model.network.transformer.resblocks), model.network.transformer.resblocks[0].attn.num_heads
    assert {(layer, head, name) for _, _, layer, head, name, _ in parts} == {
        (layer, head, f"T.L{layer}.H{head}") for layer in range(layers) for head in range(heads)
    }
    words = [token for _, token in dict.fromkeys(row[:2] for row in parts)]
    assert words[1:-1] == TEXT.split()
    for place, part, count, share in by["token"][:-1]:
        assert (part, count) == (words[place], layers * heads)
        assert share == pytest.approx(sum(row[-1] for row in parts if row[0] == place))
    shares = {part: share for _, part, _, share in by["head"]}
    assert shares["T.L1.H0"] == pytest.approx(sum(row[-1] for row in parts if row[4] == "T.L1.H0"))
    assert [row[1] for row in by["head"]][-1] == "no head" == by["token"][-1][1]


def test_it_takes_a_model(ready_index: Path) -> None:
    image = table(ready_index).ids[0]
    with clipdb.open(ready_index, models=False) as db, pytest.raises(ClipdbError, match="opened without its models"):
        db.query.text_contributions(image=image, text=TEXT)
