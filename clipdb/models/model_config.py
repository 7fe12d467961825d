"""Architectures of one's own: open_clip's JSON of a model that open_clip doesn't ship."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip

from clipdb.errors import ClipdbError, kind_of
from clipdb.models.hub import from_hub, is_there
from clipdb.models.hugging_face.description import described, is_commit
from clipdb.models.model_name import LOCAL_DIR, on_hub

_ARCHITECTURE = ("embed_dim", "vision_cfg", "text_cfg")
_MOST = 1_000_000  # no size of a model is larger; what is would fill the memory before its weights are compared
_MOST_LAYERS = 1000
_WEIGHTS = ("open_clip_model.safetensors", "model.safetensors", "open_clip_pytorch_model.bin", "*.safetensors", "*.pt")

OPEN_CLIP_CONFIG = "open_clip_config.json"

Config = dict[str, Any]


@dataclass(frozen=True)
class Named:
    """A model as it was asked for.

    Attributes
    ----------
    model_id
        ``ARCH/PRETRAINED``, ``hf:ORG/NAME`` or ``hf-hub:ORG/NAME``.
    config
        Its architecture and preprocessing, ``{"model_cfg": ..., "preprocess_cfg": ...}``, or what
        `clipdb.models.hugging_face.description` says; None if open_clip has it, or the Hub is to be asked.
    checkpoint
        The file of its weights, or transformers' folder; None if its name stands for weights.
    """

    model_id: str
    config: Config | None
    checkpoint: Path | None


def named(model: str | None, config: Path | None, checkpoint: Path | None) -> Named:
    """Find out which model is meant.

    Parameters
    ----------
    model
        ``ARCH/PRETRAINED``, a name on the Hub, or ``local-dir:FOLDER``; with a configuration it may be left out.
    config
        A file with the architecture, as open_clip writes it.
    checkpoint
        A file of weights.

    Raises
    ------
    ClipdbError
        If these don't name one model, or a file is missing or not what it should be.
    """
    if model is not None and model.startswith(LOCAL_DIR):
        if config is not None or checkpoint is not None:
            raise ClipdbError(f"{model} has its configuration and weights: leave out --config and --checkpoint")
        return _in_folder(Path(model.removeprefix(LOCAL_DIR)))
    if config is None:
        if model is None:
            raise ClipdbError("no model was named: give --model ARCH/PRETRAINED (`clipdb models` lists them)")
        return Named(model, None, checkpoint)
    if checkpoint is None:
        raise ClipdbError(f"{config} says nothing of weights: give their file with --checkpoint FILE")
    return Named(model or f"{_word(config.stem)}/{_word(checkpoint.stem)}", read(config), checkpoint)


def _in_folder(folder: Path) -> Named:
    """Name the model that a folder holds, of open_clip if it has that one's configuration."""
    model_id, own = f"{_word(folder.absolute().name)}/local", folder / OPEN_CLIP_CONFIG
    if not own.exists() and any((folder / name).exists() for name in ("config.json", "adapter_config.json")):
        return Named(model_id, described(folder), folder)
    weights = next((path for pattern in _WEIGHTS for path in sorted(folder.glob(pattern))), None)
    if not folder.is_dir() or weights is None:
        what = "has no weights in it" if folder.is_dir() else "is no folder"
        raise ClipdbError(
            f"{folder} {what}: give one with {OPEN_CLIP_CONFIG} and {_WEIGHTS[0]}, "
            "or with transformers' config.json and model.safetensors",
            kind="absent",
        )
    return Named(model_id, read(own), weights)


def read(path: Path) -> Config:
    """Read a configuration: an architecture, or ``open_clip_config.json`` with its preprocessing beside it.

    Raises
    ------
    ClipdbError
        If it can't be read or is no configuration of open_clip's.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise ClipdbError(f"{path} can't be read: {error.strerror}", kind=kind_of(error)) from error
    except (ValueError, RecursionError) as error:
        raise ClipdbError(f"{path} is not JSON: give open_clip's configuration of the architecture") from error
    if isinstance(content, dict) and "model_cfg" not in content:
        content = {"model_cfg": content}
    return check(content, str(path))


def fetched_config(model_id: str) -> Config:
    """Read the configuration of ``hf-hub:ORG/NAME``, with the commit of the repository that it is from.

    Raises
    ------
    ClipdbError
        If it can't be had or is no configuration of open_clip's.
    """
    repository, revision = on_hub(model_id)

    def fetch() -> Path:
        if found := is_there(repository, OPEN_CLIP_CONFIG, revision):
            return found
        raise ClipdbError(
            f"{model_id} has no {OPEN_CLIP_CONFIG}: hf-hub: names models of open_clip, hf: those of transformers"
        )

    path = from_hub(f"the configuration of {model_id}", fetch, "give its folder, --model local-dir:FOLDER")
    return read(path) | {"commit": path.parent.name}


def check(config: Any, where: str) -> Config:
    """Check a configuration of open_clip's, which a stranger may have written.

    Raises
    ------
    ClipdbError
        If it is none, has sizes that no model has, or asks for somebody's code to be run.
    """
    architecture = config.get("model_cfg") if isinstance(config, dict) else None
    if not isinstance(architecture, dict) or (lacking := [name for name in _ARCHITECTURE if name not in architecture]):
        detail = f" (it lacks {', '.join(lacking)})" if isinstance(architecture, dict) else ""
        raise ClipdbError(f"{where} is not a configuration of open_clip's{detail}: it has {', '.join(_ARCHITECTURE)}")
    for name, value in _values(config):
        if name == "trust_remote_code":
            raise ClipdbError(f"{where} asks to run code of others ({name}): take that out if you don't need it")
        most = _MOST_LAYERS if name == "layers" else _MOST
        if isinstance(value, int | float) and not abs(value) <= most:
            raise ClipdbError(f"{where} has {name} {value}: no model has more than {most:,}")
    commit = {"commit": config["commit"]} if is_commit(config.get("commit")) else {}
    return {"model_cfg": architecture, "preprocess_cfg": config.get("preprocess_cfg") or {}, **commit}


def register(arch: str, config: Config) -> None:
    """Let open_clip make models of this architecture, under this name.

    Raises
    ------
    ClipdbError
        If open_clip has another architecture of that name.
    """
    known = open_clip.get_model_config(arch)
    if known is not None and known != config["model_cfg"] and arch not in _REGISTERED:
        raise ClipdbError(f"open_clip has an architecture {arch} of its own: give yours another name, --model NAME/TAG")
    _REGISTERED.add(arch)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"{arch}.json")
        file.write_text(json.dumps(config["model_cfg"]))
        open_clip.add_model_config(file)


_REGISTERED: set[str] = set()


def _values(content: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value of nested JSON with the name it stands under."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _values(value, key)
    elif isinstance(content, list):
        for value in content:
            yield from _values(value, name)
    else:
        yield name, content


def _word(text: str) -> str:
    """Turn a file's name into a part of a model's name."""
    return re.sub(r"_{2,}", "_", re.sub(r"[^A-Za-z0-9_.-]", "-", text)) or "model"
