"""One forward pass of a model's own code, under hooks that keep what its components write."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import torch
from torch.nn.functional import softmax

from clipdb.errors import ClipdbError
from clipdb.models.tracing.composition import Composition, Part
from clipdb.models.tracing.operations import AttentionPool, Heads, Mean, Norm, Own, Stem, Take, linear_part

Tensor = torch.Tensor


class Recording:
    """What some parts of a tower wrote in a forward pass.

    Of all tokens only those are kept that are pooled; and of a mean whose tokens no norm divides, the mean.

    Parameters
    ----------
    composition
        The tower.
    parts
        The parts to keep.
    apart
        Whether each MLP's output is kept, and not only the sum of those that are mapped and divided alike.

    Attributes
    ----------
    embedding
        What the model returned, float32 ``[batch, D]``.
    """

    def __init__(self, composition: Composition, parts: Iterable[Part], apart: bool = False) -> None:
        self.pool = composition.pool
        self.parts = list(dict.fromkeys(parts))
        self._apart = apart
        self.embedding: Tensor
        self._written: dict[Any, Tensor] = {}
        self._sigma: dict[Norm, Tensor] = {}
        self._weights: Tensor | None = None  # of attention pooling: [batch, G, tokens]
        self._tokens = 1

    def run(self, forward: Callable[[], Any]) -> Recording:
        """Run the model.

        Raises
        ------
        ClipdbError
            If its own code goes past a module of the list of operations.
        """
        with ExitStack() as stack:
            for hook in self._hooks():
                stack.callback(hook.remove)
            found = forward()
        self._require_called()
        self.embedding = (found[0] if isinstance(found, tuple) else found).float()
        return self

    def _require_called(self) -> None:
        norms = {norm for part in self.parts for norm in (*part.by_token, *part.once)}
        lacking: list[Any] = [norm for norm in norms if norm not in self._sigma]
        lacking += [part.source for part in self.parts if part.source and self._key(part) not in self._written]
        if lacking:
            raise ClipdbError(
                f"the model's own code never calls the module of one of its operations, {type(lacking[0]).__name__}: "
                "override the family's method `exposed`, so that it does"
            )

    def _hooks(self) -> Iterable[Any]:
        by_token = {norm for part in self.parts for norm in part.by_token}
        for norm in by_token | {norm for part in self.parts for norm in part.once}:
            yield norm.module.register_forward_pre_hook(self._keep_sigma(norm, norm in by_token))
        if isinstance(self.pool, AttentionPool):
            yield self.pool.module.register_forward_pre_hook(self._keep_pooling)
        for part in self.parts:
            source = part.source
            if isinstance(source, Heads):
                module = source.out if source.inner is None else source.inner.module
                yield module.register_forward_pre_hook(self._keep_input(part))
            elif isinstance(source, Stem):
                yield source.module.register_forward_pre_hook(self._keep_input(part))
            elif isinstance(source, Own):
                yield source.module.register_forward_hook(self._add_output(part))

    def _keep_sigma(self, norm: Norm, by_token: bool) -> Callable[..., None]:
        def hook(module: Any, inputs: tuple[Tensor, ...]) -> None:
            if norm in self._sigma:  # BLIP's model calls its last norm again, for an output that isn't the embedding
                return
            x = self.pool.read(inputs[0]) if by_token else _first(inputs[0])
            self._sigma[norm] = norm.sigma(x)

        return hook

    def _keep_input(self, part: Part) -> Callable[..., None]:
        def hook(module: Any, inputs: tuple[Tensor, ...]) -> None:
            self._written[part.source] = self._reduced(part, inputs[0])

        return hook

    def _add_output(self, part: Part) -> Callable[..., None]:
        """Add up what the parts write that are mapped and divided alike: each token of each layer would fill memory."""

        def hook(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            wrote = linear_part(part.chain, self._reduced(part, output).double())
            key = self._key(part)
            if self._apart:
                self._written[key] = wrote.float()
                return
            self._written[key] = self._written[key] + wrote if key in self._written else wrote

        return hook

    def _keep_pooling(self, module: Any, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(self.pool, AttentionPool)
        x = self.pool.tokens(inputs[0])
        scores = self.pool.scores(x).float()
        if self.pool.masked:
            scores = scores.masked_fill(inputs[1][:, None] == 0, float("-inf"))
        self._weights = softmax(scores, dim=-1)
        self._written[self.pool] = x

    def _reduced(self, part: Part, x: Tensor) -> Tensor:
        if part.behind:
            return _first(x)[:, None]
        x = self.pool.read(x)
        self._tokens = x.shape[1]
        if isinstance(self.pool, Mean) and not part.by_token:
            return x.mean(dim=1, keepdim=True, dtype=torch.float32)
        return x.clone() if isinstance(self.pool, Take) else x  # a view would keep every token

    def weights(self, part: Part) -> Tensor:
        """Return what each pooled token counts for in a part, in front of the pooling: ``[batch, G, tokens]``."""
        count = len(self.embedding)
        if part.behind or (isinstance(self.pool, Mean) and not part.by_token):
            weights = self.embedding.new_ones(count, 1, 1)
        elif self._weights is not None:
            weights = self._weights
        else:
            weights = self.embedding.new_full((count, 1, self._tokens), 1 / self._tokens)
        for norm in part.by_token:
            weights = weights / self._sigma[norm][:, None]
        return weights

    def once(self, part: Part) -> Tensor:
        """Return what divides a part behind the pooling: float32 ``[batch]``."""
        divisor = self.embedding.new_ones(len(self.embedding))
        for norm in part.once:
            divisor = divisor * self._sigma[norm]
        return divisor

    def pooled(self, part: Part) -> Tensor:
        """Return what is left of a layer of heads behind the pooling: Z, float32 ``[batch, H, G k]``."""
        assert isinstance(part.source, Heads)
        z = self.weights(part) @ self._written[part.source].float() / self.once(part)[:, None, None]
        return z.unflatten(-1, (part.source.count, -1)).transpose(1, 2).flatten(2)

    def pool_values(self, part: Part) -> Tensor:
        """Return what each token gives to each head of an attention pooling: float32 ``[batch, G, tokens, k]``."""
        pool = part.source
        assert isinstance(pool, AttentionPool) and self._weights is not None
        values = torch.einsum("btd,gkd->bgtk", self._written[pool].float(), pool.value.float())
        if pool.value_bias is not None:
            values = values + pool.value_bias.float()[:, None]
        return values * self._weights[..., None] / self.once(part)[:, None, None, None]

    def pool_outputs(self, part: Part) -> Tensor:
        """Return the outputs of an attention pooling's heads: float32 ``[batch, G, k]``."""
        pool = part.source
        assert isinstance(pool, AttentionPool) and self._weights is not None
        seen = self._weights @ self._written[pool].float()
        z = torch.einsum("bgd,gkd->bgk", seen, pool.value.float())
        z = z if pool.value_bias is None else z + pool.value_bias.float()
        return z / self.once(part)[:, None, None]

    def counts(self, part: Part) -> Tensor:
        """Return what a part that is the same for all images is multiplied by: float64 ``[batch, G]``."""
        return self.weights(part).double().sum(dim=-1) / self.once(part)[:, None]

    def written(self, part: Part) -> Tensor:
        """Return what a part wrote at the tokens that are pooled, ``[batch, tokens, n]``."""
        return self._written[self._key(part)]

    def total(self, parts: Iterable[Part]) -> Tensor:
        """Add up parts that were kept, none of them heads: float64 ``[batch, D]``."""
        total = torch.zeros_like(self.embedding, dtype=torch.float64)
        for part in {self._key(part): part for part in parts}.values():
            if part.source is None:
                pooled = self.counts(part)[..., None]
            else:
                pooled = self.weights(part).double() @ self.written(part).double() / self.once(part)[:, None, None]
            total += torch.einsum("gDn,bgn->bD", part.maps, pooled)
        return total

    def _key(self, part: Part) -> Any:
        """Return under what a part is kept: what is equal for modules whose outputs can be added up before mapping."""
        if isinstance(part.source, Own) and not self._apart:
            return part.maps, part.by_token, part.once
        return part if part.source is None else part.source


def _first(x: Tensor) -> Tensor:
    """Return of several vectors behind the pooling the first, which is the one that is read: ``[batch, d]``."""
    return x if x.dim() == 2 else x[:, 0]
