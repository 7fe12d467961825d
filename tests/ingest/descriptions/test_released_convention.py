"""`clipdb span --convention released`: the spans that the code released with the paper finds, end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import MODEL, change, refused, rows, table
from test_spans import SPANS, pool_vectors

import clipdb
from clipdb.models.loading import load
from clipdb.models.preprocess import decode


@torch.inference_mode()
def released_contributions(visual: Any, images: torch.Tensor) -> np.ndarray:
    """Every head's contribution to the normalised embedding, token by token first: ``[images, layers, heads, D]``."""
    stream, wrote = visual._embeds(images), []
    tokens, heads = stream.shape[1], visual.transformer.resblocks[0].attn.num_heads
    for block in visual.transformer.resblocks:
        normed, attention = block.ln_1(stream), block.attn
        query, key, value = (
            part.unflatten(-1, (heads, -1)).transpose(1, 2)
            for part in (normed @ attention.in_proj_weight.T + attention.in_proj_bias).chunk(3, dim=-1)
        )
        scores = (query[:, :, :1] @ key.transpose(2, 3) / query.shape[-1] ** 0.5).softmax(dim=-1)[:, :, 0]
        weights = attention.out_proj.weight.unflatten(1, (heads, -1))
        each = torch.einsum("bhn,bhnk,dhk->bnhd", scores, value, weights)
        wrote.append(each + attention.out_proj.bias / (tokens * heads))
        stream = stream + attention(normed, normed, normed, need_weights=False)[0]
        stream = stream + block.mlp(block.ln_2(stream))
    token, norm = stream[:, 0], visual.ln_post
    mean, sigma = token.mean(dim=1), (token.var(dim=1, correction=0) + norm.eps).sqrt()
    components = (2 * len(wrote) + 1) * tokens * heads
    every = torch.stack(wrote, dim=1) - mean[:, None, None, None, None] / components
    every = every * norm.weight / sigma[:, None, None, None, None] + norm.bias / components
    embedding = norm(token) @ visual.proj
    summed = (every @ visual.proj).sum(dim=2) / embedding.norm(dim=1)[:, None, None, None]
    return summed.double().numpy()


def released_picks(outputs: np.ndarray, texts: np.ndarray, rank: int, count: int) -> tuple[list[int], list[float]]:
    """Texts in the span of the first right singular vectors, then the paper's loop on all outputs."""
    first = np.linalg.svd(outputs, full_matrices=False)[2][:rank]
    texts, outputs = texts @ first.T @ first, outputs - outputs.mean(axis=0)
    whole, picks, explained = (outputs**2).sum(), [], []
    for _ in range(count):
        pick = int((outputs @ texts.T).std(axis=0).argmax())
        direction = texts[pick] / np.linalg.norm(texts[pick])
        explained.append(float(((outputs @ direction) ** 2).sum() / whole))
        outputs = outputs - np.outer(outputs @ direction, direction)
        texts = texts - np.outer(texts @ direction, direction)
        picks.append(pick)
    return picks, explained


def test_spans_are_those_of_the_released_code(own_index: Path, weights: Path, pictures: list[Path]) -> None:
    before = rows(own_index, "select text from spans order by layer, head, rank")
    model = load(MODEL, weights, "cpu")
    pixels = torch.from_numpy(np.stack([decode(file.read_bytes(), model.preprocess).pixels for file in pictures]))
    outputs = released_contributions(model.network.visual, model.pixels_to_input(pixels))
    clipdb.span(own_index, pool="scenes", convention="released", checkpoint=weights, progress=False)
    names, texts = pool_vectors(own_index, table(own_index, "texts"), "scenes", np.eye(outputs.shape[-1]))
    for layer, head in rows(own_index, "select layer, head from heads order by all"):
        picks, explained = released_picks(outputs[:, layer, head], texts, 32, 20)
        found = rows(own_index, SPANS, layer, head, "scenes")
        assert [text for _, text, *_ in found] == [names[pick] for pick in picks]
        np.testing.assert_allclose([one[2] for one in found], explained, rtol=1e-3, atol=1e-7)
        np.testing.assert_allclose([one[3] for one in found], np.cumsum(explained), rtol=1e-3, atol=1e-7)
    assert rows(own_index, "select text from spans order by layer, head, rank") != before
    told = rows(own_index, "select distinct arguments->>'convention' from spans join runs using (run)")
    assert told == [("released",)]


def test_what_the_released_code_has_no_spans_for(own_index: Path, weights: Path) -> None:
    before = rows(own_index, "from spans order by all")
    said = refused("span", "--pool", "scenes", "--from", "weights", "--convention", "released", "-i", own_index)
    assert "directions have no --convention released" in said
    with pytest.raises(clipdb.ClipdbError, match="convention is 'paper'"):
        clipdb.span(own_index, convention="paper")  # type: ignore[arg-type]
    change(own_index, "update images set uri = '/nowhere/' || image_id || '.png'")
    said = refused("span", "--pool", "scenes", "--convention", "released", "--checkpoint", weights, "-i", own_index)
    assert "none of the 300 images can be read" in said
    assert rows(own_index, "from spans order by all") == before
