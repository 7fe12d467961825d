"""What the attention of a forward pass has looked at: queries, keys and values on their way into torch's kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any, NamedTuple, Self

import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from clipdb.errors import ClipdbError
from clipdb.models.tracing.operations import Heads


class _Call(NamedTuple):
    """The arguments of a call, ``[batch, H, tokens, k]`` each, the mask as it was given."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    attn_mask: torch.Tensor | None = None
    dropout_p: float = 0.0
    is_causal: bool = False
    scale: float | None = None
    enable_gqa: bool = False


class AttentionCalls(TorchFunctionMode):
    """Keep, of some layers of heads, the last call of ``scaled_dot_product_attention`` before their output projection.

    Parameters
    ----------
    layers
        The layers of heads.
    """

    def __init__(self, layers: Iterable[Any]) -> None:
        super().__init__()
        self._layers: list[Heads] = list(layers)
        self._last: _Call | None = None
        self._calls: dict[Heads, _Call] = {}
        self._hooks = ExitStack()

    def __enter__(self) -> Self:
        for heads in self._layers:
            module = heads.out if heads.inner is None else heads.inner.module
            self._hooks.callback(module.register_forward_pre_hook(self._keep(heads)).remove)
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._hooks.close()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """See every call of torch's functions, and keep those of attention."""
        if func is scaled_dot_product_attention:
            self._last = _Call(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _keep(self, heads: Heads) -> Callable[..., None]:
        def hook(module: Any, inputs: Any) -> None:
            if self._last is not None:
                self._calls[heads] = self._last
            self._last = None

        return hook

    def by_token(
        self, heads: Any, counts: torch.Tensor, read: Callable[[torch.Tensor, int], torch.Tensor]
    ) -> torch.Tensor:
        """Split a layer's outputs behind the pooling into what each token that was looked at gives.

        Parameters
        ----------
        heads
            The layer.
        counts
            What each pooled token counts for, ``[batch, G, tokens]``, or ``[batch, G, 1]`` where all count the same.
        read
            Returns of all tokens, along a dimension, those that are pooled.

        Returns
        -------
        torch.Tensor
            float32 ``[batch, H, tokens, G k]``.

        Raises
        ------
        ClipdbError
            If the attention went another way than through torch's kernel.
        """
        call = self._calls.get(heads)
        if call is None or call.enable_gqa:
            raise ClipdbError(
                "the model's attention is not torch's scaled_dot_product_attention, so its heads can't be located: "
                "where its library has it (timm, transformers but for BLIP), update that"
            )
        query = read(call.query, 2).float()
        logits = query @ call.key.float().transpose(2, 3) * (call.scale or query.shape[-1] ** -0.5)
        mask = call.attn_mask
        if call.is_causal:
            places = call.query.shape[2], call.key.shape[2]
            mask = torch.full(places, float("-inf"), device=logits.device).triu(1)
        if mask is not None:
            if mask.dtype == torch.bool:
                mask = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, float("-inf"))
            logits = logits + (read(mask, mask.dim() - 2) if mask.shape[-2] > 1 else mask)
        attention = logits.softmax(dim=-1)  # batch, head, to, from
        if counts.shape[-1] == 1 < attention.shape[2]:
            counts = counts.expand(-1, -1, attention.shape[2]) / attention.shape[2]
        looked = torch.einsum("bgt,bhts->bhgs", counts, attention)
        return torch.einsum("bhgs,bhsk->bhsgk", looked, call.value.float()).flatten(3)
