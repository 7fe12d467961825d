"""The properties that a model may choose from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from clipdb._util.text import printable
from clipdb.errors import ClipdbError, kind_of
from clipdb.ingest.names.head_file import NOT_IN_A_NAME
from clipdb.ingest.names.llm.naming_prompt import NONE
from clipdb.ingest.store.writer import Reader

MOST = 500
"""Servers bound the size of an enumeration in a schema; OpenAI's bound is 1,000 values of 15,000 characters in all."""
MOST_CHARACTERS = 80


def pool_vocabulary(reader: Reader, pool: str) -> tuple[str, ...]:
    """List the properties that a pool's descriptions are tagged with, in order.

    Raises
    ------
    ClipdbError
        If it has none, or too many.
    """
    names = _different(
        name
        for (name,) in reader.read("select distinct trim(property) from pool_texts where pool = ? order by 1", pool)
    )
    if not names:
        raise ClipdbError(
            f"the pool {pool!r} names no properties to choose from: "
            "add --vocabulary FILE with one property per line, or --open for the model's own words",
            kind="absent",
        )
    return _checked(names, f"the pool {pool!r}")


def read_vocabulary(path: Path) -> tuple[str, ...]:
    """Read a file with one property per line; empty lines and repeated properties don't count.

    Raises
    ------
    ClipdbError
        If it can't be read, has no property or too many, or one that is too long.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ClipdbError(f"cannot read {path}: {error.strerror}", kind=kind_of(error)) from error
    except UnicodeDecodeError as error:
        raise ClipdbError(f"{path} is not UTF-8 text: write it in UTF-8, one property per line") from error
    names = _different(lines)
    if not names:
        raise ClipdbError(f"{path} has no property: write one per line")
    return _checked(names, str(path))


def _different(names: Iterable[str | None]) -> tuple[str, ...]:
    """Take each property once, as it is written first; not empty ones, nor "none of these", which is always offered."""
    found: dict[str, str] = {}
    for name in (printable(name or "") for name in names):
        found.setdefault(name.casefold().rstrip(NOT_IN_A_NAME), name)
    return tuple(name for key, name in found.items() if key not in ("", NONE))


def _checked(names: tuple[str, ...], where: str) -> tuple[str, ...]:
    if len(names) > MOST:
        raise ClipdbError(f"{where} has {len(names):,} properties, more than the {MOST} that a model may choose from")
    long = next((name for name in names if len(name) > MOST_CHARACTERS), None)
    if long is not None:
        raise ClipdbError(f"{where} has a property of more than {MOST_CHARACTERS} characters: {long[:40]!r}...")
    return names
