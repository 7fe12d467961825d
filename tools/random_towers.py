"""Image towers of open_clip's architectures, and of transformers' models, with random weights that hide nothing.

A new network has gains of 1 and biases of 0: a sum that forgets one of them would still add up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip import timm_model
from open_clip.model import _build_vision_tower

from clipdb import demo
from clipdb.models.hugging_face.kinds import KINDS
from clipdb.models.hugging_face.network import ImageSide
from clipdb.models.patches import PATCH, ROW_BEGINS


class Network:
    """What clipdb asks of a model for its image tower."""

    def __init__(self, visual: Any) -> None:
        self.visual = visual

    @torch.inference_mode()
    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        """Embed images."""
        found: Any = self.visual(images)
        return found[0] if isinstance(found, tuple) else found


def architectures() -> list[str]:
    """List the packaged model's architecture and all of open_clip's."""
    open_clip.add_model_config(demo.MODEL_CONFIG)
    own = demo.MODEL_ID.split("/")[0]
    # By its files, since a process may have made other architectures known to open_clip.
    packaged = {path.stem for path in (Path(open_clip.__file__).parent / "model_configs").glob("*.json")}
    return [own, *(arch for arch in open_clip.list_models() if arch in packaged)]


def image_tower(arch: str, depth: int | None = None) -> Any:
    """Build the image tower of an architecture on torch's current device, cut to a number of layers where it has more.

    Nothing is fetched: the text tower, which may ask the hub for its configuration, isn't made.
    """
    config = open_clip.get_model_config(arch)
    assert config is not None, arch
    vision = dict(config["vision_cfg"], timm_model_pretrained=False)
    if depth is not None and isinstance(vision.get("layers"), int):
        vision["layers"] = min(depth, vision["layers"])
    with _cut(depth if "timm_model_name" in vision else None):
        return _build_vision_tower(config["embed_dim"], vision, config.get("quick_gelu", False))


def transformers_tower(kind: str, depth: int) -> Any:
    """Build the image tower of a kind of model of transformers in its default sizes, cut to a number of layers."""
    import transformers

    small = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    made = getattr(transformers, KINDS[kind].model_class)
    vision = {"num_hidden_layers": depth}
    side = 256 if kind == "siglip2" else None  # of the largest square image; the others' configurations say it
    if not KINDS[kind].texts:
        return ImageSide(made(made.config_class(**vision)))
    return ImageSide(made(made.config_class(text_config=small | {"vocab_size": 100}, vision_config=vision)), side)


@contextmanager
def _cut(depth: int | None) -> Iterator[None]:
    """Let open_clip ask timm for so many layers, which its configurations can't."""
    make = timm_model.timm.create_model
    if depth is not None:
        timm_model.timm.create_model = lambda name, **options: make(name, depth=depth, **options)
    try:
        yield
    finally:
        timm_model.timm.create_model = make


def unsettle(visual: Any, seed: int = 0) -> Any:
    """Move gains, biases and gammas off 1 and 0, and make weights so large that heads matter; for evaluation."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in visual.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() == 1 and "class_embedding" not in name:
                parameter.add_(0.3 * noise)
            elif parameter.dim() > 1:
                parameter.copy_(noise / parameter[0].numel() ** 0.5)
    return visual.eval().requires_grad_(False)


def noise(tower: Any, count: int) -> torch.Tensor:
    """Make images of noise that fit a tower, ``[count, 3, S, S]``, or as patches of other and other grids."""
    side, generator = tower.image_size, torch.Generator().manual_seed(1)
    if not getattr(tower.visual, "flexible", False):
        return torch.randn(count, 3, side, side, generator=generator)
    patch, most = tower.patch_size, (side // tower.patch_size) ** 2
    found = torch.zeros(count, most, 3 * patch**2 + 1)
    for image, one in enumerate(found):
        rows = 2 + image
        columns = most // rows - image
        one[: rows * columns, :-1] = torch.randn(rows * columns, 3 * patch**2, generator=generator)
        one[: rows * columns, -1] = PATCH
        one[: rows * columns : columns, -1] = ROW_BEGINS
    return found
