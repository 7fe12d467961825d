"""How heads, models, texts and places are named: to people, in Lance columns and in file names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from clipdb._util.text import quoted
from clipdb.errors import ClipdbError

_HEAD = re.compile(r"(?:p|l(\d+))\.?h(\d+)", re.IGNORECASE)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_WORD = "[A-Za-z0-9_.-]+"
_MODEL = f"{_WORD}/{_WORD}"
_ON_HUB = f"hf(-hub)?:{_WORD}/{_WORD}(@{_WORD})?"

Head = tuple[int, int]
"""Layer and head, both counted from 0; the heads of an attention pooling are of the layer `POOL`."""

POOL = -1
"""The layer of the heads that an attention pooling has: no layer of the trunk, so it sorts before them all."""

MLP, REST = -1, -2
"""What stands in the place of a head for a part of the embedding that is none: a layer's MLP, and what is left beside
heads and MLPs, which is the stem and all constants."""

TRUNK = -2
"""The layer of what is left in the partition of the trunk, which is of no single layer."""

Partition = Literal["trunk", "pool"]
"""Which heads, with a rest, add up to the embedding: those of the trunk's layers or those of the pooling."""

# The same of a row's ``layer`` and ``head`` in SQL.
HEAD_NAME = "concat(if(layer < 0, 'P', concat('L', layer)), '.H', head)"
PARTITION = "if(layer < 0, 'pool', 'trunk')"
# The same of a part that is no head: what it is called, and which partitions it is of.
COMPONENT_NAME = (
    "concat(case layer when -2 then '' when -1 then 'P.' else concat('L', layer, '.') end, "
    "if(head = -1, 'MLP', 'REST'))"
)
COMPONENT_PARTITION = "case when layer <> -1 then 'trunk' when head = -1 then 'both' else 'pool' end"
# What has vectors: heads and other components, as one relation.
PARTS = "(from heads union all by name from components)"
# Whether a model m has no such head.
STRAY = "({head}.layer >= m.layers or {head}.head >= if({head}.layer < 0, coalesce(m.pool_heads, 0), m.heads))"

# Whether a column holds a model's name that `model_slug` takes.
MODEL_NAME = (
    f"case when regexp_full_match({{column}}, '{_MODEL}') then not contains({{column}}, '__') "
    f"else regexp_full_match({{column}}, '{_ON_HUB}') and not regexp_matches({{column}}, '--|\\.\\.') end "
)

MANIFEST = "manifest.json"
VECTORS = "vectors"
"""The file that makes a directory an artefact."""

MOST_NAME = 200
"""Characters that the name of a model, a reviewer or a pool may have."""
MOST_PROPERTY = 1000
"""Characters that a property may have."""


def head_name(layer: int, head: int) -> str:
    """Spell a head as people see it: ``L11.H3``, both counted from 0; ``P.H3`` if it is the pooling's.

    What is no head is ``L11.MLP`` or ``P.MLP``, and ``REST`` or ``P.REST``.
    """
    where = {POOL: "P.", TRUNK: ""}.get(layer, f"L{layer}.")
    return where + {MLP: "MLP", REST: "REST"}.get(head, f"H{head}")


def layer_name(layer: int) -> str:
    """Spell a layer as people choose it: a number, or ``pool``."""
    return "pool" if layer == POOL else str(layer)


def partition_of(layer: int) -> Partition:
    """Return the partition of the embedding that heads of a layer belong to."""
    return "pool" if layer == POOL else "trunk"


def belongs_to(part: Head, partition: Partition) -> bool:
    """Return whether a head, or a part that is no head, is one of those that add up in a partition.

    The pooling's MLP is in both: it follows the pooling, whichever way its input is split.
    """
    if part[0] != POOL:
        return partition == "trunk"
    return partition == "pool" or part[1] == MLP


def head_column(layer: int, head: int) -> str:
    """Name a head's vector column in Lance: ``l11h3``, ``ph3``; ``l11mlp`` or ``rest`` of what is no head."""
    return head_name(layer, head).replace(".", "").lower()


def parse_head(name: str) -> tuple[int, int]:
    """Read ``L11.H3`` (or ``l11h3``) as ``(layer, head)``, and ``P.H3`` as a head of the layer `POOL`.

    Raises
    ------
    ClipdbError
        If the text is not a head's name.
    """
    match = _HEAD.fullmatch(name.strip())
    if match is None:
        raise ClipdbError(f"{name!r} is not a head: write it as L11.H3 (layer 11, head 3, counted from 0)")
    return POOL if match[1] is None else int(match[1]), int(match[2])


def model_slug(model_id: str) -> str:
    """Turn a model's name into the stem of its Lance tables.

    ``ARCH/PRETRAINED`` gives ``ARCH__PRETRAINED``, and ``hf:ORG/NAME@REVISION`` gives ``hf--ORG--NAME--REVISION``. The
    Hub allows a double underscore in its names, and no double hyphen or dot; so ``_.._`` stands for it, and no two
    names share a stem.

    Raises
    ------
    ClipdbError
        If the name has characters that a file name can't hold, what separates its parts in the stem, or is too long.
    """
    if len(model_id) <= MOST_NAME:
        if re.fullmatch(_MODEL, model_id) and "__" not in model_id:
            return model_id.replace("/", "__")
        if re.fullmatch(_ON_HUB, model_id) and not re.search(r"--|\.\.", model_id):
            return re.sub("_(?=_)", "_..", re.sub("[:/@]", "--", model_id))
    raise ClipdbError(
        f"{quoted(model_id)} is not a model name: "
        "write ARCH/PRETRAINED with letters, digits, '-', '.' and single '_', or hf:ORG/NAME"
    )


def vectors_file(model_id: str, kind: str) -> str:
    """Name a model's Lance table of images or texts: ``ARCH__PRETRAINED.images.lance``."""
    return f"{model_slug(model_id)}.{kind}.lance"


def is_name(text: str, most: int = MOST_NAME) -> bool:
    """Return whether a text can name something: one line of letters that print, and not too many of them."""
    return bool(text.strip()) and text.isprintable() and len(text) <= most


def is_url(place: str | Path) -> bool:
    """Distinguish a URL from a path; one that went through `Path` has lost a slash, and is none."""
    return isinstance(place, str) and _URL.match(place) is not None


def text_id(text: str) -> str:
    """Return a text's id: the lower-case hexadecimal SHA-256 of its UTF-8."""
    from hashlib import sha256  # loads OpenSSL, which few questions need

    return sha256(text.encode()).hexdigest()
