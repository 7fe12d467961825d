"""Libraries that come between a process and its file system: what LD_PRELOAD names."""

from __future__ import annotations

import subprocess
from pathlib import Path


def compiled(name: str, folder: Path) -> Path:
    """Build the library of a C file that lies here."""
    built, source = folder / f"{name}.so", Path(__file__).with_name(f"{name}.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(built), str(source), "-ldl"], check=True, capture_output=True)
    return built
