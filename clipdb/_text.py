"""Texts that others wrote, as one line that is safe to print."""

from __future__ import annotations


def printable(text: str) -> str:
    """Make one line of a text, without what would steer a terminal."""
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(letter for letter in line if letter.isprintable())


def first_line(error: BaseException) -> str:
    """Give the first line of what an error says, to go on after; its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(":.")


def counted(number: int, noun: str, plural: str = "") -> str:
    """Write a number with its noun: ``1 head``, ``2 heads``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
