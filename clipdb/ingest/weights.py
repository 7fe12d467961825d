"""Look into a weights file without running anything in it."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from clipdb.errors import ClipdbError


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Read the names and shapes of a checkpoint's tensors.

    Parameters
    ----------
    path
        A safetensors file, or a torch file of plain tensors, with or without a ``state_dict`` around them.

    Returns
    -------
    dict
        ``{name: shape}``, a leading ``module.`` (of data-parallel training) taken off.

    Raises
    ------
    ClipdbError
        If the file is damaged, is none of these, or could run code when it is loaded.
    """
    shapes = _safetensors(path) if path.suffix == ".safetensors" else _torch(path)
    return {name.removeprefix("module."): shape for name, shape in shapes.items()}


def _safetensors(path: Path) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(str(path), framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ClipdbError(f"{path} is not a whole safetensors file ({error}): fetch it again") from error


def _torch(path: Path) -> dict[str, tuple[int, ...]]:
    try:
        with warnings.catch_warnings(action="ignore"):  # what is wrong with the file is said below, in one line
            content = torch.load(path, map_location="meta", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ClipdbError(
            f"{path} holds more than tensors, and loading it could run code: save its state_dict as safetensors"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, IndexError) as error:
        # A KeyError only names a byte that pickle has no use for.
        reason = "" if isinstance(error, KeyError) else f" ({(str(error).splitlines() or ['it is empty'])[0]})"
        raise ClipdbError(
            f"{path} is not a torch file of tensors{reason}: give .safetensors, or a state_dict saved with torch.save"
        ) from error
    tensors = content.get("state_dict", content) if isinstance(content, dict) else {}
    shapes = {name: tuple(t.shape) for name, t in tensors.items() if isinstance(t, torch.Tensor)}
    if not shapes:
        raise ClipdbError(f"{path} holds no tensors: give a state_dict saved with torch.save, or .safetensors")
    return shapes
