"""What a node has installed. This is sent as it stands to nodes that may lack clipdb, and imports nothing of it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("clipdb", "pylance")


def installed() -> dict[str, str | None]:
    """Return the versions of the packages that every node needs alike; None of one that isn't there."""
    found: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
