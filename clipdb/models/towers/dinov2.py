"""DINOv2 of Hugging Face transformers, with registers or without: an image tower that never met a text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clipdb.models.hugging_face.network import ImageSide
from clipdb.models.tower import unread
from clipdb.models.tracing.operations import Heads, Norm, Operation, Own, Scale, Stem, Take
from clipdb.models.tracing.traced_tower import Geometry, TracedTower


class Dinov2(TracedTower):
    """Describe ``Dinov2Model`` and ``Dinov2WithRegistersModel``; the embedding is the normalised class token."""

    name = "dinov2"

    @classmethod
    def misfit(cls, visual: Any) -> str | None:
        """Return why this family doesn't fit a tower; None where it does."""
        fits = isinstance(visual, ImageSide) and visual.tower.config.model_type.startswith("dinov2")
        return None if fits else unread(visual)

    def operations(self) -> Iterator[Operation]:
        """Yield what the tower does to its residual stream."""
        tower = self.visual.tower
        yield Stem(tower.encoder.layer[0])
        for block in tower.encoder.layer:
            after = [Scale(block.layer_scale1.lambda1)]
            yield Heads(block.attention.o_proj, tower.config.num_attention_heads, after=after)
            yield Own(block.layer_scale2)
        yield from (Norm(tower.layernorm), Take(0))

    def geometry(self) -> Geometry:
        """Return what the operations don't say."""
        config = self.visual.tower.config
        registers = tuple(f"register {number}" for number in range(getattr(config, "num_register_tokens", 0)))
        size = int(config.hidden_size)
        return Geometry(size, self.visual.image_size, int(config.patch_size), "tok", ("class token", *registers))


TOWER = Dinov2
