"""Names to judge, and the answers of a language model that judges well."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from hostile_server import Asked, Sent, chat
from span_index import MODEL

from clipdb.ingest.store.rows import put
from clipdb.ingest.store.writer import Writer

NAMES = ["colour", "animals", "season", "colour", "animals", "Season"]
WORDS = {"yes": True, "no": False, "unsure": None}


def place(head: str) -> tuple[int, int]:
    layer, number = head.removeprefix("L").split(".H")
    return int(layer), int(number)


def give_names(index: Path, labeller: str, names: dict[str, str], pool: str = "plain") -> None:
    with Writer(index, "test", {}) as writer, writer.transaction() as connection:
        common = {"model_id": MODEL, "pool": pool, "labeller": labeller, "run": writer.run, "status": "ok"}
        labels = [
            common
            | {"layer": place(head)[0], "head": place(head)[1], "property": name, "created_at": datetime.now(UTC)}
            for head, name in names.items()
        ]
        put(connection, "labels", labels)


def judged(asked: Asked, **change: object) -> Sent:
    """Answer well, or with some fields changed: yes, no, unsure, yes, no, ..."""
    verdicts = {one: list(WORDS)[number % 3] for number, one in enumerate(asked.data["descriptions"])}
    return chat(json.dumps({"head": asked.head} | verdicts | change))
