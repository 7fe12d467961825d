"""Files of edited weights: safetensors with a card beside it, or a folder that a library loads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from clipdb._util.disk import sync
from clipdb._util.text import first_line
from clipdb.artefact.export.export_directory import Kind
from clipdb.artefact.format import CARD
from clipdb.errors import ClipdbError
from clipdb.models.ablation.weights import EditedWeights
from clipdb.schema.names import Head

RECIPE = "clipdb"
"""The key of a safetensors file's metadata under which the recipe is, as JSON."""
SUFFIX = ".safetensors"
EDIT = "clipdb_edit.json"
FOLDER = Kind("folder of edited weights", "a", EDIT, lambda marker, _: set(json.loads(marker)["files"]))


@dataclass(frozen=True)
class WrittenWeights:
    """What was written.

    Attributes
    ----------
    model
        Whose weights.
    heads
        ``(layer, head)`` of the heads that they are without.
    changed
        Names of the tensors that differ from the original's.
    images, unread
        Over how many images the heads' mean was taken, and how many images could not be read; 0 without a mean.
    """

    model: str
    heads: tuple[Head, ...]
    changed: tuple[str, ...]
    images: int
    unread: int


def card_of(file: Path) -> Path:
    """Return where the card of a file of weights is."""
    return file.with_suffix(".md")


def check_place(file: Path, replace: bool) -> None:
    """Refuse a file of weights whose place, or whose card's, is taken.

    Raises
    ------
    ClipdbError
        Saying which.
    """
    for one in (file, card_of(file)):
        if one.exists() and not replace:
            raise ClipdbError(f"{one} is there already: add --replace, or choose another name")


def write_weights(edited: EditedWeights, recipe: Mapping[str, Any], file: Path) -> None:
    """Write tensors as safetensors with the recipe in the file's metadata, and see them to the disk.

    Raises
    ------
    ClipdbError
        If they can't be written.
    """
    # Tensors of a torch file may share memory, which safetensors doesn't.
    tensors = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in edited.tensors.items()}
    file.touch()
    mode = file.stat().st_mode
    try:
        save_file(tensors, file, {"format": "pt", RECIPE: json.dumps(recipe, ensure_ascii=False)})
    except SafetensorError as error:
        raise ClipdbError(f"can't write {file.parent}: {first_line(error)}") from error
    file.chmod(mode)  # safetensors leaves its file readable by its owner alone
    sync(file)


def write_folder(
    edited: EditedWeights, recipe: Mapping[str, Any], folder: Path, name: str, others: Mapping[str, bytes], card: str
) -> None:
    """Write weights under a name, with what a library needs beside them, the card, and the recipe last."""
    write_weights(edited, recipe, folder / name)
    content = {**others, CARD: card.encode()}
    content[EDIT] = (json.dumps({"files": sorted([*content, name]), **recipe}, indent=1, ensure_ascii=False)).encode()
    for one, data in content.items():
        (folder / one).write_bytes(data)
        sync(folder / one)
