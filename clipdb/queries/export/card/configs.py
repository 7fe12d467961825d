"""The tables of an export as `load_dataset` and the Hub's viewer call them, and the front matter that says so."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from clipdb.schema.artefact import Kind, Manifest
from clipdb.schema.names import model_slug

_SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
)
# What the Hub takes for the name of a licence: cc-by-4.0. What is put in other words is another licence to it.
_LICENCE = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*")


@dataclass(frozen=True)
class Config:
    """A table of an export.

    Attributes
    ----------
    name
        Of the relation; of the model and kind, for vectors.
    kind
        What its files hold.
    paths
        Its file, or a pattern that its files match.
    rows, schema
        What is in them.
    """

    name: str
    kind: Kind
    paths: str
    rows: int
    schema: pa.Schema


def configs_of(manifest: Manifest, root: Path) -> list[Config]:
    """List the tables of an export, in the order of the manifest."""
    configs = []
    for file in manifest.files:
        schema = pq.read_schema(root / file.path)
        if file.kind == "relation":
            configs.append(Config(file.name, file.kind, file.path, file.rows, schema))
        elif file.path.endswith("/00000.parquet"):
            name = f"{model_slug(file.name)}.{file.kind}" if file.name else file.kind
            rows = sum(one.rows for one in manifest.of(file.kind, file.name))
            configs.append(Config(name, file.kind, file.path.replace("00000", "*"), rows, schema))
    return configs


def first_shown(configs: Sequence[Config]) -> Config:
    """Choose the table that the viewer shows first: spans, which say most to a person, where there are some."""
    return next((config for config in configs if config.name == "spans" and config.rows), configs[0])


def front_matter(manifest: Manifest, configs: Sequence[Config], title: str) -> str:
    """Write the YAML at the top of a card; texts in it are in JSON, which is YAML too."""
    most = max(config.rows for config in configs)
    size = next((name for rows, name in _SIZES if most < rows), "100M<n<1B")
    lines = ["---", f"pretty_name: {json.dumps(title)}"]
    if licence := manifest.licence.strip().lower():
        lines.append(f"license: {json.dumps(licence if _LICENCE.fullmatch(licence) else 'other')}")
    lines += ["tags:", "- clip", "- interpretability", "- attention-heads", "- clipdb"]
    lines += ["size_categories:", f"- {size}", "configs:"]
    for config in (config for config in configs if config.rows):  # `load_dataset` refuses a table without rows
        lines.append(f"- config_name: {json.dumps(config.name)}")
        if config == first_shown(configs):
            lines.append("  default: true")
        lines += ["  data_files:", "  - split: train", f"    path: {json.dumps(config.paths)}"]
    return "\n".join([*lines, "---", ""])
