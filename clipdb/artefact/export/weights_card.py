"""The card of edited weights: what was changed, who chose it, and what it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clipdb.artefact.card.markdown_text import table

_WRITES = {
    "zero": "so that these heads write nothing, for any image and at any token",
    "mean": "and the mean of what these heads wrote, over all tokens of {images:,} images, is added to the bias of "
    "that projection: they write that mean for every image and at every token",
}
_NO_EFFECT = "What the edit does was not measured for this card: `clipdb ablate` measures it.\n"


def weights_card(recipe: Mapping[str, Any], load: str) -> str:
    """Write the card.

    Parameters
    ----------
    recipe
        As `clipdb.api.exporting_weights.export_weights` makes it.
    load
        How these weights are loaded, in Markdown.
    """
    heads = recipe["heads"]
    count = f"{len(heads)} head{'' if len(heads) == 1 else 's'}"
    writes = _WRITES[recipe["mode"]].format(images=recipe["images"] or 0)
    shown = [
        [head[name] if head[name] is not None else "" for name in ("head", "property", "labeller")] for head in heads
    ]
    changed = "".join(f"- `{name}`\n" for name in recipe["changed"])
    return "\n".join(
        [
            f"# {recipe['model_id']} without {count}\n",
            f"These are the weights of `{recipe['model_id']}`, edited by clipdb {recipe['clipdb_version']}. The "
            f"columns of the attention's output projection that read {count} are zero, {writes}. Every other tensor is "
            "as it was, byte for byte. The licence of the original weights applies.\n",
            f"## Heads\n\nChosen by {', '.join(f'`{one}`' for one in recipe['without'])}. Properties and who gave them "
            "are those that the index has now.\n",
            table(("head", "property", "labeller"), shown),
            "## What changed\n",
            changed,
            f"The original weights file has the SHA-256 `{recipe['weights_sha256']}`, and its tensors have "
            f"`{recipe['tensors_sha256']}` as clipdb takes it, in whichever kind of file.\n",
            "## What it does\n",
            _effect(recipe["effect"]),
            f"## Load it\n\n{load}",
        ]
    )


def _effect(effect: Mapping[str, Any] | None) -> str:
    if effect is None:
        return _NO_EFFECT
    rows: list[Sequence[Any]] = [
        ("all heads", f"{effect['before']:.3f}", ""),
        (
            "without these heads",
            f"{effect['causal']:.3f}",
            f"{effect['causal_low']:.3f} to {effect['causal_high']:.3f}",
        ),
    ]
    if effect["control_causal"] is not None:
        between = f"{effect['control_low']:.3f} to {effect['control_high']:.3f}"
        rows.append(("without as many random heads, mean", f"{effect['control_causal']:.3f}", between))
    return (
        f"Zero-shot accuracy for `{effect['target']}` over {effect['images']:,} images of the index, as `clipdb "
        "ablate` measures it by running the model. The interval is Wilson's, of 95 %; of random heads it is the lowest "
        "and the highest.\n\n" + table(("model", "accuracy", "interval"), rows)
    )
