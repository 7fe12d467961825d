"""Make a network without drawing the random weights that those of its file overwrite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn import init
from torch.overrides import TorchFunctionMode

_DRAWS = {
    torch.Tensor.normal_,
    torch.Tensor.uniform_,
    init.uniform_,
    init.normal_,
    init.trunc_normal_,
    init.xavier_uniform_,
    init.xavier_normal_,
    init.kaiming_uniform_,
    init.kaiming_normal_,
    init.orthogonal_,
}


class Unfilled(TorchFunctionMode):
    """While it is entered, weights that would be drawn at random stay undefined: whoever enters it fills them all.

    Drawing takes a third of the time that a network of open_clip takes to load.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run a function of PyTorch, or return the tensor that it would draw into."""
        named = dict(kwargs or {})
        if func in _DRAWS:
            return args[0] if args else named["tensor"]
        return func(*args, **named)
