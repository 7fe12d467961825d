"""A model of transformers behind the names by which clipdb calls open_clip's."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from clipdb.models.hugging_face.flexible import arguments
from clipdb.models.hugging_face.kinds import KINDS


class ImageSide(nn.Module):
    """A model's image tower with what projects its output: ``[batch, 3, S, S]`` to ``[batch, D]``.

    NaFlex takes what `clipdb.models.hugging_face.flexible.model_input` returns.

    Parameters
    ----------
    model
        A model of one of `clipdb.models.hugging_face.kinds.KINDS`.
    image_size
        Side S of the images that it is given, where that isn't what its configuration says: DINOv2 takes any.
    """

    def __init__(self, model: Any, image_size: int | None = None) -> None:
        super().__init__()
        self.tower = getattr(model, "vision_model", model)
        self.image_size = int(image_size or self.tower.config.image_size)
        self.projection = getattr(model, "visual_projection", getattr(model, "vision_proj", None))
        self.flexible = model.config.model_type == "siglip2"
        self.pooled_before_norm = not hasattr(model, "vision_proj")  # BLIP normalises all tokens, then takes one

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embed images."""
        found = self.tower(**(arguments(images) if self.flexible else {"pixel_values": images}))
        pooled = found.pooler_output if self.pooled_before_norm else found.last_hidden_state[:, 0]
        return pooled if self.projection is None else self.projection(pooled)


class Network(nn.Module):
    """What open_clip's models have: ``visual``, ``encode_image``, ``encode_text``, ``logit_scale``, ``logit_bias``.

    Parameters
    ----------
    model
        A model of one of `clipdb.models.hugging_face.kinds.KINDS`.
    image_size
        As `ImageSide` takes it.
    """

    def __init__(self, model: Any, image_size: int | None = None) -> None:
        super().__init__()
        self.model = model
        self.visual = ImageSide(model, image_size)
        self.kind = KINDS[model.config.model_type]

    @property
    def logit_scale(self) -> torch.Tensor | None:
        """The logarithm of what the cosine is multiplied by, in BLIP 0; None where there is no text tower."""
        scale: torch.Tensor | None = getattr(self.model, "logit_scale", torch.zeros(()) if self.kind.texts else None)
        return scale

    @property
    def logit_bias(self) -> torch.Tensor | None:
        """What is added to the scaled cosine; None where nothing is."""
        bias: torch.Tensor | None = getattr(self.model, "logit_bias", None)
        return bias

    def encode_image(self, images: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        """Embed what `ImageSide` takes as ``[batch, D]``."""
        embedding: torch.Tensor = self.visual(images)
        return nn.functional.normalize(embedding, dim=-1) if normalize else embedding

    def encode_text(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Embed texts ``[batch, T]`` as ``[batch, D]``; ``mask`` is 1 at their tokens and 0 at the padding."""
        told = {"attention_mask": mask} if self.kind.masked else {}
        if hasattr(self.model, "text_proj"):
            found = self.model.text_encoder(input_ids=tokens, **told).last_hidden_state[:, 0]
            embedding: torch.Tensor = self.model.text_proj(found)
        else:
            embedding = self.model.get_text_features(input_ids=tokens, **told).pooler_output
        return embedding
