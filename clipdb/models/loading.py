"""Find and load a model: its name, weights, activation, preprocessing and device."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.factory import load_checkpoint

from clipdb import demo
from clipdb._util.notes import note
from clipdb._util.text import first_line
from clipdb.errors import ClipdbError, Kind
from clipdb.models.checkpoint import tensor_shapes
from clipdb.models.hub import weights_file
from clipdb.models.hugging_face.description import is_description
from clipdb.models.hugging_face.reading import read_model
from clipdb.models.hugging_face.transformers_texts import TransformersTexts
from clipdb.models.model import DTYPES, Model
from clipdb.models.model_config import Config, fetched_config, register
from clipdb.models.model_name import HUGGING_FACE, OPEN_CLIP_HUB, nearest, on_hub, refuse_unknown
from clipdb.models.no_texts import NoTexts
from clipdb.models.preprocess import Preprocess
from clipdb.models.text_tower import TextTower
from clipdb.models.towers import adapt
from clipdb.models.unfilled import Unfilled
from clipdb.schema.names import model_slug


def load(
    model_id: str,
    checkpoint: Path | None = None,
    device: str = "auto",
    precision: str = "fp32",
    config: Config | None = None,
) -> Model:
    """Load a model by its name.

    Parameters
    ----------
    model_id
        ``ARCH/PRETRAINED`` as open_clip names them, one that ships with clipdb (`clipdb.demo.PACKAGED`), or one on the
        Hub: ``hf:ORG/NAME`` of transformers, ``hf-hub:ORG/NAME`` of open_clip, with ``@REVISION`` or without.
    checkpoint
        A safetensors file, or a torch file without code in it, to use instead of the weights that the name stands
        for; PRETRAINED is then a free name. For a model of transformers, the folder of its files.
    device
        ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    precision
        ``fp32``, ``bf16`` or ``fp16``.
    config
        The architecture and preprocessing, if open_clip doesn't have them: see `clipdb.models.model_config`.

    Raises
    ------
    ClipdbError
        If there is no such model, it can't be decomposed, or its weights can't be had or don't fit.
    MissingExtra
        If it is one of transformers, which isn't installed.
    """
    if model_id.startswith(HUGGING_FACE) or is_description(config):
        return _load_transformers(model_id, checkpoint, device, precision, config)
    if model_id.startswith(OPEN_CLIP_HUB):
        config = config or fetched_config(model_id)
        known = {"hf_hub": f"{on_hub(model_id)[0]}/", "revision": config.get("commit")}
        arch = model_slug(model_id)
        register(arch, config)
    else:
        arch, tag = split_name(model_id, config)
        known = open_clip.get_pretrained_cfg(arch, tag)
        if checkpoint is None and not known and model_id not in demo.PACKAGED:
            raise ClipdbError(_no_such_tag(arch, tag), kind="absent")
    target = pick_device(device)
    wanted = known if config is None else config["preprocess_cfg"]
    network = _build(arch, precision, bool(known.get("quick_gelu")), wanted)
    adapter = adapt(network, model_id)  # what can't be decomposed need not be downloaded
    weights = weights_file(model_id, known, checkpoint)
    _fill(network, weights, arch)
    network = network.eval().requires_grad_(False).to(target)
    return Model(
        model_id=model_id,
        network=network,
        adapter=adapter,
        preprocess=Preprocess.from_open_clip(network.visual.preprocess_cfg),
        weights=(weights,),
        config=config,
        device=target,
        precision=precision,
        text_tower=TextTower(model_id, network, target, arch),
    )


def _load_transformers(
    model_id: str, folder: Path | None, device: str, precision: str, description: Config | None
) -> Model:
    target = pick_device(device)
    found = read_model(model_id, folder, DTYPES[precision], (description or {}).get("commit"))
    network = found.network.eval().requires_grad_(False).to(target)
    texts = network.kind.texts
    return Model(
        model_id=model_id,
        network=network,
        adapter=adapt(network, model_id),
        preprocess=found.preprocess,
        weights=found.weights,
        config=found.description,
        device=target,
        precision=precision,
        text_tower=TransformersTexts(model_id, network, target, found.folder) if texts else NoTexts(model_id),
    )


def _build(arch: str, precision: str, quick_gelu: bool, preprocess: Mapping[str, Any]) -> Any:
    """Make a network whose weights are still to be filled."""
    wanted = {k: v for k, v in preprocess.items() if k in ("mean", "std", "interpolation", "resize_mode")}
    logging.disable(logging.WARNING)  # it would warn that the weights, which come next, are random
    try:
        with Unfilled():
            return open_clip.create_model(
                arch,
                load_weights=False,
                pretrained_text=False,
                precision=precision,
                # What a tag was trained with is a fact about its weights: the same architecture's name stands for both.
                force_quick_gelu=quick_gelu,
                force_preprocess_cfg=wanted or None,
            )
    except (RuntimeError, ValueError, TypeError, AttributeError, KeyError, AssertionError, ImportError) as error:
        # What open_clip and timm make of a configuration that doesn't hold together, or of a missing package.
        kind: Kind = "missing" if isinstance(error, ImportError) else "invalid"
        raise ClipdbError(f"open_clip can't make {arch}: {first_line(error)}", kind=kind) from error
    finally:
        logging.disable(logging.NOTSET)


def split_name(model_id: str, config: Config | None = None) -> tuple[str, str]:
    """Split ``ARCH/PRETRAINED``, and see to it that open_clip knows the architecture.

    Raises
    ------
    ClipdbError
        Naming the nearest architectures where there is none of that name.
    """
    model_slug(model_id)
    arch, tag = model_id.split("/")
    if config is not None:
        register(arch, config)
    if demo.MODEL_ID.split("/")[0] not in open_clip.list_models():
        open_clip.add_model_config(demo.MODEL_CONFIG)
    refuse_unknown(arch, open_clip.list_models())
    return arch, tag


def pick_device(name: str) -> torch.device:
    """Choose where to run; a GPU that is there and unused is named on stderr.

    Raises
    ------
    ClipdbError
        If the device is not there.
    """
    gpu = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else None
    chosen = (gpu or "cpu") if name == "auto" else name
    try:
        device = torch.device(chosen)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ClipdbError(f"--device {name} can't be used: {first_line(error)}: try --device cpu") from error
    if device.type == "cuda":
        note(f"device: {torch.cuda.get_device_name(device)}", warns=False)
    elif gpu == "cuda":
        note(f"note: {torch.cuda.get_device_name()} is here and not used: --device cuda uses it")
    elif gpu and device.type == "cpu":
        note(f"note: a GPU ({gpu}) is here and not used: --device {gpu} uses it")
    elif Path("/proc/driver/nvidia/version").exists():
        note("note: an NVIDIA GPU is here but this torch can't use it: install a CUDA build of torch")
    return device


def device_name(device: torch.device) -> str:
    """Name the device as the table ``runs`` records it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@contextmanager
def out_of_memory(batch_size: int) -> Iterator[None]:
    """Turn a device that runs out of memory into a sentence."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ClipdbError(
            f"the device is out of memory: run again with a --batch-size under {batch_size}; what was committed is kept"
        ) from error


def _fill(network: Any, weights: Path, arch: str) -> None:
    """Load weights into a network, strictly: open_clip alone would resize position embeddings that don't fit."""
    shapes = tensor_shapes(weights)
    if not shapes:
        raise ClipdbError(f"{weights} holds no tensors: give a checkpoint of {arch}")
    own = network.state_dict()
    for name, shape in shapes.items():
        if name in own and own[name].numel() != 1 and tuple(own[name].shape) != shape:
            raise ClipdbError(
                f"{weights} doesn't hold {arch}: {name} is {shape} there and {tuple(own[name].shape)} in {arch}: "
                f"give the architecture that it was trained with"
            )
    try:
        load_checkpoint(network, str(weights), strict=True, weights_only=True)
    except (RuntimeError, KeyError, ValueError) as error:
        raise ClipdbError(
            f"{weights} doesn't hold {arch}: {first_line(error)} of {len(shapes)} tensors there, the first "
            f"{next(iter(shapes), 'none')!r}: give the architecture that it was trained with"
        ) from error


def _no_such_tag(arch: str, tag: str) -> str:
    own = [name.split("/")[1] for name in demo.PACKAGED if name.split("/")[0] == arch]
    tags = own or open_clip.list_pretrained_tags_by_model(arch)
    if not tags:
        return f"open_clip has no weights for {arch}: give a local file with --checkpoint FILE"
    return f"{arch} has no weights {tag!r}{nearest(tag, tags)}: it has {', '.join(tags)}; or give --checkpoint FILE"
