"""Parameters of named queries: their types, and text turned into values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clipdb.errors import ClipdbError
from clipdb.schema.names import head_name, parse_head

TYPES = {
    "text": "TEXT",
    "integer": "INTEGER",
    "number": "NUMBER",
    "boolean": "BOOLEAN",
    "head": "HEAD",
    "image": "IMAGE",
    "model": "MODEL",
    "pool": "POOL",
    "property": "PROPERTY",
    "templates": "FILE|openai",
}
"""Type of a parameter -> how it is written in a usage line. ``choice(a|b)`` is another."""

_LARGEST = 2**63 - 1  # a BIGINT
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Parameter:
    """A ``$name`` of a query: without a value it takes its default, or null where it is optional."""

    name: str
    type: str
    help: str
    required: bool = False
    default: Any = None

    @property
    def option(self) -> str:
        """How the command line spells it: ``--min-agree``."""
        return "--" + self.name.replace("_", "-")

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of a ``choice(...)``, else none."""
        return tuple(self.type[len("choice(") : -1].split("|")) if self.type.startswith("choice(") else ()

    @property
    def metavar(self) -> str:
        """How a usage line writes the value."""
        return "|".join(self.choices) or TYPES[self.type]

    def with_more_help(self, text: str) -> Parameter:
        """Return the same parameter with a further line of help."""
        return replace(self, help=f"{self.help} {text}")


def known_type(kind: str) -> bool:
    """Whether a header may use this type."""
    return kind in TYPES or (kind.startswith("choice(") and len(kind) > len("choice()"))


def convert(parameter: Parameter, value: Any) -> Any:
    """Turn what a person wrote into the value that is bound.

    Raises
    ------
    ClipdbError
        If the value is not of the parameter's type.
    """
    if value is None:
        return None
    kind = parameter.type
    if isinstance(value, Path):
        value = str(value)
    try:
        if kind == "integer":
            return _integer(value)
        if kind == "number":
            return float(value)
    except (TypeError, ValueError):
        raise ClipdbError(f"{parameter.option} takes {_article(kind)}, not {value!r}") from None
    if kind == "boolean":
        if str(value).lower() not in _TRUTH:
            raise ClipdbError(f"{parameter.option} takes true or false, not {value!r}")
        return _TRUTH[str(value).lower()]
    if not isinstance(value, str):
        raise ClipdbError(f"{parameter.option} takes {_article(kind)}, not a value of type {type(value).__name__}")
    if parameter.choices and value not in parameter.choices:
        raise ClipdbError(f"{parameter.option} takes {', '.join(parameter.choices)}, not {value!r}")
    if kind == "head":
        return head_name(*parse_head(value))
    if not value.strip():
        raise ClipdbError(f"{parameter.option} is empty: give it {_article(kind)}")
    return value


def _integer(value: Any) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError
    number = int(value)
    if abs(number) > _LARGEST:
        raise ValueError
    return number


def _article(kind: str) -> str:
    return {"integer": "a whole number", "image": "an image"}.get(kind, f"a {kind.partition('(')[0]}")


def require_utf8(values: Iterable[Any]) -> None:
    """Raise UnicodeEncodeError where DuckDB's own error would not say what is wrong."""
    for value in values:
        if isinstance(value, str):
            value.encode()
