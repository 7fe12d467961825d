"""The dataset card of an export: README.md, as the Hugging Face Hub and people read it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from clipdb.artefact.card.configs import configs_of, front_matter
from clipdb.artefact.card.dictionary import dictionary
from clipdb.artefact.card.markdown_text import table
from clipdb.artefact.card.usage import usage
from clipdb.artefact.format import Manifest, relation_path
from clipdb.schema.names import layer_name

_ABOUT = """# Attention heads of {models}

Every attention head of a CLIP-like model is a row here{tables}{vectors}.
All of it is Parquet, written by clipdb {version}. `manifest.json` has the SHA-256 of every file.
"""

_TABLES = """. The text directions along which its output varies most (spans),
what it is called (labels) and how well its name fits (judgements) are tables"""
_VECTORS = ",\nand what it writes into the embedding of an image is a vector column"


def card(manifest: Manifest, root: Path, scores: str) -> str:
    """Write the card of an export.

    Parameters
    ----------
    manifest
        What there is, but for the card.
    root
        Directory of the export.
    scores
        What `clipdb.artefact.card.metrics.metrics` wrote, if anything.
    """
    configs = configs_of(manifest, root)
    layers = _layers(manifest, root)
    models = ", ".join(layers)
    has_vectors = any(model.images for model in manifest.models)
    citation = "".join(f"    {line}\n" for line in manifest.citation.strip().splitlines())
    parts = [
        front_matter(manifest, configs, f"Attention heads of {models}"),
        _ABOUT.format(
            models=models,
            tables="" if manifest.what == "vectors" else _TABLES,
            vectors=_VECTORS if has_vectors else "",
            version=manifest.clipdb_version,
        ),
        _models(manifest, layers),
        _aligners(root),
        _cut(root),
        scores,
        usage(configs),
        dictionary(configs),
        f"## Licence\n\n{manifest.licence.strip() or 'None was stated.'}\n",
        f"## Citation\n\n{citation}" if citation else "",
    ]
    return "\n".join(part for part in parts if part)


def _layers(manifest: Manifest, root: Path) -> dict[str, list[int]]:
    """Read the layer of each head, by model; models whose heads were only named are not in the manifest."""
    found: dict[str, list[int]] = {model.model_id: [] for model in manifest.models}
    for row in pq.read_table(root / relation_path("heads"), columns=["model_id", "layer"]).to_pylist():
        found.setdefault(row["model_id"], []).append(row["layer"])
    return dict(sorted(found.items()))


def _aligners(root: Path) -> str:
    """Say of each model through what texts reach it, and how well, where it has no text tower."""
    columns = ["model_id", "target", "r2", "images"]
    rows = pq.read_table(root / relation_path("aligners"), columns=columns).to_pylist()
    return "".join(
        f"Spans and names of {row['model_id']} come from texts of {row['target']}, through an aligner fitted over "
        f"{row['images']:,} images: R² {row['r2']:.2f} over those held out (`relations/aligners.parquet`).\n"
        for row in rows
    )


def _cut(root: Path) -> str:
    """Say of each model what its vectors lack, where heads are stored with fewer numbers than they have."""
    heads = pq.read_table(root / relation_path("heads"), columns=["model_id", "tail"]).to_pylist()
    cut = Counter(row["model_id"] for row in heads if row["tail"] is not None)
    lacking = pq.read_table(root / relation_path("models"), columns=["model_id", "storage_error"]).to_pylist()
    return "".join(
        f"Vectors of {cut[row['model_id']]} heads of {row['model_id']} are cut (`--rank-factor`): together they lack "
        f"up to {row['storage_error']:.2g} of an image's embedding, each its `tail` in `relations/heads.parquet`.\n"
        for row in lacking
        if cut[row["model_id"]]
    )


def _models(manifest: Manifest, layers: dict[str, list[int]]) -> str:
    held = {
        model.model_id: (
            f"{model.images:,}",
            f"{model.texts:,}",
            f"`{model.weights_sha256}`" if model.weights_sha256 else "unknown",
        )
        for model in manifest.models
    }
    named = (0, 0, "none: its heads are known by name alone")
    rows = [
        (model, ", ".join(map(layer_name, sorted(set(here)))), len(here), *held.get(model, named))
        for model, here in layers.items()
    ]
    return table(("model", "layers here", "heads here", "images", "texts", "weights, SHA-256"), rows)
