from __future__ import annotations

from pathlib import Path

from clipdb.schema import tables, views
from clipdb.schema.document import render

DOCUMENT = Path(__file__).parents[2] / "docs" / "schema.md"


def test_the_data_dictionary_is_current() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == render(), "run: python -m clipdb.schema.document"


def test_the_data_dictionary_names_everything() -> None:
    text = render()
    for table in tables.metadata.tables.values():
        assert f"### `{table.name}`" in text
        assert all(f"| `{column.name}` |" in text for column in table.columns)
    assert all(f"### `{view.name}" in text and view.comment in text for view in views.load())
    assert "| `l11h3` | float16[k] |" in text and "| `embedding` | float16[D] |" in text
