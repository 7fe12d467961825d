"""How hard tests try that kill, cut the power and draw at random: in the suite a little, in `make stress` to the end."""

from __future__ import annotations

import os

STRESS = os.environ.get("CLIPDB_STRESS") == "1"


def tries(few: int, many: int) -> int:
    """Choose how often something is tried: few times in the suite, many times in `make stress`."""
    return many if STRESS else few
