"""The format of an artefact: an index, or a part of it, as Parquet files that any tool reads.

    DIR/README.md                          the dataset card
    DIR/manifest.json                      what is here, with the SHA-256 of every file
    DIR/relations/TABLE.parquet            a relation, rows by primary key
    DIR/vectors/SLUG.images/00000.parquet  a model's vectors of images, in shards; SLUG.texts of texts
    DIR/thumbnails/00000.parquet           small pictures, where they were asked for

Nothing in it is executed, and every file has the one place that its kind and name give it. The columns of the files
are in `clipdb.artefact.parquet_columns`, and what is believed of a manifest in `clipdb.artefact.manifest`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from clipdb.schema.names import model_slug

FORMAT = "clipdb"
FORMAT_VERSION = 1
CARD = "README.md"
SHARD_ROWS = 8_192
GROUP_ROWS = 8_192

# What travels. Batches and schema versions are the index's own book-keeping, pairs of heads are computed from vectors.
RELATIONS = (
    "models",
    "heads",
    "components",
    "aligners",
    "images",
    "image_failures",
    "pairs",
    "texts",
    "pools",
    "pool_texts",
    "spans",
    "directions",
    "labels",
    "label_scores",
    "judgements",
    "effects",
    "runs",
)
# What each schema version added to relations that travel: exports of earlier versions lack it.
_NEW_RELATIONS = {"label_scores": 2, "components": 5, "aligners": 5, "pairs": 6, "effects": 7, "directions": 8}
_NEW_COLUMNS = {
    "models": {"config": 2, "tensors_sha256": 2, "base": 3, "pool_heads": 4, "logit_bias": 4, "storage_error": 6},
    "heads": {"partition": 4, "size": 4, "tail": 6, "written": 6},
    "spans": {"stability": 9},
}
# SQL of what such a column is in an export that lacks it, where it isn't null.
_DERIVED = {
    ("heads", "partition"): "'trunk'",
    (
        "heads",
        "size",
    ): "len(basis) // (select any_value(embed_dim) from {models} m where m.model_id = {heads}.model_id)",
}
# What the vectors cannot be read without.
WITH_VECTORS = ("models", "heads", "components", "aligners", "texts")
# What says where the images came from and nothing else.
OF_SOURCES = ("image_failures",)
# SQL of a run's arguments as a reader takes them: nothing is loaded from where a stranger says that weights are. An
# export names no such file, so what does is not believed at all. (json_merge_patch would crash on JSON nested deeply.)
RUN_ARGUMENTS = "case when (arguments->>'$.checkpoint') is null then arguments end"

What = Literal["relations", "vectors", "all"]
VectorKind = Literal["images", "texts"]
Kind = Literal["relation", "images", "texts", "thumbnails", "card"]
KINDS: tuple[Kind, ...] = get_args(Kind)
WHATS: tuple[What, ...] = get_args(What)


def relations_of(schema_version: int) -> list[str]:
    """List the relations that exports of a schema version have."""
    return [table for table in RELATIONS if _NEW_RELATIONS.get(table, 1) <= schema_version]


def columns_since(table: str, schema_version: int) -> list[str]:
    """List the columns of a relation that exports of a schema version lack."""
    return [column for column, since in _NEW_COLUMNS.get(table, {}).items() if since > schema_version]


def derived(table: str, column: str, prefix: str = "") -> str:
    """Return SQL of what a column is that an export lacks, of relations whose names have a prefix."""
    return _DERIVED.get((table, column), "null").format(models=f"{prefix}models", heads=f"{prefix}heads")


def relation_path(table: str) -> str:
    """Name the file of a relation."""
    return f"relations/{table}.parquet"


def vectors_path(model_id: str, kind: VectorKind, shard: int) -> str:
    """Name a file of a model's vectors."""
    return f"vectors/{model_slug(model_id)}.{kind}/{shard:05d}.parquet"


def thumbnails_path(shard: int) -> str:
    """Name a file of small pictures."""
    return f"thumbnails/{shard:05d}.parquet"


@dataclass(frozen=True)
class File:
    """A file of an artefact.

    Attributes
    ----------
    path
        Relative to the artefact, with forward slashes.
    kind
        What it holds.
    name
        The relation, or the model whose vectors these are; empty for the card and thumbnails.
    rows, bytes
        Its length; the card has no rows.
    sha256
        Hex SHA-256 of its bytes.
    """

    path: str
    kind: Kind
    name: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class ModelEntry:
    """A model of an artefact.

    Attributes
    ----------
    model_id
        ``ARCH/PRETRAINED``.
    weights_sha256
        Hex SHA-256 of the weights, where the index knows it.
    preprocess
        Resizing and normalisation of the input image, where the index knows them.
    layers
        Those whose heads are here, in order.
    images, texts
        How many rows of vectors of each kind are here.
    images_run
        Run that added the last of the model's images; spans of an older one are out of date.
    """

    model_id: str
    weights_sha256: str | None
    preprocess: dict[str, Any] | None
    layers: tuple[int, ...]
    images: int
    texts: int
    images_run: str | None


@dataclass(frozen=True)
class Manifest:
    """What an artefact says of itself.

    Attributes
    ----------
    clipdb_version, schema_version
        Of the clipdb and the index that it was written with.
    what
        relations, vectors or all.
    models
        By model_id.
    files
        Every file but the manifest, by path; the shards of one table are in order.
    licence, citation
        As the person who exported gave them; empty where they did not.
    """

    clipdb_version: str
    schema_version: int
    what: What
    models: tuple[ModelEntry, ...]
    files: tuple[File, ...]
    licence: str = ""
    citation: str = ""

    def to_json(self) -> str:
        """Write it, the same bytes for the same content."""
        content = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(self)}
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    def of(self, kind: Kind, name: str = "") -> list[File]:
        """List the files of a kind, of one relation or model where a name is given."""
        return [file for file in self.files if file.kind == kind and name in ("", file.name)]
