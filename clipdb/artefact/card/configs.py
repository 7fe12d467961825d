"""The tables of an export as `load_dataset` and the Hub's viewer call them, and the front matter that says so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from clipdb.artefact.format import Kind, Manifest
from clipdb.schema.names import model_slug

_SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
)
# What the Hub takes for the name of a licence. What is put in other words is another licence to it.
_LICENCES = """
afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bigcode-openrail-m bigscience-bloom-rail-1.0 bigscience-openrail-m bsd
bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0
cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0
cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0 creativeml-openrail-m
ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 gfdl gpl gpl-2.0 gpl-3.0 isc lgpl lgpl-2.1 lgpl-3.0 lgpl-lr lppl-1.3c mit
mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 openrail openrail++ osl-3.0 pddl postgresql unknown unlicense wtfpl zlib
"""


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
    full = [config for config in configs if config.rows]
    return next((config for config in full if config.name == "spans"), full[0])


def front_matter(manifest: Manifest, configs: Sequence[Config], title: str) -> str:
    """Write the YAML at the top of a card; texts in it are in JSON, which is YAML too."""
    most = max(config.rows for config in configs)
    size = next((name for rows, name in _SIZES if most < rows), "100M<n<1B")
    lines = ["---", f"pretty_name: {json.dumps(title)}"]
    if licence := manifest.licence.strip().lower():
        lines.append(f"license: {json.dumps(licence if licence in _LICENCES.split() else 'other')}")
    lines += ["tags:", "- clip", "- interpretability", "- attention-heads", "- clipdb"]
    lines += ["size_categories:", f"- {size}", "configs:"]
    for config in (config for config in configs if config.rows):  # `load_dataset` refuses a table without rows
        lines.append(f"- config_name: {json.dumps(config.name)}")
        if config == first_shown(configs):
            lines.append("  default: true")
        lines += ["  data_files:", "  - split: train", f"    path: {json.dumps(config.paths)}"]
    return "\n".join([*lines, "---", ""])
