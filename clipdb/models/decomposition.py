"""Head space: k numbers a head that hold all of its contribution to the embedding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from clipdb.errors import ClipdbError
from clipdb.models.towers import Adapter
from clipdb.schema.names import head_name

# Directions weaker than this, against the head's strongest, are rounding of the weights: they hold no signal.
NULL_DIRECTION = 1e-6
# Largest ||sum of components - encode_image|| / ||encode_image|| that passes the proof, by precision.
TOLERANCE = {"fp32": 1e-4, "bf16": 2e-2, "fp16": 2e-2}


def head_basis(output_map: np.ndarray) -> np.ndarray:
    """Find an orthonormal basis of what a head can write: Q of ``B = Q R``.

    By SVD, so that directions into which the head can't write are zero columns; a plain QR would put arbitrary
    directions there. The sign of a column is fixed by its largest entry.

    Parameters
    ----------
    output_map
        B, float64 ``[..., D, k]``.

    Returns
    -------
    numpy.ndarray
        Q, float64 ``[..., D, k]``.
    """
    with _one_thread():
        factors = torch.linalg.svd(torch.from_numpy(output_map), full_matrices=False)
    q, strength = factors.U.numpy(), factors.S.numpy()
    peak = np.take_along_axis(q, np.abs(q).argmax(axis=-2, keepdims=True), axis=-2)
    alive = strength > NULL_DIRECTION * strength[..., :1]
    q = q * np.where(alive, np.sign(peak[..., 0, :]), 0.0)[..., None, :]
    short = output_map.shape[-1] - q.shape[-1]  # D < k: the last k - D directions can't exist
    return np.concatenate([q, np.zeros((*q.shape[:-1], short))], axis=-1) if short else q


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread: on busy cores, threads took up to a hundred times as long for matrices this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _require_finite(maps: np.ndarray, layer: int) -> None:
    """Refuse weights that overflow, whose SVD would not end well."""
    finite = np.isfinite(maps).all(axis=(1, 2))
    if not finite.all():
        head = head_name(layer, int(np.argmin(finite)))
        raise ClipdbError(f"the weights overflow in head {head}: check the checkpoint, or save it in float32")


class Decomposer:
    """Turn images into unit embeddings and head vectors, ``y = R z / (sigma ||embedding||)``.

    The decomposition is Gandelsman et al., arXiv 2310.05916, section 3; the isometric head space is clipdb's own:
    ``contribution = ||embedding|| Q y``, so norms, inner products and neighbours are those of the contributions.

    Parameters
    ----------
    adapter
        The image tower.
    layers
        Layers whose heads are kept.
    bases
        Q of heads that an index has already, ``{(layer, head): [D, k]}``: y is only comparable in the same basis.

    Raises
    ------
    ClipdbError
        If a head's weights are not finite numbers.
    """

    def __init__(
        self,
        adapter: Adapter,
        layers: Sequence[int],
        bases: Mapping[tuple[int, int], np.ndarray] | None = None,
    ) -> None:
        self.adapter = adapter
        self.layers = list(layers)
        self.bases: dict[tuple[int, int], np.ndarray] = {}
        factors = []
        for layer in self.layers:
            maps = adapter.output_map(layer)
            _require_finite(maps, layer)
            stored = {h: bases[layer, h] for h in range(adapter.heads) if (layer, h) in bases} if bases else {}
            if len(stored) < adapter.heads:  # an SVD a head: none where the index has them all
                stored = dict(enumerate(head_basis(maps))) | stored
            known = [stored[head] for head in range(adapter.heads)]
            self.bases |= {(layer, head): q for head, q in enumerate(known)}
            factors.append(np.einsum("hdk,hdj->hkj", np.stack(known), maps))
        self._factors = torch.from_numpy(np.stack(factors)).float()  # [layer, H, k, k]

    def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Embed images.

        Parameters
        ----------
        images
            Preprocessed images in the model's dtype and device, ``[batch, 3, S, S]``.

        Returns
        -------
        embedding, norm, heads
            Unit embeddings ``[batch, D]``, norms before normalisation ``[batch]`` and head vectors y
            ``[batch, layer, H, k]``, all float32.
        """
        captured = self.adapter.capture(images, self.layers)
        self._factors = self._factors.to(captured.heads.device)
        norm = captured.embedding.norm(dim=-1)
        y = torch.einsum("lhij,blhj->blhi", self._factors, captured.heads) / norm[:, None, None, None]
        return captured.embedding / norm[:, None], norm, y

    def by_token(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Embed images, with head vectors split into what each token gives.

        Returns
        -------
        embedding, norm, tokens
            As a call gives, but the vectors are ``[batch, layer, H, tokens, k]``: their sum over tokens is y.
        """
        captured = self.adapter.capture_tokens(images, self.layers)
        self._factors = self._factors.to(captured.tokens.device)
        norm = captured.embedding.norm(dim=-1)
        y = torch.einsum("lhij,blhtj->blhti", self._factors, captured.tokens) / norm[:, None, None, None, None]
        return captured.embedding / norm[:, None], norm, y

    def contributions(self, norm: torch.Tensor, heads: torch.Tensor) -> torch.Tensor:
        """Sum the kept heads' contributions in the joint space, ``sum ||embedding|| Q y``: float32 ``[batch, D]``."""
        bases = np.stack([[self.bases[layer, head] for head in range(self.adapter.heads)] for layer in self.layers])
        q = torch.from_numpy(bases).to(heads.device, torch.float32)
        return torch.einsum("lhdk,blhk->bd", q, heads) * norm[:, None]


def reconstruction_error(adapter: Adapter, images: torch.Tensor, reference: torch.Tensor) -> float:
    """Add up all components of the embedding and compare with the model's own.

    Heads of every layer go through head space as they are stored; MLPs, biases and the stem come from their own
    modules, never as the remainder.

    Parameters
    ----------
    adapter
        The image tower.
    images
        Preprocessed images ``[batch, 3, S, S]``.
    reference
        ``model.encode_image(images)``, ``[batch, D]``.

    Returns
    -------
    float
        The largest L2 error over the batch, relative to the embedding's norm; NaN or infinite where a component is.
    """
    everything = Decomposer(adapter, range(adapter.layers))
    _, norm, heads = everything(images)
    total = everything.contributions(norm, heads) + adapter.rest(images)
    reference = reference.float()
    return float(((total - reference).norm(dim=-1) / reference.norm(dim=-1)).max())


def prove(adapter: Adapter, images: torch.Tensor, reference: torch.Tensor, precision: str, model_id: str) -> float:
    """Return `reconstruction_error`, or refuse a model whose components don't add up.

    Raises
    ------
    ClipdbError
        If the error is over the bound of the precision (1e-4 in fp32, 2e-2 in bf16 and fp16) or not finite.
    """
    error = reconstruction_error(adapter, images, reference)
    if not error <= TOLERANCE[precision]:
        raise ClipdbError(
            f"{model_id} is refused: the components differ from encode_image by {error:.1e} of its norm "
            f"(bound {TOLERANCE[precision]:.0e} in {precision}): check the weights and the architecture's name, "
            f"or try --precision fp32; nothing was written"
        )
    return error
