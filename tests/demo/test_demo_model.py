"""The packaged weights: what is in the file, and whether they do what the model card says."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file

from clipdb.demo import MODEL_CONFIG, MODEL_ID, WEIGHTS
from clipdb.demo.captions import known_words as known
from clipdb.demo.captions import phrase, words
from clipdb.demo.scenes import PROPERTIES, VALUES, draw, generator, sample

ROOT = Path(__file__).resolve().parents[2]
RECORD = MODEL_CONFIG.parent / "evaluation.json"
SCENES = 400
SEED = 90002  # neither the training's worlds nor the card's
# Three standard errors of a share of .8 over 400 scenes.
MARGIN = 0.06


@pytest.fixture(scope="module")
def card() -> dict[str, Any]:
    """What the evaluation recorded when the weights were made."""
    return json.loads(RECORD.read_text())


@pytest.fixture(scope="module")
def tools() -> SimpleNamespace:
    """The evaluation that made the model card."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from demo_training import card, evaluate

        return SimpleNamespace(card=card, evaluate=evaluate)
    finally:
        sys.path.remove(str(ROOT / "tools"))


@pytest.fixture(scope="module")
def network() -> Any:
    """The packaged model as open_clip alone loads it."""
    open_clip.add_model_config(MODEL_CONFIG.parent)
    model = open_clip.create_model("clipdb-tiny", pretrained=str(WEIGHTS))
    return model.eval()


@pytest.fixture(scope="module")
def measured(network: Any) -> tuple[np.ndarray, np.ndarray]:
    """Unit image embeddings [400, 128] and value numbers [400, 8] of scenes that training never saw."""
    pixels, labels = [], []
    for index in range(SCENES):
        rng = generator(SEED, index)
        scene = sample(rng)
        pixels.append(draw(scene, rng)[0])
        labels.append(scene.indices())
    images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v)[:, None, None] for v in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD))
    with torch.inference_mode():
        embeddings = network.encode_image((images - mean) / std, normalize=True)
    return embeddings.numpy(), np.array(labels)


def embed(network: Any, texts: list[str]) -> np.ndarray:
    with torch.inference_mode():
        return network.encode_text(open_clip.get_tokenizer("clipdb-tiny")(texts), normalize=True).numpy()


def test_the_file_is_small_readable_and_a_plain_state_dict(network: Any):
    state = load_file(WEIGHTS)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(WEIGHTS)

    assert set(state) == set(network.state_dict())
    assert len(packed.getvalue()) <= 8_000_000
    assert WEIGHTS.stat().st_mode & 0o777 == 0o644


def test_only_known_words_have_a_token_embedding():
    tokenizer = open_clip.SimpleTokenizer()
    rows = load_file(WEIGHTS)["token_embedding.weight"].abs().sum(dim=1).nonzero().flatten().tolist()
    spoken = {token for word in known() for token in tokenizer.encode(word)}

    assert spoken <= set(rows)
    assert len(rows) <= len(spoken) + 3  # padding, start and end of text
    assert not set(tokenizer.encode("dog cat")) & set(rows)


def test_open_clip_knows_the_architecture_by_the_name_in_the_model_id():
    open_clip.add_model_config(MODEL_CONFIG.parent)

    assert MODEL_ID.split("/")[0] in open_clip.list_models()


@pytest.mark.parametrize("name", PROPERTIES)
def test_zero_shot_accuracy_is_what_the_card_says(
    name: str, network: Any, measured: tuple[np.ndarray, np.ndarray], card: dict[str, Any]
):
    embeddings, labels = measured
    texts = embed(network, [phrase(name, value) for value in VALUES[name]])
    accuracy = ((embeddings @ texts.T).argmax(axis=1) == labels[:, PROPERTIES.index(name)]).mean()

    assert accuracy >= card["zero_shot"][name] - MARGIN


def test_the_card_reaches_the_targets(card: dict[str, Any]):
    assert card["mean_zero_shot"] >= 0.92
    assert card["zero_shot"]["shape"] >= 0.80
    assert card["agreeing_heads"] * 3 >= len(card["heads"]) == 24
    assert card["mean_zero_shot"] == pytest.approx(np.mean(list(card["zero_shot"].values())))


def test_a_third_of_the_heads_agree_on_other_and_fewer_scenes_too(tools: SimpleNamespace):
    again = tools.evaluate.evaluate(WEIGHTS, SCENES, SEED)

    assert again.agreeing_heads * 3 >= len(again.heads)
    colour = again.neighbours["colour"]
    assert colour.precision >= 3 * colour.base_rate


def test_words_outside_the_world_mean_nothing(network: Any):
    dog, cat = embed(network, ["dog", "cat"])

    assert not set(words("dog cat")) & known()
    assert dog @ cat == pytest.approx(1, abs=1e-5)


def test_the_card_in_the_docs_is_the_recorded_evaluation_of_these_weights(tools: SimpleNamespace, card: dict[str, Any]):
    text = (ROOT / "docs" / "demo-model.md").read_text(encoding="utf-8")
    evaluation = tools.evaluate.Evaluation.from_dict(card)

    assert tools.card.tables(evaluation) in text
    assert evaluation.weights_sha256 == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
