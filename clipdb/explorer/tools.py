"""Named queries as tools of an assistant: what each takes, from its header, and what it gives, pictures included."""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from clipdb._util.json_values import as_json
from clipdb._util.text import first_line
from clipdb.errors import ClipdbError
from clipdb.explorer.answering import MOST_ROWS, check_names, whole_number
from clipdb.explorer.model_client import ModelBusy
from clipdb.explorer.openapi import parameter_schema, remote_help
from clipdb.explorer.site import Site
from clipdb.queries.named.sql_files import NamedQuery, find_query, query_names
from clipdb.schema.names import is_url

ROWS = 100
"""Of an answer, unless more are asked for: an assistant reads all of it."""

PICTURES = 6
MOST_PICTURES = 24
"""Beside the rows of a query whose rows are images."""

MODEL_SECONDS = 120.0
"""How long a question waits for its model."""

_SQL = (
    "One SELECT, in DuckDB's SQL, run apart: 5 seconds, 2 GB, 1,000 rows. `show tables` and `describe heads` say what "
    "there is."
)


@dataclass(frozen=True)
class Tool:
    """A tool as an assistant sees it; ``schema`` is the JSON Schema of its arguments."""

    name: str
    title: str
    description: str
    schema: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What a tool gave: text, small pictures as WebP, and whether the text says what went wrong."""

    text: str
    pictures: tuple[bytes, ...] = ()
    failed: bool = False

    @property
    def encoded(self) -> list[str]:
        """The pictures in base64."""
        return [base64.b64encode(one).decode() for one in self.pictures]


def tools(site: Site) -> list[Tool]:
    """List the tools: one for each named query, one for a picture, and SQL where it can run apart."""
    found = [_tool(find_query(name, site.folders)) for name in query_names(site.folders)]
    picture = {"image_id": {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "From a column image_id."}}
    found.append(Tool("picture", "A picture", "An image of the index, small.", _object(picture, ["image_id"])))
    if not is_url(site.path) and sys.platform == "linux":
        sql = {"sql": {"type": "string", "minLength": 1, "description": "The SELECT."}}
        found.append(Tool("sql", "SQL", _SQL, _object(sql, ["sql"])))
    return found


def call(site: Site, name: str, given: Mapping[str, Any]) -> Outcome:
    """Run a tool; what goes wrong is said in one line, for the assistant to act on."""
    end = time.monotonic() + MODEL_SECONDS
    while True:
        try:
            return _called(site, name, given)
        except ModelBusy as error:
            if time.monotonic() > end:
                return Outcome(str(error), failed=True)
        except ClipdbError as error:
            return Outcome(str(error), failed=True)
        except duckdb.Error as error:
            return Outcome(first_line(error), failed=True)
        except UnicodeEncodeError:
            return Outcome("a value has letters that are no Unicode text", failed=True)


def _called(site: Site, name: str, given: Mapping[str, Any]) -> Outcome:
    for key, value in given.items():
        if not isinstance(value, str | int | float | None):
            raise ClipdbError(f"{key} takes one value, not {json.dumps(value)[:40]}")
    if name == "picture":
        return _picture(site, str(given.get("image_id")))
    if name == "sql":
        found = site.sandbox.ask(str(given.get("sql") or ""))
        return Outcome(json.dumps({"columns": found.names, "rows": found.rows, "more": found.cut}))
    query = find_query(name, site.folders)
    rest = {key: value for key, value in given.items() if value is not None}
    limit, offset = (_number(rest, one, default, MOST_ROWS) for one, default in (("limit", ROWS), ("offset", 0)))
    pictures = _number(rest, "pictures", PICTURES, MOST_PICTURES) if query.sheet else 0
    check_names(query, rest)
    with site.reading() as index:
        answer = site.ask(index, query.name, limit, offset, **rest)
        shown = [row[query.sheet[0]] for row in answer.rows[:pictures]] if query.sheet else []
        made = [site.thumbnails.get(index, image_id) for image_id in shown]
    said = {
        "columns": answer.columns,
        "rows": as_json([[row[column] for column in answer.columns] for row in answer.rows]),
        "more": answer.more,
        "notes": answer.notes,
        "command": answer.command,
    }
    if not answer.rows and query.empty:
        said["notes"] = [*answer.notes, query.empty]
    return Outcome(json.dumps(said, ensure_ascii=False), tuple(one for one in made if one is not None))


def _number(given: dict[str, Any], name: str, default: int, most: int) -> int:
    value = given.pop(name, None)
    return whole_number(None if value is None else str(value), default, name, most)


def _picture(site: Site, image_id: str) -> Outcome:
    with site.reading() as index:
        found = index.execute("select uri from images where image_id = $id", {"id": image_id}).fetchone()
        made = site.thumbnails.get(index, image_id) if found else None
    if made is None:
        what = "its file is gone, or changed" if found else "there is none: queries have its id in a column image_id"
        raise ClipdbError(f"no picture of {image_id[:64]!r}: {what}", kind="absent")
    assert found is not None
    return Outcome(str(found[0] or image_id), (made,))


def _tool(query: NamedQuery) -> Tool:
    schemas = {one.name: parameter_schema(one) | {"description": remote_help(one)} for one in query.parameters}
    numbers = [("limit", ROWS, MOST_ROWS, "Rows, at most."), ("offset", 0, MOST_ROWS, "Rows to leave out first.")]
    if query.sheet:
        numbers.append(("pictures", PICTURES, MOST_PICTURES, "How many of the images to show."))
    for name, default, most, help in numbers:
        schemas[name] = {"type": "integer", "minimum": 0, "maximum": most, "default": default, "description": help}
    required = [one.name for one in query.parameters if one.required and one.type != "model"]
    return Tool(query.name, query.title, f"{query.title}.\n\n{query.description}".strip(), _object(schemas, required))


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
