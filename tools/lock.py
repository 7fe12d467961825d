"""Write requirements/dev.txt: every package of a development environment, by version and hash.

Run `make lock` to bring it up to date. The file names no index, and has markers for every system and version of Python
that clipdb supports. torch and what it brings are left out: a machine may have a build of its own, for its driver or
without CUDA, so `make` installs them by version only.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements" / "dev.txt"
BUILDS = re.compile(r"(torch|torchvision|triton|nvidia-|cuda-)")
_HEADER = "# Written by `make lock`. Change pyproject.toml, not this file.\n"


def main() -> None:
    """Resolve the extra `dev` with uv and write the file."""
    options = [
        "--extra",
        "dev",
        "--universal",
        "--generate-hashes",
        "--no-emit-index-url",
        "--no-header",
        "--no-annotate",
    ]
    found = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--quiet", *options],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    packages = re.split(r"^(?=\S)", found, flags=re.MULTILINE)
    LOCK.parent.mkdir(exist_ok=True)
    LOCK.write_text(_HEADER + "".join(one for one in packages if not BUILDS.match(one)), encoding="utf-8")


if __name__ == "__main__":
    main()
