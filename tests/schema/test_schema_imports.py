from __future__ import annotations

from pathlib import Path

import pytest

import clipdb.schema

HEAVY = "{'sqlalchemy', 'duckdb_sqlalchemy', 'lance', 'lancedb', 'torch', 'pyarrow', 'numpy', 'pandas'}"


def test_reading_a_catalog_imports_duckdb_only(index: Path, python) -> None:
    done = python(
        "import sys; from pathlib import Path; import clipdb.schema\n"
        "from clipdb.schema.catalog import connect\n"
        "connection = connect(Path(sys.argv[1])); connection.execute('from head_cards').fetchall()\n"
        f"print(sorted({HEAVY} & set(sys.modules)))",
        index,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_tables_come_when_they_are_asked_for(python) -> None:
    done = python(
        "import sys, clipdb.schema as schema; before = 'sqlalchemy' in sys.modules\n"
        "print(before, schema.heads.name, 'sqlalchemy' in sys.modules)"
    )
    assert (done.stdout, done.stderr) == ("False heads True\n", "")


def test_all_names_what_there_is() -> None:
    assert {clipdb.schema.metadata.tables[name].name for name in clipdb.schema.__all__ if name != "metadata"} == set(
        clipdb.schema.metadata.tables
    )
    assert set(clipdb.schema.__all__) <= set(dir(clipdb.schema))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = clipdb.schema.nonsense
