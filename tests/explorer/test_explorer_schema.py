"""The API is as its description says: schemathesis asks what the description allows, and what it doesn't."""

from __future__ import annotations

from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from page_parts import Client, client_of
from schemathesis.generation import GenerationMode

from clipdb.explorer import model_client
from clipdb.explorer.site import Site

EXAMPLES = {GenerationMode.POSITIVE: 2, GenerationMode.NEGATIVE: 1}
"""Of each of the 45 operations: of what its description allows, and of what it doesn't."""


def test_no_question_fails_the_server(shown_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_client, "PATIENCE_SECONDS", 0.01)  # most words are new: nobody waits for the model
    with client_of(Site(shown_index, device="cpu", thumbnails=tmp_path / "t.db")) as client:
        asked = ask_all(client)
    assert len(asked) > 100 and {200, 404, 422} <= {status for *_, status in asked}


def ask_all(explorer: Client) -> list[tuple[str, object, int]]:
    described = explorer.get("/api/openapi.json").json()
    asked: list[tuple[str, object, int]] = []
    schema = schemathesis.openapi.from_dict(described)
    for operation in (found.ok() for found in schema.get_all_operations()):
        for mode, examples in EXAMPLES.items():

            @settings(
                max_examples=examples,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(operation.as_strategy(generation_mode=mode))
            def ask(case: schemathesis.Case) -> None:
                answer = explorer.get(case.formatted_path, params=case.query)
                asked.append((case.formatted_path, case.query, answer.status_code))
                # 503: a model is loading; 501: something isn't installed.
                assert answer.status_code in (200, 404, 422, 429, 501, 503), (case.query, answer.text)

            ask()
    return asked
