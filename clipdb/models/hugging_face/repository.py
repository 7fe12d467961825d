"""The files of a model of transformers: a folder, or a repository on the Hub at one commit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download

from clipdb.errors import ClipdbError, kind_of
from clipdb.models.hub import from_hub, is_there
from clipdb.models.hugging_face.kinds import Kind, kind_of_model
from clipdb.models.model_name import on_hub

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
_SHARDS = "model.safetensors.index.json"
_ADAPTER = "adapter_config.json"
# What a tokenizer and an image processor may be made of.
BESIDE = (
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)


def fetched(model_id: str, commit: str | None) -> Path:
    """Bring a repository's files into the hub's cache, its weights last; return their folder, named after the commit.

    Parameters
    ----------
    model_id
        ``hf:ORG/NAME`` or ``hf:ORG/NAME@REVISION``.
    commit
        The commit, if it is known.

    Raises
    ------
    ClipdbError
        If they can't be had, or aren't what clipdb reads.
    """
    repository, revision = on_hub(model_id)

    def fetch() -> Path:
        if adapter := is_there(repository, _ADAPTER, commit or revision):
            refuse_adapter(adapter.parent, model_id)
        config = is_there(repository, CONFIG, commit or revision)
        if config is None:
            raise ClipdbError(f"{model_id} has no {CONFIG}: hf: names models of transformers, hf-hub: open_clip's")
        folder = config.parent
        kind = kind_of_model(config_in(folder), model_id)  # what can't be read need not be downloaded
        for name in BESIDE:
            is_there(repository, name, folder.name)
        if not is_there(repository, WEIGHTS, folder.name):
            is_there(repository, _SHARDS, folder.name)
        for file in weights_files(folder, kind, model_id):
            hf_hub_download(repository, file.name, revision=folder.name)
        return folder

    otherwise = "give a folder that has them, --model local-dir:FOLDER"
    return from_hub(f"the files of {model_id}", fetch, otherwise)


def config_in(folder: Path) -> dict[str, Any]:
    """Read the configuration of a model in a folder.

    Raises
    ------
    ClipdbError
        If there is none, or it can't be read.
    """
    path = folder / CONFIG
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise ClipdbError(f"{path} can't be read: {error.strerror}", kind=kind_of(error)) from error
    except (ValueError, RecursionError) as error:
        raise ClipdbError(f"{path} is not JSON: give the folder that save_pretrained wrote") from error
    if not isinstance(content, dict):
        raise ClipdbError(f"{path} describes no model: give the folder that save_pretrained wrote")
    return content


def refuse_adapter(folder: Path, where: str) -> None:
    """Refuse weights that only change those of another model.

    Raises
    ------
    ClipdbError
        With the line that merges them.
    """
    if (folder / _ADAPTER).is_file():
        raise ClipdbError(
            f"{where} is an adapter (LoRA), not a model: merge it, "
            "peft.PeftModel.from_pretrained(BASE_MODEL, ADAPTER).merge_and_unload().save_pretrained(FOLDER), "
            "and give --model local-dir:FOLDER"
        )


def weights_files(folder: Path, kind: Kind, where: str) -> tuple[Path, ...]:
    """Name the files of a model's weights, which its index may name before they are fetched.

    Raises
    ------
    ClipdbError
        If there are none of safetensors.
    """
    if (folder / WEIGHTS).is_file():
        return (folder / WEIGHTS,)
    if (folder / _SHARDS).is_file():
        return tuple(folder / name for name in _shards(folder / _SHARDS))
    raise ClipdbError(
        f"{where} has no {WEIGHTS}, and clipdb loads no pickles, which could run code: if you trust its "
        f"pytorch_model.bin, run transformers.{kind.model_class}.from_pretrained(MODEL).save_pretrained(FOLDER) with "
        "the files of its tokenizer and image processor beside it, and give --model local-dir:FOLDER",
        kind="absent",
    )


def _shards(path: Path) -> list[str]:
    """Read which files hold the weights."""
    try:
        names = set(json.loads(path.read_bytes())["weight_map"].values())
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise ClipdbError(f"{path} doesn't say which files hold the weights: fetch it again") from error
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise ClipdbError(f"{path} names {name!r}, which is no file of weights beside it: fetch it again")
    return sorted(names)
