"""Read a model of transformers from its folder: every tensor as the file has it, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from clipdb._util.text import first_line
from clipdb.errors import ClipdbError, require
from clipdb.models.checkpoint import tensor_shapes
from clipdb.models.hugging_face.description import described
from clipdb.models.hugging_face.image_processor import preprocess_in
from clipdb.models.hugging_face.kinds import KINDS
from clipdb.models.hugging_face.library import LOADING_ERRORS, from_folder
from clipdb.models.hugging_face.network import Network
from clipdb.models.hugging_face.repository import fetched, weights_files
from clipdb.models.preprocess import Preprocess

# Buffers that older versions saved: they hold 0, 1, 2, ... and are made anew.
_NO_WEIGHTS = ".position_ids"


@dataclass(frozen=True)
class Read:
    """A model of transformers as its folder has it.

    Attributes
    ----------
    folder
        The folder, which has its tokenizer, too.
    network
        The model, in evaluation mode.
    preprocess
        How it wants its images.
    weights
        The files of its weights.
    description
        What an index keeps of it: see `clipdb.models.hugging_face.description`.
    """

    folder: Path
    network: Network
    preprocess: Preprocess
    weights: tuple[Path, ...]
    description: dict[str, Any]


def read_model(model_id: str, folder: Path | None, dtype: torch.dtype, commit: str | None) -> Read:
    """Read a model.

    Parameters
    ----------
    model_id
        Its name.
    folder
        Where its files are; None asks the Hub.
    dtype
        Number type to run in.
    commit
        The commit of the repository, if it is known.

    Raises
    ------
    ClipdbError
        If its files can't be had, don't hold together, or are of no model that clipdb reads.
    MissingExtra
        If transformers isn't installed.
    """
    require("transformers", "hf")
    if folder is not None and not folder.is_dir():
        raise ClipdbError(f"{folder} is no folder: {model_id} needs one with config.json, weights and tokenizer")
    if folder is None:
        folder = fetched(model_id, commit)
        commit = folder.name
    description = described(folder, commit)
    kind = KINDS[description["transformers"]["model_type"]]
    weights = weights_files(folder, kind, model_id)
    for file in weights:
        tensor_shapes(file)  # says in a line what is wrong with a damaged file
    preprocess = preprocess_in(folder, model_id)
    vision = description["transformers"].get("vision_config") or {}
    if preprocess.patch_size not in (None, vision.get("patch_size", preprocess.patch_size)):
        raise ClipdbError(
            f"{model_id} cuts images into patches of {preprocess.patch_size} pixels (preprocessor_config.json) and its "
            f"model takes those of {vision['patch_size']} (config.json): the files aren't of one model"
        )
    return Read(
        folder,
        Network(_filled(folder, kind.model_class, dtype), preprocess.image_size),
        preprocess,
        weights,
        description,
    )


def _filled(folder: Path, model_class: str, dtype: torch.dtype) -> Any:
    """Make the network; transformers alone would leave tensors that are missing at random, and only warn."""
    try:
        model, found = from_folder(
            model_class,
            folder,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            dtype=dtype,
        )
    except (*LOADING_ERRORS, AssertionError, ZeroDivisionError, SafetensorError) as error:
        raise ClipdbError(f"transformers can't make the model in {folder}: {first_line(error)}") from error
    for what, names in (
        ("lacks", found["missing_keys"]),
        ("has, of another shape,", [name for name, *_ in found["mismatched_keys"]]),
        ("has, which the model hasn't,", found["unexpected_keys"]),
    ):
        if wrong := sorted(str(name) for name in names if not str(name).endswith(_NO_WEIGHTS)):
            more = f" and {len(wrong) - 1} more tensors" if len(wrong) > 1 else ""
            raise ClipdbError(
                f"the weights in {folder} don't fit its config.json: the file {what} {wrong[0]}{more}: "
                f"give the folder that {model_class}.save_pretrained wrote"
            )
    return model
