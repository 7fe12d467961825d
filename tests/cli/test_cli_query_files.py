"""What SQL on the command line may do with files: the index, an export, a folder of queries."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from built_index import Built
from range_server import Served, serve
from support import clipdb, done, refused
from written_artefact import write_built

from clipdb.artefact.reading.remote import load_httpfs
from clipdb.errors import ClipdbError

REFUSED = "SQL may not read or write files unless --files is given"


@pytest.fixture(scope="module")
def folder(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds `built` as an export; its name is one that DuckDB might misread."""
    root = tmp_path_factory.mktemp("it's [a] run=3")
    write_built(root / "heads", built)
    return root


@pytest.fixture(params=["index", "export"])
def place(request: pytest.FixtureRequest, built: Built, folder: Path) -> Iterator[Path]:
    """Something to ask, none of whose bytes may change."""
    path = built.path if request.param == "index" else folder / "heads"
    before = contents(path)
    yield path
    assert contents(path) == before


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "writer.lock")
    return {str(path): path.read_bytes() for path in files}


def quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


STATEMENTS = [
    "copy (select 1) to {file}",
    "COPY heads TO {file}",
    "explain analyze copy (select 1) to {file}",
    "explain /* */ analyze copy (select 1) to {file}",
    "prepare p as copy (select 1) to {file}; execute p",
    "attach {file} as other",
    "export database {file}",
    "select 1; copy (select 2) to {file}",
    "explain analyze copy (pivot heads on layer using count(*)) to {file}",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_nothing_is_written(place: Path, tmp_path: Path, statement: str) -> None:
    for file in (tmp_path / "out", place / "new.csv"):
        assert refused("query", statement.format(file=quoted(file)), "-i", place) == REFUSED
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "sql",
    [
        "from read_text({file})",
        "from read_csv({file})",
        "from {file}",
        "from glob('/etc/*')",
        "attach {file} as other (read_only)",
        "import database {file}",
        "load {file}",
        "install spatial",
        "select * from heads join {file} using (name)",
        "set temp_directory = {file}",
        "from duckdb_secrets()",
    ],
)
def test_nothing_else_is_read(place: Path, tmp_path: Path, sql: str) -> None:
    (tmp_path / "mine.csv").write_text("name,mine\nL1.H0,1\n")
    assert refused("query", sql.format(file=quoted(tmp_path / "mine.csv")), "-i", place) == REFUSED


def test_access_can_t_be_turned_on_again(place: Path) -> None:
    line = refused("query", "set enable_external_access = true; from read_text('/etc/hostname')", "-i", place)
    assert "Cannot enable external access" in line


@pytest.mark.parametrize(
    "sql",
    [
        "select count(*) as n from image_vectors where l1h0 is not null or l1h0 is null",
        "select count(*) as n from neighbours(null, 'L1.H0', (select min(image_id) from images), 5)",
        "select 0 as n; pivot heads on layer using count(*); select count(*) as n from images",
        "create temp table mine as from images; select count(*) as n from mine",
        "select count(*) as n from (from range(400000) order by hash(range)) where range < 40",
    ],
)
def test_what_needs_no_file_goes_on(place: Path, sql: str) -> None:
    expected = "5" if "neighbours" in sql else "40"
    assert done("query", sql, "-f", "csv", "-i", place) == f"n\n{expected}\n"


def test_with_files_it_reads_and_writes_elsewhere(place: Path, tmp_path: Path) -> None:
    mine, out = tmp_path / "it's.csv", tmp_path / "out.csv"
    mine.write_text("name,mine\nL1.H0,7\n")
    sql = f"select mine from heads join {quoted(mine)} using (name)"
    assert done("query", sql, "--files", "-f", "csv", "-i", place) == "mine\n7\n"
    assert done("query", "--files", sql, "-f", "csv", "-i", place) == "mine\n7\n"
    done("query", f"copy (select 1 as a) to {quoted(out)}", "--files", "-i", place)
    assert out.read_text() == "a\n1\n"


@pytest.mark.parametrize("statement", STATEMENTS)
def test_with_files_its_own_stay(place: Path, statement: str) -> None:
    line = refused("query", statement.format(file=quoted(place / "catalog.duckdb")), "--files", "-i", place)
    assert line == f"SQL may not copy to or attach files of {place}: name a place outside of it"


@pytest.mark.parametrize("name", ["catalog.duckdb", "manifest.json", "relations/heads.parquet", "new.csv"])
def test_with_files_its_own_stay_by_any_path(place: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.parent)
    for file in (place / name, Path(place.name) / name, Path("..") / place.parent.name / place.name / name):
        for flag, said in ((("--files",), "may not copy to or attach"), ((), REFUSED)):
            assert said in refused("query", f"copy heads to {quoted(file)}", *flag, "-i", place)


def test_a_function_that_would_end_the_process_is_refused(built: Built) -> None:
    command = [sys.executable, "-m", "clipdb.cli", "query", 'from "pandas_scan"(null)', "-i", str(built.path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    problem = "Error: pandas_scan can't be called from SQL: name a table or a view instead\n"
    assert (ran.returncode, ran.stderr) == (1, problem)


def test_an_export_at_a_url_is_read_all_the_same(folder: Path) -> None:
    with duckdb.connect() as connection:
        try:
            load_httpfs(connection, "https://example.org")
        except ClipdbError as error:
            pytest.skip(str(error))
    served: Served
    with serve(folder) as served:
        url = f"{served.url}/heads"
        sql = "select count(*) as n from image_vectors join images using (image_id)"
        assert done("query", sql, "-f", "csv", "-i", url) == "n\n40\n"
        elsewhere = f"from read_text('{served.url}/other')"
        assert refused("query", elsewhere, "-i", url) == REFUSED


@pytest.mark.parametrize(
    ("sql", "kinds"),
    [
        ("copy (select 1) to 'FILE'", "COPY"),
        ("select 1; copy (select 1) to 'FILE'", "SELECT, COPY"),
        ("create temp table t as select 1; from t", "CREATE, SELECT"),
        ("set threads = 1", "SET"),
        ("explain analyze copy (select 1) to 'FILE'", "EXPLAIN"),
        ("/* nothing */", "nothing"),
    ],
)
def test_a_query_of_a_folder_only_reads(built: Built, tmp_path: Path, sql: str, kinds: str) -> None:
    file, marker = tmp_path / "mine.sql", tmp_path / "marker"
    file.write_text(f"-- Mine\n{sql}".replace("FILE", str(marker)))
    for flags in ((), ("--files",)):
        line = refused("query", *flags, "--queries", tmp_path, "mine", "-i", built.path)
        assert line == f"{file}: a query is one SELECT, and this is {kinds}"
    assert refused("query", "--queries", tmp_path, "--list", "-i", built.path) == line
    assert not marker.exists()


def test_a_query_of_a_folder_reads_files_only_if_told(built: Built, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("name,mine\nL1.H0,7\n")
    (tmp_path / "mine.sql").write_text(f"-- Mine\nselect mine from '{tmp_path}/mine.csv' join heads using (name);")
    command = ("query", "--queries", tmp_path, "mine", "-f", "csv", "-i", built.path)
    assert refused(*command) == REFUSED
    assert done(*command, "--files") == "mine\n7\n"
    (tmp_path / "mine.sql").write_text("-- Mine\npivot heads on layer using count(*) group by model_id")
    assert done(*command) == "model_id,1,2\none/a,3,3\n"


def test_a_query_of_a_folder_takes_no_shipped_name(built: Built, tmp_path: Path) -> None:
    file = tmp_path / "heads.sql"
    file.write_text("-- Not heads\nselect 1")
    for asked in ("heads", "--list"):
        line = refused("query", "--queries", tmp_path, asked, "-i", built.path)
        assert line == f"{file} has the name of a query that ships with clipdb: choose another name"
    assert clipdb("query", "--queries", tmp_path, "layers", "-i", built.path).exit_code == 0
