"""Look into a file of weights without running anything in it."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
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
    if path.suffix == ".safetensors":
        with _safetensors(path) as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    else:
        shapes = {name: tuple(tensor.shape) for name, tensor in _torch(path, "meta").items()}
    return {_own_name(name): shape for name, shape in shapes.items()}


def tensors_digest(paths: Sequence[Path]) -> str:
    """Hash what a checkpoint holds, whichever kinds of files hold it.

    Parameters
    ----------
    paths
        The files that its tensors are spread over, one as a rule.

    Returns
    -------
    str
        Hex SHA-256 over the tensors by name, each as its name, its shape and its numbers as little-endian float32
        (int64 if they are whole numbers).

    Raises
    ------
    ClipdbError
        As `tensor_shapes`.
    """
    digest = hashlib.sha256()
    for name, tensor in _tensors(paths):
        kind = torch.float32 if tensor.is_floating_point() else torch.int64
        digest.update(f"{name} {tuple(tensor.shape)} {kind}\n".encode())
        digest.update(np.ascontiguousarray(tensor.detach().to(kind).numpy()).data)
    return digest.hexdigest()


def read_tensors(paths: Sequence[Path]) -> dict[str, torch.Tensor]:
    """Read a checkpoint's tensors by name, each of its own type.

    Parameters
    ----------
    paths
        The files that they are spread over, one as a rule.

    Raises
    ------
    ClipdbError
        As `tensor_shapes`.
    """
    return dict(_tensors(paths))


def _tensors(paths: Sequence[Path]) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensors by name, of safetensors one at a time."""
    found: dict[str, Callable[[], torch.Tensor]] = {}
    with ExitStack() as stack:
        for path in paths:
            if path.suffix == ".safetensors":
                file = stack.enter_context(_safetensors(path))
                found |= {name: partial(file.get_tensor, name) for name in file.keys()}  # noqa: SIM118
            else:
                found |= {name: partial(torch.Tensor.cpu, tensor) for name, tensor in _torch(path, "cpu").items()}
        for name in sorted(found, key=_own_name):
            yield _own_name(name), found[name]()


def _own_name(name: str) -> str:
    return name.removeprefix("module.")


@contextmanager
def _safetensors(path: Path) -> Iterator[Any]:
    try:
        with safe_open(str(path), framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise ClipdbError(f"{path} is not a whole safetensors file ({error}): fetch it again") from error


def _torch(path: Path, device: str) -> dict[str, torch.Tensor]:
    try:
        with warnings.catch_warnings(action="ignore"):  # what is wrong with the file is said below, in one line
            content = torch.load(path, map_location=device, weights_only=True)
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
    found = {name: tensor for name, tensor in tensors.items() if isinstance(tensor, torch.Tensor)}
    if not found:
        raise ClipdbError(f"{path} holds no tensors: give a state_dict saved with torch.save, or .safetensors")
    return found
