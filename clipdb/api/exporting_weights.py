"""`clipdb.export_weights`: a model's weights without some of its heads."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from clipdb.api.opening import open as open_index
from clipdb.errors import ClipdbError, require
from clipdb.schema.names import POOL, Head, head_name

if TYPE_CHECKING:
    from clipdb.artefact.export.weight_files import WrittenWeights
    from clipdb.queries.functions.base.context import Context
    from clipdb.queries.index import Index

MODES = ("zero", "mean")


def export_weights(
    index: str | Path,
    out: str | Path,
    *,
    without: str | Sequence[str],
    model: str | None = None,
    mode: Literal["zero", "mean"] = "zero",
    images: int | None = None,
    target: str | None = None,
    template: str = "a photo of a {}",
    checkpoint: str | Path | None = None,
    device: str = "auto",
    replace: bool = False,
) -> WrittenWeights:
    """Write a model's weights with some heads of its trunk taken out, for open_clip or transformers to load.

    The columns of the attention's output projection that read a head become zero, and with ``mode="mean"`` the mean of
    the head's output over images and tokens goes into the projection's bias. A model with these weights embeds images
    as `clipdb.ablate` runs it, with ``mode="zero"`` or ``mode="mean", mean="global"``.

    Parameters
    ----------
    index
        Directory of the index or of an export, or the export's URL.
    out
        ``FILE.safetensors``, with a card ``FILE.md`` beside it and the recipe as JSON in its metadata under the key
        ``clipdb``; or a folder that open_clip or transformers loads as ``local-dir:FOLDER`` or by its path, with the
        card and ``clipdb_edit.json``.
    without
        The heads: a selector, or several, each of which adds its heads: ``property=location``, ``layer=8-11``,
        ``L11.H3``, ``labeller=zero-shot``.
    model
        Whose weights; not needed if the index has one model.
    mode
        ``zero``: the heads write nothing; ``mean``: their mean.
    images
        Take the mean, and measure, over the first so many images by id; all if None.
    target, template
        What to measure the edit by: ``label`` or a key of the images' metadata, as `clipdb.ablate` takes them. The
        accuracies go into the card. None measures nothing.
    checkpoint, device
        As `clipdb.open` takes them.
    replace
        Whether files that are there may go.

    Raises
    ------
    ClipdbError
        If no heads are selected, or heads of an attention pooling; the weights can't be had, are others than the
        index's, or can't be edited; no image can be read; or something is in the way.

    Examples
    --------
    >>> done = clipdb.export_weights("mine.clipdb", "plain.safetensors", without="L3.H1")
    >>> done.heads, done.changed
    (((3, 1),), ('visual.transformer.resblocks.3.attn.out_proj.weight',))
    """
    selectors = (without,) if isinstance(without, str) else tuple(without)
    if not selectors:
        raise ClipdbError("no heads to take out: choose them with --without property=location or --without L11.H3")
    if mode not in MODES:
        raise ClipdbError(f"mode is {mode!r}: it is one of {', '.join(MODES)}")
    if images is not None and images < 1:
        raise ClipdbError(f"images is {images}: the mean takes at least 1")
    for module in ("torch", "open_clip", "clipdb.models.ablation.weights"):
        require(module, "ingest")
    from clipdb._util.apart import apart
    from clipdb.api.weight_export import WeightExport

    with open_index(index, device=device, checkpoint=checkpoint) as opened:
        context = opened.context
        name = context.model(model)
        heads = trunk_heads(context, name, selectors)
        effect = None if target is None else _effect(opened, name, heads, mode, images, target, template)
        recipe = {
            "clipdb_version": version("clipdb"),
            "model_id": name,
            "without": list(selectors),
            "heads": _named(context, name, heads),
            "mode": mode,
            "effect": effect,
        }
        return apart(lambda: WeightExport(context, name, heads, recipe, images).write(Path(out), replace))


def trunk_heads(context: Context, model: str, selectors: Sequence[str]) -> list[Head]:
    """Select heads of the trunk.

    Raises
    ------
    ClipdbError
        If a selector selects none; what a pooling's heads write isn't read from the stream that its weights write to.
    """
    from clipdb.artefact.export.selectors import select_heads

    stored = context.store.heads(model)
    if stored and all(layer == POOL for layer, _ in stored):
        raise ClipdbError(
            f"{model} has only heads of its attention pooling here, which can't be taken out of weights: ingest the "
            "images with --layers last4, too",
            kind="absent",
        )
    return select_heads(context, model, selectors, "trunk")


def _named(context: Context, model: str, heads: Sequence[Head]) -> list[dict[str, Any]]:
    rows = context.rows("select layer, head, property, labeller from head_properties where model_id = ?", model)
    known = {(layer, head): (str(name), str(labeller)) for layer, head, name, labeller in rows}
    return [
        dict(zip(("head", "property", "labeller"), (head_name(*head), *known.get(head, (None, None))), strict=True))
        for head in heads
    ]


def _effect(
    index: Index,
    model: str,
    heads: Sequence[Head],
    mode: Literal["zero", "mean"],
    images: int | None,
    target: str,
    template: str,
) -> dict[str, Any]:
    from clipdb.api.ablating import COLUMNS, ablate

    names = [head_name(*head) for head in heads]
    found = ablate(
        index, heads=names, mode=mode, mean="global", target=target, template=template, images=images, model=model
    )
    row = dict(zip(COLUMNS, found.rows[0], strict=True))
    kept = ("images", "before", "causal", "causal_low", "causal_high", "control_causal", "control_low", "control_high")
    return {"target": target, **{name: row[name] for name in kept}}
