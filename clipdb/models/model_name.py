"""Check a model's name without importing open_clip, which takes seconds."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from clipdb import demo
from clipdb.errors import ClipdbError, MissingExtra, require_found
from clipdb.schema.names import model_slug

LOCAL_DIR = "local-dir:"
"""How open_clip names a folder that holds a model, ``open_clip_config.json`` or transformers' ``config.json``."""

HUGGING_FACE = "hf:"
"""Before the name of a repository on the Hub whose model is transformers'."""

OPEN_CLIP_HUB = "hf-hub:"
"""How open_clip names a repository on the Hub that holds ``open_clip_config.json`` and weights."""


def check_name(model_id: str) -> None:
    """Check that a name is ``ARCH/PRETRAINED`` of an architecture that open_clip knows, or one on the Hub.

    Raises
    ------
    ClipdbError
        Naming the nearest architectures where there is none of that name.
    MissingExtra
        If the model needs transformers, which isn't installed.
    """
    model_slug(model_id)
    if model_id.startswith((HUGGING_FACE, OPEN_CLIP_HUB)):
        if model_id.startswith(HUGGING_FACE):
            require_found("transformers", "hf")
        return
    refuse_unknown(model_id.split("/")[0], [*architectures(), demo.MODEL_ID.split("/")[0]])


def refuse_unknown(arch: str, known: Iterable[str]) -> None:
    """Refuse an architecture that is not among the known ones.

    Raises
    ------
    ClipdbError
        Naming the nearest.
    """
    names = list(known)
    if arch not in names:
        raise ClipdbError(
            f"open_clip has no architecture {arch!r}{nearest(arch, names)}: see `clipdb models`", kind="absent"
        )


def architectures() -> list[str]:
    """List the architectures that open_clip ships with.

    Raises
    ------
    MissingExtra
        If open_clip is not installed.
    """
    found = find_spec("open_clip")
    if found is None or found.origin is None:
        raise MissingExtra("open_clip", "ingest")
    files = Path(found.origin).with_name("model_configs").glob("*.json")
    needed = {"embed_dim", "vision_cfg", "text_cfg"}  # by which open_clip tells a model's file from others
    return sorted(file.stem for file in files if needed <= json.loads(file.read_text(encoding="utf-8")).keys())


def on_hub(model_id: str) -> tuple[str, str | None]:
    """Split ``hf:ORG/NAME@REVISION`` into the repository and the revision, if one is named."""
    repository, _, revision = model_id.partition(":")[2].partition("@")
    return repository, revision or None


def nearest(name: str, names: list[str]) -> str:
    """Write the names most like one, as `` (did you mean A, B?)``, or nothing."""
    by_lower = {known.lower(): known for known in names}
    near = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)
    return f" (did you mean {', '.join(by_lower[n] for n in near)}?)" if near else ""
