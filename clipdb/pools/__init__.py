"""Pools: the named sets of descriptions that TEXTSPAN picks from.

`shipped` lists the pools that come with clipdb, `load` gives one of them, `read` a person's own file.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from clipdb.errors import ClipdbError
from clipdb.pools.reader import PoolText, Reading, read, read_counted

__all__ = ["PoolText", "Reading", "ShippedPool", "load", "read", "read_counted", "shipped"]

_GENERAL = Path(__file__).parent / "general.csv"


@dataclass(frozen=True)
class ShippedPool:
    """A pool that comes with clipdb: a row for the table ``pools``.

    Attributes
    ----------
    name
        The key that commands take (``pools.pool``).
    title
        What a person reads (``pools.name``).
    source
        Where the descriptions come from.
    licence
        SPDX identifier.
    """

    name: str
    title: str
    source: str
    licence: str = "Apache-2.0"


_SHIPPED = (
    ShippedPool("general", "General descriptions of pictures", "clipdb, written for it (docs/pools.md)"),
    ShippedPool("scenes", "Captions of the demo's scenes", "clipdb, generated with the demo's scenes"),
)


def shipped() -> dict[str, ShippedPool]:
    """Return the pools that come with clipdb, by name."""
    return {pool.name: pool for pool in _SHIPPED}


def load(name: str) -> list[PoolText]:
    """Return the descriptions of a shipped pool, in pool order.

    Parameters
    ----------
    name
        ``general`` (38 properties) or ``scenes`` (what the packaged demo model was trained on).

    Raises
    ------
    ClipdbError
        When no shipped pool has that name.
    """
    if name not in shipped():
        near = get_close_matches(name.lower(), shipped(), n=2, cutoff=0.6)
        meant = f"did you mean {' or '.join(near)}?" if near else f"there are {' and '.join(shipped())}"
        raise ClipdbError(f"clipdb ships no pool {name!r}: {meant}", kind="absent")
    if name == "general":
        return read(_GENERAL)
    # The demo draws pictures: what only wants `general` must not pay for its imports.
    from clipdb.demo.captions import scene_pool

    return [PoolText(text, property_) for text, property_ in scene_pool()]
