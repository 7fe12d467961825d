"""Write out the shipped pool `general`: vocabularies and templates in, one CSV of descriptions out.

    python tools/expand_pool.py            writes clipdb/pools/general.csv
    python tools/expand_pool.py --check    exit 1 when that file is not what the vocabularies give

How a property file (``clipdb/pools/general/PROPERTY.toml``) is read is written down in ``docs/pools.md``.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

POOLS = Path(__file__).resolve().parent.parent / "clipdb" / "pools"
SHORTEST, LONGEST = 3, 10
"""Words in a description: shorter says too little to a text encoder, longer dilutes the property."""

PLACEHOLDER = re.compile(r"(?:\b([Aa]) )?\{(\w+)\}")
# Vowel letters that sound like a consonant, and the other way round: the article follows the sound.
SOUNDS_CONSONANT = re.compile(
    r"(?:uni(?!n)|use|usual|utensil|ukulele|ukiyo|euro|eucal|ewe\b|one\b|once|u-)", re.IGNORECASE
)
SOUNDS_VOWEL = re.compile(r"(?:hour|honest|heir|x-|l-|s-|8|11|18)", re.IGNORECASE)


def article(phrase: str) -> str:
    """Return the indefinite article, ``"a"`` or ``"an"``, that goes before a phrase."""
    if SOUNDS_VOWEL.match(phrase):
        return "an"
    return "an" if phrase[0].lower() in "aeiou" and not SOUNDS_CONSONANT.match(phrase) else "a"


def ranked(choices: Sequence[str], *key: str) -> list[str]:
    """Order choices by a hash of each with a key.

    Highest-random-weight hashing: adding a choice moves only the keys that now prefer it, and adding a word
    moves no other word, so an edit to a vocabulary changes few rows of the pool.
    """
    return sorted(choices, key=lambda choice: hashlib.sha256("\0".join((*key, choice)).encode()).digest())


def fill(template: str, word: str, others: Mapping[str, Sequence[str]]) -> str:
    """Put a word, and one choice from each further vocabulary, into a template.

    ``a {name}`` becomes ``an ...`` where the word asks for it.

    Raises
    ------
    KeyError
        When the template names a vocabulary that the set does not have.
    """

    def value(match: re.Match[str]) -> str:
        before, name = match.groups()
        text = word if name == "word" else ranked(others[name], template, word)[0]
        if before is None:
            return text
        return f"{before}{article(text)[1:]} {text}"

    return PLACEHOLDER.sub(value, template)


def expand_set(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield the descriptions of one ``[[sets]]`` table: each word in its ``uses`` preferred templates."""
    for word in entry["words"]:
        texts = (fill(template, word, entry.get("with", {})) for template in ranked(entry["templates"], word))
        fitting = [text for text in texts if SHORTEST <= len(text.split()) <= LONGEST]
        yield from fitting[: entry.get("uses", 1)]


def expand(folder: Path) -> list[tuple[str, str]]:
    """Expand every property file of a folder.

    Returns
    -------
    list of (text, property)
        By file name, then in the order of the file. Position in the pool is position in this list.

    Raises
    ------
    ValueError
        When two rows are the same text but for case, naming both properties.
    """
    rows: list[tuple[str, str]] = []
    seen: dict[str, str] = {}
    for path in sorted(folder.glob("*.toml")):
        data = tomllib.loads(path.read_text("utf-8"))
        texts = [*data["handwritten"], *(text for entry in data["sets"] for text in expand_set(entry))]
        for text in texts:
            if text.casefold() in seen:
                raise ValueError(f"{path.name}: {text!r} is already in {seen[text.casefold()]!r}")
            seen[text.casefold()] = data["property"]
            rows.append((text, data["property"]))
    return rows


def render(rows: Sequence[tuple[str, str]]) -> bytes:
    """Return the CSV file (UTF-8, ``\\n`` line ends, header ``text,property``) that holds the rows."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("text", "property"))
    writer.writerows(rows)
    return out.getvalue().encode()


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pool, or with ``--check`` only compare; returns the exit status."""
    parser = argparse.ArgumentParser(description="Expand the shipped pool of descriptions.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when general.csv is stale")
    parser.add_argument("--pools", type=Path, default=POOLS, help="folder that holds general/ and general.csv")
    options = parser.parse_args(arguments)
    target: Path = options.pools / "general.csv"
    wanted = render(expand(options.pools / "general"))
    if not options.check:
        target.write_bytes(wanted)
    elif not target.exists() or target.read_bytes() != wanted:
        print(f"{target} is stale: run  python tools/expand_pool.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
