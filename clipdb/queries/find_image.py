"""Images as people name them: a file's name, a uri as it is printed, the beginning of an id."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clipdb.errors import ClipdbError

LISTED = 6
"""How many candidates an ambiguous name lists."""

FIND = f"""
select image_id, uri from images
where starts_with(image_id, lower($1)) or uri = $1 or ends_with(uri, '/' || $1) or ends_with(uri, '#' || $1)
order by image_id = lower($1) or uri is not distinct from $1 desc, image_id limit {LISTED + 1}
"""
"""SQL of the images that ``$1`` may mean, those that it names exactly first: ``image_id, uri``."""

_ID_SHOWN = 12


def written(wanted: str) -> str:
    """Return what a person wrote as `FIND` takes it."""
    return wanted.strip().removeprefix("./")


def one_image(wanted: str, found: Sequence[tuple[str, str | None]], files: bool, place: str = "in this index") -> str:
    """Choose the image that was meant.

    Parameters
    ----------
    wanted
        What was written.
    found
        What `FIND` found: image_id and uri of each candidate.
    files
        Whether it may be a file, for the message.
    place
        Where they were looked for, for the message.

    Returns
    -------
    str
        Its image_id.

    Raises
    ------
    ClipdbError
        If there is none, or several: the message lists them.
    """
    name = written(wanted)
    exact = [image_id for image_id, uri in found if name.lower() == image_id or name == uri]
    if len(exact) == 1 or len(found) == 1:
        return exact[0] if exact else found[0][0]
    if not found:
        raise ClipdbError(
            f"no image {wanted!r} {place}: give {'a file, ' * files}its name or uri in the index, or the beginning of "
            'its image_id (`clipdb query "select image_id, uri from images"`)',
            kind="absent",
        )
    shown = max(_ID_SHOWN, len(name) + 4) if found[0][0].startswith(name.lower()) else _ID_SHOWN
    listed = ", ".join(f"{image_id[:shown]} {uri or ''}".strip() for image_id, uri in found[:LISTED])
    more = ", ..." if len(found) > LISTED else ""
    raise ClipdbError(f"{wanted!r} may be several images {place}: {listed}{more}: write more of the uri or the id")


def is_file(path: str) -> bool:
    """Return whether text is a file's path; whatever can't be a path is none."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # too long for a name, or with a null byte
        return False
