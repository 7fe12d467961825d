"""Embed texts with a model of transformers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from clipdb._util.notes import note
from clipdb._util.text import first_line
from clipdb.errors import ClipdbError
from clipdb.models.hugging_face.library import from_folder
from clipdb.models.hugging_face.network import Network
from clipdb.models.hugging_face.traced_texts import traced_text
from clipdb.models.text_tower import TextTower, cut_note
from clipdb.models.tracing.traced_text import TracedText

_NEEDED = "its folder has to have tokenizer.json or the files that it is made from"


class TransformersTexts(TextTower):
    """A text tower of transformers and the tokenizer in its folder.

    Padding is left away where it has no say: a causal tower reads a text off at its end mark, and those that read it
    off at the first token are told where it ends. SigLIP reads the last place, so its texts are run at full length.

    Parameters
    ----------
    model_id
        The model's name, for messages.
    network, device
        The model, and where it is.
    folder
        Its files.
    """

    def __init__(self, model_id: str, network: Network, device: torch.device, folder: Path) -> None:
        self._model_id, self._network, self._device, self._folder = model_id, network, device, folder

    @cached_property
    def _tokenizer(self) -> Any:
        try:
            found = from_folder("AutoTokenizer", self._folder)
        except ImportError as error:
            raise ClipdbError(
                f"the tokenizer of {self._model_id} can't be read: {first_line(error)}: install clipdb's extra hf",
                kind="missing",
            ) from error
        except Exception as error:  # the parsers of tokenizers raise bare ones
            raise ClipdbError(
                f"the tokenizer of {self._model_id} can't be read ({first_line(error)}): {_NEEDED}"
            ) from error
        # Where there are no files, transformers makes one up.
        if set(found.get_vocab()) <= set(found.all_special_tokens):
            raise ClipdbError(f"the tokenizer of {self._model_id} knows no words: {_NEEDED}")
        if found.pad_token is None:
            raise ClipdbError(f"the tokenizer of {self._model_id} has no token for padding: its files aren't complete")
        found.padding_side = found.truncation_side = "right"
        return found

    @cached_property
    def _context(self) -> int:
        """How many tokens are read, with start and end mark."""
        text = self._network.model.config.text_config
        places = int(text.max_position_embeddings)
        if self._network.model.config.model_type == "altclip":  # as in RoBERTa, positions begin behind the padding's
            places -= int(text.pad_token_id) + 1
        return min(places, int(self._tokenizer.model_max_length))

    def _read(self, batches: Sequence[Sequence[str]]) -> tuple[torch.Tensor, torch.Tensor]:
        options = {"padding": "max_length", "truncation": True, "max_length": self._context, "return_tensors": "pt"}
        found = [self._tokenizer(list(batch), **options) for batch in batches]
        tokens = torch.cat([one["input_ids"] for one in found])
        if self._network.kind.whole:
            return tokens, torch.full((len(tokens),), tokens.shape[1])
        return tokens, torch.cat([one["attention_mask"] for one in found]).sum(dim=-1)

    def _run(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        length = int(lengths.max())
        mask = (torch.arange(length) < lengths[:, None]).long()
        return self._network.encode_text(tokens[:, :length].to(self._device), mask.to(self._device))

    def _alone(self, text: str) -> torch.Tensor:
        """Return the tokens of one text without padding that has no say, ``[1, T]``."""
        tokens, lengths = self._read([[text]])
        return tokens[:, : int(lengths[0])]

    def _traced(self, tokens: torch.Tensor) -> TracedText:
        return traced_text(self._network, tokens)

    def _words(self, tokens: list[int]) -> list[str]:
        return list(self._tokenizer.convert_ids_to_tokens(tokens))

    def note(self, texts: Sequence[str]) -> None:
        """Note what the model doesn't read: tokens over its context length."""
        marks = self._tokenizer.num_special_tokens_to_add()
        room = self._context - marks
        counts = (len(self._tokenizer(text, truncation=False, verbose=False)["input_ids"]) - marks for text in texts)
        if over := [count - room for count in counts if count > room]:
            note(cut_note(over, len(texts), room))
