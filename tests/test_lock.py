"""requirements/dev.txt locks what a development environment needs, by version and hash."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
BY_VERSION_ONLY = {"torch", "torchvision", "triton"}


def locked() -> dict[str, str]:
    """Return versions by name, of the packages that this system and Python need."""
    found = {}
    for block in re.split(r"^(?=[a-z])", LOCK, flags=re.MULTILINE)[1:]:
        requirement = Requirement(block.splitlines()[0].rstrip("\\ "))
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), requirement.name
        if requirement.marker is None or requirement.marker.evaluate():
            [pin] = requirement.specifier
            assert pin.operator == "=="
            found[canonicalize_name(requirement.name)] = pin.version
    return found


def test_every_requirement_is_locked_within_its_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    pins = locked()
    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        if name != "clipdb" and name not in BY_VERSION_ONLY:
            assert requirement.specifier.contains(pins[name]), f"{requirement}: run `make lock`"


def test_the_lock_names_no_index_and_no_build_of_torch() -> None:
    assert "://" not in LOCK and not BY_VERSION_ONLY & set(locked())
