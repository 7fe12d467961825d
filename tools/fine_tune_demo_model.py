"""Fine-tune the demo model so that it loses one property, from a seed, and evaluate it.

    python tools/fine_tune_demo_model.py --out DIR    # writes DIR/colour-blind.safetensors, evaluates

The image tower is trained on with captions and labels that give every object a random colour, whatever the picture
shows; the text tower stays as it is, so that both models embed into the same space. Runs on one CPU core. Everything is
driven by the number of steps, so the same seed gives the same weights on the same machine and library versions.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import open_clip
import torch
from demo_training import losses
from demo_training.card import tables
from demo_training.data import PHRASE_TOKENS, Scenes, Vocabulary, build, phrase_tokens
from demo_training.evaluate import evaluate
from demo_training.towers import image_features, text_features
from demo_training.weights import save
from torch import Tensor, nn
from torch.nn import functional

from clipdb.demo import MODEL_CONFIG, WEIGHTS

NAME = "colour-blind.safetensors"
LOST = "colour"
RECORD = "colour-blind.json"
WARM_UP = 20


class Tuner:
    """The packaged model, its text tower frozen, and one step of its image tower."""

    def __init__(self, arguments: argparse.Namespace, vocabulary: Vocabulary) -> None:
        open_clip.add_model_config(MODEL_CONFIG)
        self.model = open_clip.create_model("clipdb-tiny", pretrained=str(WEIGHTS)).requires_grad_(False)
        self.embedding = self.model.token_embedding.weight[vocabulary.tokens]
        self.trained = list(self.model.visual.requires_grad_(True).parameters())
        self.optimizer = torch.optim.AdamW(
            self.trained, lr=arguments.lr, betas=(0.9, 0.98), weight_decay=0.0, fused=True
        )

    def step(self, batch: tuple[Tensor, Tensor, Tensor, Tensor], rate: float) -> list[float]:
        """Take one step; returns the two losses."""
        patches, captions, phrases, labels = batch
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", dtype=torch.bfloat16):
            images, _, _ = image_features(self.model.visual, patches)
            texts = text_features(self.model, self.embedding, captions)
            said = text_features(self.model, self.embedding, phrases)
        images, texts, said = (functional.normalize(x.float(), dim=-1) for x in (images, texts, said))
        scale = self.model.logit_scale.exp()
        contrastive = losses.contrastive(images, texts, scale)
        by_property = losses.by_property(scale * images @ said.T, labels)
        self.optimizer.zero_grad()
        (contrastive + 2 * by_property).backward()
        nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        return [float(contrastive.detach()), float(by_property.detach())]


def choose(
    step: int, arguments: argparse.Namespace, scenes: Scenes, vocabulary: Vocabulary
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pick the scenes and captions of one step."""
    rng = np.random.default_rng([arguments.seed, 8, step])
    rows = torch.from_numpy(rng.choice(len(scenes.labels), arguments.batch, replace=False))
    which = torch.from_numpy(rng.integers(scenes.captions.shape[1], size=arguments.batch))
    phrases = torch.tensor(phrase_tokens(vocabulary, rng)).view(-1, PHRASE_TOKENS)
    return scenes.patches[rows], scenes.captions[rows, which].long(), phrases, scenes.labels[rows]


def tune(arguments: argparse.Namespace) -> Path:
    """Train from the seed and write the weights; returns their path."""
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    vocabulary = Vocabulary()
    scenes = build(arguments.scenes, 1000 * arguments.seed + 3, vocabulary, unrelated=LOST)
    tuner = Tuner(arguments, vocabulary)
    arguments.out.mkdir(parents=True, exist_ok=True)
    began = time.time()
    for step in range(arguments.steps):
        rate = arguments.lr * min((step + 1) / WARM_UP, (1 + math.cos(math.pi * step / arguments.steps)) / 2)
        parts = tuner.step(choose(step, arguments, scenes, vocabulary), rate)
        if step % 50 == 0:
            print(f"step {step} {time.time() - began:.0f} s: {' '.join(f'{part:.3f}' for part in parts)}", flush=True)
    path: Path = arguments.out / NAME
    save(tuner.model, tuner.embedding, vocabulary, path)
    return path


def main() -> None:
    """Read the arguments and do what they ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/demo-model"), help="folder for the weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--scenes", type=int, default=30_000, help="training scenes")
    parser.add_argument("--lr", type=float, default=2e-4)
    arguments = parser.parse_args()
    evaluation = evaluate(tune(arguments))
    (arguments.out / RECORD).write_text(json.dumps(evaluation.to_dict(), indent=1) + "\n")
    print(tables(evaluation))


if __name__ == "__main__":
    main()
