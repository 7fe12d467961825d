"""Damage files: bytes that are changed, lost, doubled or put in."""

from __future__ import annotations

import random


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Damage some of the bytes, one or more."""
    changed, at = bytearray(data), rng.randrange(len(data))
    match rng.randrange(8):
        case 0:
            changed[at] ^= 1 << rng.randrange(8)
        case 1:
            for _ in range(rng.randrange(2, 60)):
                changed[rng.randrange(len(data))] = rng.randrange(256)
        case 2:
            del changed[at:]
        case 3:
            changed[at : at + 600] = bytes(len(changed[at : at + 600]))
        case 4:
            changed[at : at + 8] = b"\xff" * len(changed[at : at + 8])
        case 5:
            changed[at:at] = rng.randbytes(rng.randrange(1, 300))
        case 6:
            del changed[at : at + rng.randrange(1, 300)]
        case _:
            changed[at:at] = changed[at : at + rng.randrange(1, 3000)]
    return bytes(changed)
