"""Embed texts: each batch is run at the length of its longest text, where that provably changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.transformer import TextTransformer

from clipdb import demo
from clipdb._util.notes import note
from clipdb._util.text import first_line
from clipdb.demo.captions import known_words, words
from clipdb.errors import ClipdbError
from clipdb.models.open_clip_text import traced_text
from clipdb.models.text_shares import TextShares
from clipdb.models.tracing.traced_text import TracedText, split_text

PROOF_TEXTS = 16
LARGEST_DIFFERENCE = 1e-5
"""Between a unit embedding's numbers with padding and without: float32 adds up in another order, no more."""


@lru_cache(maxsize=4)
def _tokenizer_of(arch: str, config: str) -> Any:
    """Make an architecture's tokenizer once in a process: to read its 48,000 merges takes longer than most texts.

    An architecture may be given another configuration meanwhile, so that is part of what it is remembered by.
    """
    return open_clip.get_tokenizer(arch)


class TextTower:
    """A model's text tower and its tokenizer.

    In a causal tower that reads a text off at its end mark, no token after the mark has any say, so the padding to the
    context length (77 tokens, where a description has some 10) can be left away. Whether that holds for a tower is
    tried on the shortest of the first texts that it is given.

    Parameters
    ----------
    model_id
        The model's name.
    network
        open_clip's model.
    device
        Where it is.
    arch
        The architecture, by which open_clip finds the tokenizer.
    """

    def __init__(self, model_id: str, network: Any, device: torch.device, arch: str) -> None:
        self._model_id, self._arch = model_id, arch
        self._whole = _Encode(network)
        self._device = device
        self._cuts: bool | None = None if _may_be_cut(self._tower) else False

    @cached_property
    def _tokenizer(self) -> Any:
        try:
            return _tokenizer_of(self._arch, json.dumps(open_clip.get_model_config(self._arch)))
        except ImportError as error:  # SigLIP's, among others
            raise ClipdbError(
                f"the tokenizer of {self._model_id} needs the package {error.name}: pip install {error.name}",
                kind="missing",
            ) from error
        except OSError as error:
            raise ClipdbError(f"the tokenizer of {self._model_id} can't be had: {first_line(error)}") from error

    @property
    def _tower(self) -> Any:
        """What holds the position embedding: CLIP itself, which took its text tower apart, or the tower."""
        return getattr(self._whole.network, "text", self._whole.network)

    @torch.inference_mode()
    def embed(
        self, texts: Sequence[str], batch_size: int, progress: Callable[[int], None] = lambda done: None
    ) -> np.ndarray:
        """Embed texts as unit vectors, float32 ``[n, D]``, in their order.

        Parameters
        ----------
        texts
            One or more.
        batch_size
            How many the model reads at a time.
        progress
            Is told after each batch how many are done.
        """
        batches = [texts[start : start + batch_size] for start in range(0, len(texts), batch_size)]
        tokens, lengths = self._read(batches)
        order = torch.argsort(lengths)
        embeddings: np.ndarray | None = None
        done = 0
        for chosen in order.split(batch_size):
            part = _unit(self._run(tokens[chosen], lengths[chosen])).cpu().numpy()
            if embeddings is None:
                embeddings = np.empty((len(texts), part.shape[1]), np.float32)
            embeddings[chosen.numpy()] = part
            done += len(chosen)
            progress(done)
        assert embeddings is not None
        return embeddings

    @torch.inference_mode()
    def split(self, text: str, along: np.ndarray) -> TextShares:
        """Split the cosine of a text and a direction by heads and tokens: see `clipdb.models.tracing.traced_text`.

        Parameters
        ----------
        text
            The text.
        along
            The direction ``[D]``, an image's unit embedding as a rule.

        Raises
        ------
        ClipdbError
            If the text tower is none whose heads clipdb reads.
        """
        tokens = self._alone(text).to(self._device)
        return split_text(self._traced(tokens), tokens, self._words(tokens[0].tolist()), along)

    def _alone(self, text: str) -> torch.Tensor:
        """Return the tokens of one text as its tower reads them when nothing is cut, ``[1, T]``."""
        tokens: torch.Tensor = self._tokenizer([text])
        return tokens

    def _traced(self, tokens: torch.Tensor) -> TracedText:
        return traced_text(self._tower, self._whole, tokens, self._model_id)

    def _words(self, tokens: list[int]) -> list[str]:
        from_hub = getattr(self._tokenizer, "tokenizer", None)
        if from_hub is not None:
            return list(from_hub.convert_ids_to_tokens(tokens))
        return [self._tokenizer.decode([token]).strip() for token in tokens]

    def _read(self, batches: Sequence[Sequence[str]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return tokens ``[n, context]``, and how many of each text are run ``[n]``."""
        tokens = torch.cat([self._tokenizer(list(batch)) for batch in batches])
        return tokens, self._lengths(tokens)

    def note(self, texts: Sequence[str]) -> None:
        """Note what the model doesn't read: tokens over its context length, words unknown to the demo's."""
        encode = getattr(self._tokenizer, "encode", None)  # tokenizers from the hub cut silently, and can't be asked
        if encode:
            room = self._tokenizer.context_length - 2  # one token marks the start and one the end
            over = [extra for text in texts if (extra := len(encode(text)) - room) > 0]
            if over:
                note(cut_note(over, len(texts), room))
        if self._model_id in demo.PACKAGED:
            _warn_of_unknown_words(texts)

    def _lengths(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return how many tokens of each text are run: up to the end mark, or all.

        A few texts, as of a question, are not worth the proof.
        """
        context = torch.full((len(tokens),), tokens.shape[1])
        if self._cuts is False or (self._cuts is None and len(tokens) < PROOF_TEXTS):
            return context
        ends = _ends(self._tower, tokens)
        if self._cuts is None:
            shortest = torch.argsort(ends)[:PROOF_TEXTS]
            few, whole = tokens[shortest], context[shortest]
            if int(ends[shortest].max()) == tokens.shape[1]:
                return context
            one, other = (_unit(self._run(few, lengths)) for lengths in (ends[shortest], whole))
            self._cuts = float((one - other).abs().max()) <= LARGEST_DIFFERENCE
        return ends if self._cuts else context

    def _run(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Embed a batch ``[n, context]`` of which so many tokens are run, ``[n, D]``."""
        length = int(lengths.max())
        tokens = tokens[:, :length].to(self._device)
        tower, cut = self._tower, {}
        if length < tower.context_length:
            at = "network." if tower is self._whole.network else "network.text."
            cut = {
                f"{at}positional_embedding": tower.positional_embedding[:length],
                f"{at}attn_mask": tower.attn_mask[:length, :length],
            }
        return torch.func.functional_call(self._whole, cut, (tokens,))


def _unit(embeddings: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(embeddings.float(), dim=-1)


class _Encode(torch.nn.Module):
    """``encode_text`` as a module's call, which `torch.func.functional_call` needs."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        embeddings: torch.Tensor = self.network.encode_text(tokens)
        return embeddings


def _may_be_cut(tower: Any) -> bool:
    """Return whether a tower is open_clip's own, causal, and read off at the end mark; CoCa adds a token at the end."""
    mask = getattr(tower, "attn_mask", None)
    return (
        isinstance(tower, (open_clip.CLIP, TextTransformer))
        and mask is not None
        and getattr(tower, "cls_emb", None) is None
        and _pooling(tower) in ("argmax", "eos")
        and tower.positional_embedding.shape[0] == mask.shape[0] == mask.shape[1] == tower.context_length
    )


def _pooling(tower: Any) -> str:
    return str(tower.text_pool_type if isinstance(tower, open_clip.CLIP) else tower.pool_type)


def _ends(tower: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Find how many tokens each text ``[n, context]`` has up to its end mark, where the tower reads it off."""
    if _pooling(tower) == "argmax":
        return tokens.argmax(dim=-1) + 1
    mark = tower.text_eos_id if isinstance(tower, open_clip.CLIP) else tower.eos_id
    return (tokens == mark).int().argmax(dim=-1) + 1


def _warn_of_unknown_words(texts: Sequence[str]) -> None:
    """Note which words mean nothing to the demo model: it was trained on some 180 of them."""
    strange = dict.fromkeys(word for text in texts for word in words(text) if word not in known_words())
    if strange:
        shown = ", ".join(list(strange)[:3]) + (f" and {len(strange) - 3} more" if len(strange) > 3 else "")
        note(f"note: the demo model was trained without: {shown}: see docs/demo-model.md")


def cut_note(over: list[int], texts: int, room: int) -> str:
    """Return how many tokens of how many texts were dropped."""
    if texts == 1:
        return f"note: the text has {room + over[0]} tokens and the model reads {room}: the last {over[0]} were dropped"
    if len(over) == 1:
        return f"note: 1 text is longer than {room} tokens: the last {over[0]} were dropped"
    return f"note: {len(over)} texts are longer than {room} tokens: {sum(over)} at their ends were dropped"
