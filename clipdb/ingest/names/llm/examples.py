"""Examples of well-named heads that go into the prompt."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Len
from pydantic import ConfigDict, TypeAdapter, ValidationError

from clipdb.errors import ClipdbError, kind_of

SHIPPED = Path(__file__).with_name("examples.json")

_Line = Annotated[str, Len(1, 500)]


@dataclass(frozen=True)
class Example:
    """Descriptions of a head, what it is to be called, and why."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    descriptions: Annotated[tuple[_Line, ...], Len(1, 50)]
    property: _Line
    rationale: _Line


@dataclass(frozen=True)
class Examples:
    """What a file says, and its identity."""

    entries: tuple[Example, ...]

    @property
    def sha256(self) -> str | None:
        """Hex SHA-256 of what the examples say; None where there are none."""
        return hashlib.sha256(_FORM.dump_json(self.entries)).hexdigest() if self.entries else None

    def data(self) -> list[dict[str, object]]:
        """Return them as JSON can hold them."""
        return [asdict(entry) for entry in self.entries]


_FORM = TypeAdapter(Annotated[tuple[Example, ...], Len(0, 50)])


def read_examples(path: Path = SHIPPED) -> Examples:
    """Read a JSON file: a list of objects with descriptions (a list), property and rationale; it may be empty.

    Raises
    ------
    ClipdbError
        If it can't be read, or is not of this form: the message says where.
    """
    try:
        return Examples(_FORM.validate_json(path.read_bytes()))
    except OSError as error:
        raise ClipdbError(f"cannot read {path}: {error.strerror}", kind=kind_of(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part + 1 if isinstance(part, int) else part) for part in first["loc"])
        raise ClipdbError(
            f"{path} is no list of examples ({f'entry {where}: ' if where else ''}{first['msg']}): write "
            '[{"descriptions": ["...", "..."], "property": "...", "rationale": "..."}, ...]'
        ) from error
