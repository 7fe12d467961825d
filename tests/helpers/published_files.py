"""Files of published spans and names of heads, as people write them."""

from __future__ import annotations

import hashlib
from pathlib import Path

HEADS = "model,pretrained,layer,head"
SPANS = f"{HEADS},rank,text\nViT-A,web,3,0,1,a red mug\nViT-A,web,3,0,2,a heron\nViT-A,web,3,1,1,a heron\n"
LABELS = f"{HEADS},property\nViT-A,web,3,0,Colours\nViT-A,web,3,1,colours\n"


def bytes_of(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file."""
    return {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in folder.rglob("*") if one.is_file()}
