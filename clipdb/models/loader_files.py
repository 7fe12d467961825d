"""How a library loads weights that were exported: what a folder of them needs beside them, and the lines to write."""

from __future__ import annotations

import json
from pathlib import Path

import open_clip
from open_clip.transformer import QuickGELU

from clipdb import demo
from clipdb.models.hugging_face.description import is_description
from clipdb.models.hugging_face.repository import BESIDE, CONFIG, WEIGHTS
from clipdb.models.loading import split_name
from clipdb.models.model import Model
from clipdb.models.model_config import OPEN_CLIP_CONFIG
from clipdb.models.model_name import OPEN_CLIP_HUB

OPEN_CLIP_WEIGHTS = "open_clip_model.safetensors"
_FOLDER = "`clipdb export weights FOLDER` writes a folder that says everything.\n"


def weights_name(model: Model) -> str:
    """Return how the model's library calls the file of weights in a folder."""
    return WEIGHTS if is_description(model.config) else OPEN_CLIP_WEIGHTS


def loader_files(model: Model) -> dict[str, bytes]:
    """Return the other files by name: of transformers as they are beside the weights, of open_clip its configuration.

    open_clip's says what its own name for the weights stands for: the activation, and how images are prepared.
    """
    if is_description(model.config):
        folder = model.weights[0].parent
        names = (name for name in (CONFIG, *BESIDE) if (folder / name).is_file())
        return {name: (folder / name).read_bytes() for name in names}
    config = {"model_cfg": _architecture(model), "preprocess_cfg": dict(model.network.visual.preprocess_cfg)}
    return {OPEN_CLIP_CONFIG: (json.dumps(config, indent=2) + "\n").encode()}


def how_to_load(model: Model, place: Path) -> str:
    """Write in Markdown how weights of this model are loaded from a folder, or from a safetensors file."""
    if place.suffix != ".safetensors":
        loads = (
            f'transformers.{type(model.network.model).__name__}.from_pretrained("{place.name}")'
            if is_description(model.config)
            else f'open_clip.create_model_from_pretrained("local-dir:{place.name}")'
        )
        ingest = f"clipdb ingest images SRC --model local-dir:{place.name} -i edited.clipdb"
        return f"```python\n{loads}\n```\n\n```sh\n{ingest}\n```\n"
    if is_description(model.config):
        return (
            f"The tensors have the names that transformers gives them. Put the file as `{WEIGHTS}` into a copy of the "
            f"model's folder. {_FOLDER}"
        )
    if model.config is not None or model.model_id in demo.PACKAGED:
        return f"open_clip doesn't ship this architecture, so the file alone isn't enough. {_FOLDER}"
    shown = model.preprocess
    return (
        "The file doesn't say what the architecture is and how images are prepared:\n\n"
        "```python\n"
        "open_clip.create_model_from_pretrained(\n"
        f'    "{model.model_id.split("/")[0]}", pretrained="{place.name}", force_quick_gelu={_is_quick(model)},\n'
        f"    image_mean={shown.mean}, image_std={shown.std},\n"
        f'    image_interpolation="{shown.interpolation}", image_resize_mode="{shown.resize_mode}",\n'
        f")\n```\n\n{_FOLDER}"
    )


def _is_quick(model: Model) -> bool:
    return any(isinstance(one, QuickGELU) for one in model.network.modules())


def _architecture(model: Model) -> dict[str, object]:
    if model.config is not None and model.model_id.startswith(OPEN_CLIP_HUB):
        return dict(model.config["model_cfg"])
    arch, _ = split_name(model.model_id, model.config)
    return {**open_clip.get_model_config(arch), **({"quick_gelu": True} if _is_quick(model) else {})}
