"""How hard tests try what kills and draws at random: a little in the suite, and to the end in `make stress`."""

from __future__ import annotations

import os

STRESS = os.environ.get("CLIPDB_STRESS") == "1"


def tries(few: int, many: int) -> int:
    """Choose how often something is tried: few times in the suite, many times in `make stress`."""
    return many if STRESS else few
