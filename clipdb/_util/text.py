"""Text that others wrote, made safe to print."""

from __future__ import annotations

import re

# What steers a terminal or reorders what it shows: control characters (C0 but tab and line feed, DEL, C1), line and
# paragraph separators, and the marks of bidirectional text.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
# One slash is what a path leaves of a URL's two. It begins at the colon, or long words would take the square of their
# length.
_LOGIN = re.compile(r"(?<=[A-Za-z0-9+.-]{2}:)(/+)[^/\s?#\"']*@")


def printable(text: str) -> str:
    """Make one line of a text, without what would steer a terminal."""
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(letter for letter in line if letter.isprintable())


def escaped(text: str) -> str:
    r"""Write what would steer a terminal as ``\uXXXX``, as JSON may; tabs and line feeds stay."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def without_login(text: str) -> str:
    """Leave the user and password out of every URL in a text."""
    return _LOGIN.sub(r"\1", text)


def plain(text: str) -> str:
    """Make one line of a text, with what would steer a terminal escaped."""
    return escaped(" ".join(text.splitlines()))


def quoted(value: object, most: int = 200) -> str:
    """Quote a value on one line of a message, cut where it is longer than a person reads."""
    text = str(value)
    written = repr(text[: most + 1])
    return written if len(written) <= most else f"{written[: most - 4]}...{written[0]}"


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, to go on after; its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(":.")


def counted(number: int, noun: str, plural: str = "") -> str:
    """Write a number with its noun: ``1 head``, ``2 heads``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
