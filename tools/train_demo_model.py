"""Train the demo model from a seed, and evaluate it.

    python tools/train_demo_model.py --out DIR             # trains, writes DIR/scenes.safetensors, evaluates
    python tools/train_demo_model.py --plain --out DIR     # with CLIP's loss alone, writes DIR/plain.safetensors
    python tools/train_demo_model.py --evaluate WEIGHTS    # only evaluates

Runs on one CPU core. Everything is driven by the number of steps, so the same seed gives the same weights on the
same machine and library versions.
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
from demo_training.weights import initialise, save
from torch import Tensor, nn
from torch.nn import functional

from clipdb.demo import MODEL_CONFIG

LAST_LAYERS = 4
WARM_UP = 100
EASY_UNTIL, EASY_GONE = 0.15, 0.30
CLARITY_FROM, CLARITY_FULL = 0.15, 0.45


class Trainer:
    """The model with what is thrown away after training, and one step of it."""

    def __init__(self, arguments: argparse.Namespace, vocabulary: Vocabulary) -> None:
        self.arguments = arguments
        open_clip.add_model_config(MODEL_CONFIG)
        self.model = open_clip.create_model("clipdb-tiny")
        self.vocabulary = vocabulary
        self.embedding = initialise(self.model, vocabulary)
        self.classifier = nn.Linear(self.model.visual.proj.shape[0], sum(losses.SIZES))
        kept = [p for n, p in self.model.named_parameters() if n != "token_embedding.weight"]
        trained = [*kept, self.embedding, *self.classifier.parameters()]
        decayed = [p for p in trained if p.ndim >= 2]
        plain = [p for p in trained if p.ndim < 2]
        self.trained = trained
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}],
            lr=arguments.lr,
            betas=(0.9, 0.98),
            fused=True,
        )

    def _contrastive(self, patches: Tensor, captions: Tensor, *_rest: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            images = image_features(self.model.visual, patches)[0]
            texts = text_features(self.model, self.embedding, captions)
        one, other = (functional.normalize(x.float(), dim=-1) for x in (images, texts))
        return (losses.contrastive(one, other, self.model.logit_scale.exp()),)

    def _losses(self, patches: Tensor, captions: Tensor, phrases: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            images, pooled, heads = image_features(self.model.visual, patches)
            texts = text_features(self.model, self.embedding, captions)
            said = text_features(self.model, self.embedding, phrases)
            guesses = self.classifier(pooled)
        images, texts, said = (functional.normalize(x.float(), dim=-1) for x in (images, texts, said))
        scale = self.model.logit_scale.exp()
        clarity, uncovered = losses.head_clarity(heads[:, -LAST_LAYERS:].flatten(1, 2).float(), said.detach(), labels)
        return (
            losses.contrastive(images, texts, scale),
            losses.by_property(scale * images @ said.T, labels),
            losses.by_property(guesses.float(), labels),
            clarity,
            uncovered,
        )

    def step(self, progress: float, batch: tuple[Tensor, Tensor, Tensor, Tensor], rate: float) -> list[float]:
        """Take one step; returns the five losses, or CLIP's alone."""
        ramp = min(max((progress - CLARITY_FROM) / (CLARITY_FULL - CLARITY_FROM), 0), 1)
        weights = (1.0, 2.0, 2.0, self.arguments.clarity * ramp, 2 * self.arguments.clarity * ramp)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        parts = self._contrastive(*batch) if self.arguments.plain else self._losses(*batch)
        total = sum((w * part for w, part in zip(weights, parts, strict=False)), torch.zeros(()))
        self.optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(max=math.log(100))
        return [float(part.detach()) for part in parts]


def choose(
    step: int, progress: float, arguments: argparse.Namespace, easy: Scenes, full: Scenes, vocabulary: Vocabulary
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pick the scenes and captions of one step."""
    rng = np.random.default_rng([arguments.seed, 7, step])
    share = min(max((EASY_GONE - progress) / (EASY_GONE - EASY_UNTIL), 0), 1)
    from_easy = int(rng.binomial(arguments.batch, share))
    picks = [(easy, from_easy), (full, arguments.batch - from_easy)]
    patches, captions, labels = [], [], []
    for scenes, number in picks:
        rows = torch.from_numpy(rng.choice(len(scenes.labels), number, replace=False))
        patches.append(scenes.patches[rows])
        which = torch.from_numpy(rng.integers(scenes.captions.shape[1], size=number))
        captions.append(scenes.captions[rows, which])
        labels.append(scenes.labels[rows])
    phrases = torch.tensor(phrase_tokens(vocabulary, rng)).view(-1, PHRASE_TOKENS)
    return torch.cat(patches), torch.cat(captions).long(), phrases, torch.cat(labels)


def train(arguments: argparse.Namespace) -> Path:
    """Train from the seed and write the weights; returns their path."""
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    vocabulary = Vocabulary()
    began = time.time()
    easy = build(arguments.scenes // 4, 1000 * arguments.seed + 1, vocabulary, easy=True)
    full = build(arguments.scenes, 1000 * arguments.seed + 2, vocabulary)
    print(f"{len(easy.labels) + len(full.labels)} scenes in {time.time() - began:.0f} s", flush=True)
    trainer = Trainer(arguments, vocabulary)
    arguments.out.mkdir(parents=True, exist_ok=True)
    began = time.time()
    for step in range(arguments.steps):
        progress = step / arguments.steps
        rate = arguments.lr * min((step + 1) / WARM_UP, (1 + math.cos(math.pi * progress)) / 2)
        parts = trainer.step(progress, choose(step, progress, arguments, easy, full, vocabulary), rate)
        if step % 50 == 0:
            shown = " ".join(f"{part:.3f}" for part in parts)
            print(f"step {step} {time.time() - began:.0f} s: {shown}", flush=True)
        if step and step % 1000 == 0:
            save(trainer.model, trainer.embedding, vocabulary, arguments.out / f"step-{step:06d}.safetensors")
    path: Path = arguments.out / ("plain.safetensors" if arguments.plain else "scenes.safetensors")
    save(trainer.model, trainer.embedding, vocabulary, path)
    return path


def main() -> None:
    """Read the arguments and do what they ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluate", type=Path, metavar="WEIGHTS", help="only evaluate these weights")
    parser.add_argument("--out", type=Path, default=Path("build/demo-model"), help="folder for the weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=6500)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--scenes", type=int, default=100_000, help="training scenes, and a quarter as many easy ones")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--plain", action="store_true", help="train with CLIP's contrastive loss alone")
    parser.add_argument("--clarity", type=float, default=0.2, help="weight of the head regulariser; 0 for none")
    arguments = parser.parse_args()
    path = arguments.evaluate or train(arguments)
    evaluation = evaluate(path)
    record = arguments.out / "evaluation.json"
    arguments.out.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(evaluation.to_dict(), indent=1) + "\n")
    print(tables(evaluation))


if __name__ == "__main__":
    main()
