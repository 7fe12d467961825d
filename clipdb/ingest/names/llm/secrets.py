"""The key and the server's address: where they come from, and how they are kept out of everything that is written."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from clipdb._util.text import printable
from clipdb.errors import ClipdbError

KEY_VARIABLE = "OPENAI_API_KEY"
HIDDEN = "[hidden]"
NO_KEY = "none"
"""Sent to a server of one's own where there is no key: the SDK wants some."""

# Servers repeat a key in part ("sk-abc***xyz") or with the header that carried it.
_LIKE_A_KEY = re.compile(r"(?i)\bbearer\s+[^\s'\",}]+|\bsk-[\w*.-]{4,}")
_PART, _MUCH = 8, 12


def read_key(variable: str, base_url: str | None) -> str:
    """Read the key from the environment.

    Raises
    ------
    ClipdbError
        If there is none though the server wants one or the variable was named, or it can't be sent in a header.
    """
    key = os.environ.get(variable, "").strip()
    if not key:
        if base_url is None:
            raise ClipdbError(
                f"no key in ${variable}: set it, or name a server of your own with --base-url", kind="absent"
            )
        if variable != KEY_VARIABLE:
            raise ClipdbError(
                f"no key in ${variable}: set it, or leave out --key-env where the server wants none", kind="absent"
            )
        return NO_KEY
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ClipdbError(f"what is in ${variable} is no key: it has spaces, or characters that a header can't carry")
    return key


def shown_url(base_url: str | None) -> str | None:
    """Return a server's address without user and password, as it may be stored, printed and logged.

    Raises
    ------
    ClipdbError
        If it is no address of a server.
    """
    if base_url is None:
        return None
    try:
        parts = urlsplit(base_url)
        whole = parts.hostname and parts.scheme in ("http", "https") and not parts.query and not parts.fragment
        place = f":{parts.port}" if parts.port else ""
    except ValueError:
        whole = place = ""
    if not whole:
        # It is not repeated: what is wrong with it may be a key in it.
        raise ClipdbError(
            "--base-url is no address of a server: write it as http://localhost:11434/v1, without a query"
        )
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    return f"{parts.scheme}://{host}{place}{parts.path}"


def login(base_url: str | None) -> tuple[str, str] | None:
    """Return the user and password in a server's address, where it has them."""
    parts = urlsplit(base_url or "")
    return (unquote(parts.username), unquote(parts.password or "")) if parts.username else None


def secrets_of(key: str, base_url: str | None) -> list[str]:
    """List what must not be shown: the key, the password (or a bare user) of the address, and both as they are sent."""
    secrets = [key] if key != NO_KEY else []
    if pair := login(base_url):
        secrets += [pair[1] or pair[0], b64encode(":".join(pair).encode()).decode()]
    return secrets


def tells(text: str, secrets: Sequence[str]) -> bool:
    """Return whether a text has a secret in it, or much of one; what is as short as a word is none."""
    long = (secret for secret in secrets if len(secret) >= _PART)
    return any(part in text for secret in long for part in _parts(secret, min(_MUCH, len(secret))))


def _parts(secret: str, size: int) -> list[str]:
    return [secret[start : start + size] for start in range(len(secret) - size + 1)]


def one_line(text: str, secrets: Sequence[str], most: int = 300) -> str:
    """Make one line of a message from outside, with secrets, and parts of them, hidden.

    Parameters
    ----------
    most
        Characters after which it is cut, when what is secret is hidden already.
    """
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    text = _LIKE_A_KEY.sub(HIDDEN, text)  # before parts, whose loss would leave the end of a masked key
    for part in (part for secret in secrets for part in _parts(secret, _PART)):
        text = text.replace(part, HIDDEN)
    text = printable(text)
    return text if len(text) <= most else text[: most - 3] + "..."
