"""Templates, and how they write values."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup, escape

from clipdb import __version__

STEPS = 8
"""Of the sequential colours."""


def environment() -> Environment:
    """Make the environment of the explorer's templates; everything in them is escaped."""
    made = Environment(
        loader=PackageLoader("clipdb.explorer"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        step=step, num=num, signed=signed, code=code, file_name=file_name, cell=cell, from_json=json.loads
    )
    made.globals["frozen"] = None  # see `clipdb.explorer.frozen.frozen_site.Frozen`
    made.globals["version"] = __version__
    made.globals["parts"] = made.get_template("parts.html").module
    return made


def step(value: float | None) -> int | str:
    """Return a share from 0 to 1 as one of the steps; ``x`` where there is none. Colours are classes."""
    return "x" if value is None else max(0, min(STEPS - 1, int(value * STEPS)))


def num(value: float | None, digits: int = 3) -> str:
    """Write a number; a dash where there is none."""
    return "\N{EN DASH}" if value is None else f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def signed(value: float, digits: int = 3) -> str:
    """Write a number with its sign."""
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def code(text: str) -> Markup:
    """Mark what stands between backticks as code."""
    parts = re.split(r"`([^`]+)`", text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


def file_name(uri: str | None) -> str:
    """Name an image by its file."""
    return Path(uri).name or uri if uri else "image"


def cell(value: Any) -> str:
    """Write a value of a table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        small = 0 < abs(value) < 0.001
        return (f"{value:.1e}" if small else f"{value:.3f}").replace("-", "\N{MINUS SIGN}")
    if isinstance(value, list | tuple):
        return ", ".join(cell(one) for one in value)
    return str(value)
