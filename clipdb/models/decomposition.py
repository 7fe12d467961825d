"""From images to unit embeddings and head vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from clipdb.models.head_space import component_basis, layer_bases, require_finite
from clipdb.models.tower import Captured
from clipdb.models.towers import Adapter
from clipdb.schema.basis_matrix import identity, in_head_space, is_identity
from clipdb.schema.names import POOL, Head


class Decomposer:
    """Turn images into unit embeddings and head vectors, ``y = R Z / ||embedding||``.

    The decomposition is Gandelsman et al., arXiv 2310.05916, section 3, generalised in `clipdb.models.tracing`; the
    isometric head space is clipdb's own: ``contribution = ||embedding|| Q y``, so norms, inner products and neighbours
    are those of the contributions.

    Parameters
    ----------
    adapter
        The image tower.
    layers
        Layers whose heads are kept, of which one may be `clipdb.schema.names.POOL`.
    bases
        Q of heads that an index has already, ``{(layer, head): [D, r]}``: y is only comparable in the same basis.
    components
        Which of the adapter's `clipdb.models.tower.Adapter.components` are kept beside heads, in the same way.

    Raises
    ------
    ClipdbError
        If a head's weights are not finite numbers.
    """

    def __init__(
        self,
        adapter: Adapter,
        layers: Sequence[int],
        bases: Mapping[Head, np.ndarray] | None = None,
        components: Sequence[Head] = (),
    ) -> None:
        self.adapter = adapter
        self.layers = list(layers)
        self.components = list(components)
        self.bases: dict[Head, np.ndarray] = {}
        self._factors: dict[int, torch.Tensor] = {}  # R: [H, r, n]
        for layer in self.layers:
            maps = adapter.output_map(layer)
            require_finite(maps, layer)
            heads = range(len(maps))
            stored = {head: bases[layer, head] for head in heads if (layer, head) in bases} if bases else {}
            if len(stored) < len(maps):  # an SVD a head: none where the index has them all
                size = maps.shape[-1] if layer == POOL else adapter.head_dim
                stored = dict(enumerate(layer_bases(maps, adapter.width, size))) | stored
            self.bases |= {(layer, head): stored[head] for head in heads}
            factors = np.stack([in_head_space(maps[head].T, stored[head]).T for head in heads])
            self._factors[layer] = torch.from_numpy(factors).float()
        self._component_factors: dict[Head, torch.Tensor] = {}
        for part in self.components:
            fixed = adapter.component_map(part)
            if fixed is None:
                self.bases[part] = identity(adapter.embed_dim)
                continue
            known = bases.get(part) if bases else None
            self.bases[part] = component_basis(fixed) if known is None else known
            self._component_factors[part] = torch.from_numpy(in_head_space(fixed.T, self.bases[part]).T).float()

    def sizes(self) -> dict[Head, int]:
        """Return how many numbers r the vectors of each head have, and those of each component."""
        return {head: basis.shape[1] for head, basis in self.bases.items()}

    def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, dict[int, torch.Tensor]]:
        """Embed images.

        Parameters
        ----------
        images
            Preprocessed images in the model's dtype and device, ``[batch, 3, S, S]``.

        Returns
        -------
        embedding, norm, heads
            Unit embeddings ``[batch, D]``, norms before normalisation ``[batch]`` and head vectors y by layer,
            ``[batch, H, r]``, all float32.
        """
        return self.vectors(self.capture(images))

    def capture(self, images: torch.Tensor) -> Captured:
        """Run the model over images and keep what `vectors` and `component_vectors` take."""
        return self.adapter.capture(images, self.layers, self.components)

    def vectors(self, captured: Captured) -> tuple[torch.Tensor, torch.Tensor, dict[int, torch.Tensor]]:
        """Bring what was captured into head space: as a call does, of those of its layers that were captured."""
        norm = captured.embedding.norm(dim=-1)
        y = {
            layer: torch.einsum("hij,bhj->bhi", self._factor(layer, z), z) / norm[:, None, None]
            for layer, z in captured.heads.items()
            if layer in self._factors
        }
        return captured.embedding / norm[:, None], norm, y

    def component_vectors(self, captured: Captured) -> dict[Head, torch.Tensor]:
        """Bring captured components into their spaces, as `vectors` does heads: those that are kept, ``[batch, r]``."""
        norm = captured.embedding.norm(dim=-1)[:, None]
        found = {}
        for part in (part for part in self.components if part in captured.components):
            z = captured.components[part]
            factor = self._component_factors.get(part)
            found[part] = (z if factor is None else z @ factor.to(z.device).T) / norm
        return found

    def by_token(
        self, images: torch.Tensor, layers: Sequence[int]
    ) -> tuple[torch.Tensor, torch.Tensor, dict[int, torch.Tensor]]:
        """Embed images, with the head vectors of some of the layers split into what each token gives.

        Returns
        -------
        embedding, norm, tokens
            As a call gives, but the vectors are ``[batch, H, tokens, r]``: their sum over tokens is y.
        """
        captured = self.adapter.capture_tokens(images, layers)
        norm = captured.embedding.norm(dim=-1)
        y = {
            layer: torch.einsum("hij,bhtj->bhti", self._factor(layer, z), z) / norm[:, None, None, None]
            for layer, z in captured.tokens.items()
        }
        return captured.embedding / norm[:, None], norm, y

    def contributions(self, norm: torch.Tensor, parts: Mapping[Head, torch.Tensor]) -> torch.Tensor:
        """Sum what heads and components contribute in the joint space, ``||embedding|| Q y``.

        Parameters
        ----------
        norm
            Of the embeddings, ``[batch]``.
        parts
            Their vectors y, ``[batch, r]`` each.

        Returns
        -------
        torch.Tensor
            float32 ``[batch, D]``.
        """
        total = torch.zeros(len(norm), self.adapter.embed_dim, device=norm.device)
        for part, y in parts.items():
            basis = self.bases[part]
            turned = None if is_identity(basis) else torch.from_numpy(basis.astype(np.float32)).to(y.device)
            total += y if turned is None else y @ turned.T
        return total * norm[:, None]

    def _factor(self, layer: int, like: torch.Tensor) -> torch.Tensor:
        self._factors[layer] = self._factors[layer].to(like.device)
        return self._factors[layer]
