"""Training data in memory: scenes as patches, captions as token numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import open_clip
import torch

from clipdb.demo.captions import PHRASES, known_words, phrase, training_caption, words
from clipdb.demo.scenes import EDGE, PROPERTIES, VALUES, Scene, draw, generator, sample

PATCH = 8
CAPTIONS = 7
CAPTION_TOKENS = 24
PHRASE_TOKENS = 12


@dataclass
class Scenes:
    """A set of scenes: patches uint8 [N, 64, 192], captions uint8 [N, 7, 24], labels int64 [N, 8]."""

    patches: torch.Tensor
    captions: torch.Tensor
    labels: torch.Tensor


class Vocabulary:
    """The few BPE tokens that occur, renumbered in their order (the largest must stay the end of text).

    Attributes
    ----------
    tokens
        Token numbers of open_clip's vocabulary, ascending; 0 is the padding.
    """

    def __init__(self) -> None:
        self._tokenizer = open_clip.SimpleTokenizer()
        used = {0, self._tokenizer.sot_token_id, self._tokenizer.eot_token_id}
        for word in known_words():
            used.update(self._tokenizer.encode(word))
        self.tokens = sorted(used)
        self._number = {token: number for number, token in enumerate(self.tokens)}
        self._of_word = cache(self._encode_word)

    def _encode_word(self, word: str) -> list[int]:
        return [self._number[token] for token in self._tokenizer.encode(word)]

    def encode(self, text: str, length: int) -> list[int]:
        """Turn a text of known words into `length` compact token numbers, padded with 0."""
        last = len(self.tokens) - 1
        numbers = [last - 1, *(number for word in words(text) for number in self._of_word(word)), last]
        if len(numbers) > length:
            raise ValueError(f"{text!r} takes {len(numbers)} tokens, more than {length}")
        return numbers + [0] * (length - len(numbers))


def to_patches(pixels: np.ndarray) -> np.ndarray:
    """Cut pictures uint8 [N, 64, 64, 3] into patches [N, 64, 192], ordered like a convolution's weights."""
    side = EDGE // PATCH
    cut = pixels.reshape(-1, side, PATCH, side, PATCH, 3).transpose(0, 1, 3, 5, 2, 4)
    return cut.reshape(len(pixels), side * side, 3 * PATCH * PATCH)


def build(count: int, seed: int, vocabulary: Vocabulary, *, easy: bool = False, unrelated: str | None = None) -> Scenes:
    """Paint and describe `count` scenes; easy ones show one large object.

    Captions and labels give the property `unrelated` a random value, whatever the picture shows, so that nothing is
    learnt by looking at it.
    """
    patches = torch.empty((count, (EDGE // PATCH) ** 2, 3 * PATCH * PATCH), dtype=torch.uint8)
    captions = torch.empty((count, CAPTIONS, CAPTION_TOKENS), dtype=torch.uint8)
    labels = torch.empty((count, len(PROPERTIES)), dtype=torch.int64)
    for index in range(count):
        rng = generator(seed, index)
        scene = sample(rng)
        if easy:
            scene = replace(scene, count="one", size="large")
        patches[index] = torch.from_numpy(to_patches(draw(scene, rng)[0][None])[0])
        if unrelated is not None:
            scene = _with_any(unrelated, scene, rng)
        said = [vocabulary.encode(training_caption(scene, rng), CAPTION_TOKENS) for _ in range(CAPTIONS)]
        captions[index] = torch.tensor(said, dtype=torch.uint8)
        labels[index] = torch.tensor(scene.indices())
    return Scenes(patches, captions, labels)


def _with_any(name: str, scene: Scene, rng: np.random.Generator) -> Scene:
    values = VALUES[name]
    changed: dict[str, Any] = {name: values[int(rng.integers(len(values)))]}
    return replace(scene, **changed)


def phrase_tokens(vocabulary: Vocabulary, rng: np.random.Generator) -> list[list[int]]:
    """Say every value of every property, in a random template each time, as tokens [52][12]."""
    said = []
    for name in PROPERTIES:
        for value in VALUES[name]:
            template = int(rng.integers(len(PHRASES[name])))
            said.append(vocabulary.encode(phrase(name, value, template), PHRASE_TOKENS))
    return said
