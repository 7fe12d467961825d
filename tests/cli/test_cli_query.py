from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from built_index import Built, Run, build
from support import refused

CLI = [sys.executable, "-c", "from clipdb.cli import main; main()"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("query", "-f", "json", "-n", "2", "heads"),
        ("query", "heads", "-f", "json", "-n", "2"),
        ("query", "-f", "csv", "-n", "5", "heads", "--format", "json", "--limit", "2"),
        ("query", "-f", "json", "select * from heads limit 2"),
        ("query", "select * from heads", "-f", "json", "-n", "2"),
    ],
)
def test_options_stand_before_or_after(run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 0 and len(json.loads(result.stdout)) == 2


def test_the_index_option_goes_before_the_environment(run: Run, built: Built, tmp_path: Path) -> None:
    nowhere = tmp_path / "none.clipdb"
    assert run("query", "-i", str(built.path), "heads", index=nowhere).exit_code == 0
    assert run("query", "heads", "-i", str(built.path), index=nowhere).exit_code == 0
    failed = run("query", "heads", "-i", str(nowhere))
    assert failed.exit_code == 1 and str(nowhere) in failed.stderr


def test_the_main_parameter_needs_no_option(run: Run) -> None:
    for arguments in (("property", "color"), ("property", "--property", "color")):
        result = run("query", *arguments, "-f", "json")
        assert [row["head"] for row in json.loads(result.stdout)] == ["L1.H0", "L1.H1", "L2.H0"]
    twice = run("query", "property", "color", "--property", "shape")
    assert twice.exit_code == 2 and "given twice" in twice.stderr


def test_neighbours_take_a_file(run: Run, built: Built) -> None:
    by_file = run("query", "neighbours", str(built.files[3]), "--head", "L2.H1", "--k", "4", "-f", "csv")
    by_id = run("query", "neighbours", "--image", built.ids[3], "--head", "L2.H1", "--k", "4", "-f", "csv")
    assert by_file.exit_code == 0 and by_file.stdout == by_id.stdout
    assert len(by_file.stdout.splitlines()) == 5


def test_the_usage_of_sql_has_it_once(run: Run) -> None:
    assert run("query", "select 1", "--help").stdout.startswith("Usage: main query [OPTIONS] SQL\n")


def test_help_comes_from_the_header(run: Run) -> None:
    text = run("query", "neighbours", "--help").stdout
    assert "Images most similar to an image in what one head writes" in text
    assert "--k INTEGER" in text and "[default: 10]" in text and "[required]" in text


@pytest.mark.parametrize("arguments", [("query",), ("query", "--list")])
def test_the_queries_are_listed(run: Run, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # where no cell is shortened
    result = run(*arguments)
    assert result.exit_code == 0
    usages = {row["query"] for row in json.loads(run(*arguments, "-f", "json").stdout)}
    assert "neighbours IMAGE --head HEAD" in usages
    assert [usage for usage in usages if usage not in result.stdout] == []
    names = {usage.split()[0] for usage in usages}
    assert {"heads", "head", "properties", "property", "spans", "entanglement", "association", "layers"} <= names


def test_a_word_that_is_no_query_gets_the_nearest(run: Run) -> None:
    result = run("query", "haeds")
    assert result.exit_code == 1 and result.stdout == ""
    assert result.stderr == "Error: no query is called 'haeds': did you mean heads, head?\n"


def test_a_folder_of_queries(run: Run, tmp_path: Path) -> None:
    (tmp_path / "big_heads.sql").write_text("-- Big heads\n-- limit: 2\nselect name from heads order by name")
    result = run("query", "--queries", str(tmp_path), "big-heads")
    assert result.exit_code == 0 and result.stdout.split() == ["name", "-----", "L1.H0", "L1.H1"]
    assert "The first 2 rows" in result.stderr
    assert len(run("query", "--queries", str(tmp_path), "big-heads", "-n", "0").stdout.split()) == 8
    assert "big-heads" in run("query", "--queries", str(tmp_path), "--help").stdout
    (tmp_path / "broken.sql").write_text("-- Broken\n-- $k: no type\nselect $k")
    broken = run("query", "--queries", str(tmp_path), "broken")
    assert broken.exit_code == 1 and f"{tmp_path / 'broken.sql'}, line 2: " in broken.stderr
    assert len(broken.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("head", "L9.H9"), "no head L9.H9"),
        (("neighbours", "ffffffff", "--head", "L1.H0"), "no image 'ffffffff'"),
        (("select * from nowhere",), "Table with name nowhere does not exist"),
        (("select 1 +",), "syntax error"),
        (("delete from head_statistics",), "read-only"),
        (("select",), "SELECT clause without selection list"),
        (("  ",), "the SQL is empty"),
        (("heads", "--layer", "x"), "takes a whole number"),
        (("select * from neighbours(null, 'L7.H0', 'a', 3)",), "no vectors of head L7.H0"),
    ],
)
def test_failures_are_said_without_a_traceback(run: Run, arguments: tuple[str, ...], problem: str) -> None:
    result = run("query", *arguments)
    assert result.exit_code == 1 and result.stdout == ""
    assert problem in result.stderr and "Traceback" not in result.stderr and result.stderr.startswith("Error: ")


@pytest.mark.parametrize(
    "arguments", [("heads", "--nothing"), ("heads", "-f", "xml"), ("heads", "-n", "-1"), ("heads", "-f", "parquet")]
)
def test_wrong_usage_exits_2(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("query", *arguments).exit_code == 2


def test_sql_comes_from_stdin(run: Run) -> None:
    result = run("query", "-", "-f", "csv", input="select count(*) as n from heads;\n")
    assert result.stdout == "n\n6\n"


def test_raw_sql_has_no_row_limit(run: Run) -> None:
    assert len(run("query", "select * from range(12345)", "-f", "csv").stdout.splitlines()) == 12346


@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv", "tsv", "parquet", "md", "txt", "TXT"])
def test_a_file_is_written_whole_in_the_form_of_its_name(run: Run, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"heads.{suffix}"
    path.write_text("old")
    result = run("query", "heads", "-o", str(path))
    assert result.exit_code == 0 and result.stdout == ""
    assert list(tmp_path.iterdir()) == [path]
    if suffix == "parquet":
        table = pq.read_table(path)
        assert table.column("head").to_pylist()[0] == "L1.H0" and table.num_rows == 6
        return
    text = path.read_text()
    assert "L1.H0" in text
    begins = {"json": "[", "jsonl": "{", "csv": "model_id,", "tsv": "model_id\t", "md": "| model_id |"}
    assert text.startswith(begins.get(suffix, "head   property  "))


def test_parquet_keeps_vectors(run: Run, built: Built, tmp_path: Path) -> None:
    path = tmp_path / "vectors.parquet"
    assert run("query", "select image_id, l2h0 from image_vectors", "-o", str(path), "-n", "3").exit_code == 0
    table = pq.read_table(path)
    assert table.column("image_id").to_pylist() == built.ids[:3]
    assert table.column("l2h0").to_pylist() == built.vectors["one/a", 2, 0][:3].tolist()


def test_a_failure_leaves_the_file_as_it_was(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "heads.csv"
    path.write_text("old")
    query = "select case when range < 5000 then 1 else error('late') end from range(6000)"
    assert run("query", query, "-o", str(path)).exit_code == 1
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    failed = run("query", "heads", "-o", str(tmp_path / "none" / "heads.csv"))
    assert failed.exit_code == 1 and "can't write" in failed.stderr and len(failed.stderr.splitlines()) == 1


def test_a_model_is_chosen_for_sql(run: Run, two: Built) -> None:
    query = "select count(*) as n from image_vectors"
    failed = run("query", query, index=two.path)
    assert failed.exit_code == 1 and "choose one with --model (one/a, two/b)" in failed.stderr
    assert run("query", query, "--model", "two/b", "-f", "csv", index=two.path).stdout == "n\n40\n"


def test_a_closed_pipe_is_silent(built: Built) -> None:
    command = f"{sys.executable} -c '{CLI[2]}' query 'select * from range(200000)' -f csv | head -1"
    environment = {**os.environ, "CLIPDB_INDEX": str(built.path)}
    result = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True)
    assert result.stdout == "range\n" and result.stderr == ""


def test_ctrl_c_exits_130(built: Built, tmp_path: Path) -> None:
    marker = tmp_path / "running"
    query = f"""
        copy (select 1) to '{marker}';
        select count(*) from range(1000000) a, range(1000000) b where a.range * b.range % 7 = 3
    """
    # A shell that runs the suite in the background has children ignore Ctrl-C.
    code = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {CLI[2]}"
    command = [sys.executable, "-c", code, "query", "--files", "-i", str(built.path), query]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        while not marker.exists() and process.poll() is None:
            time.sleep(0.05)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and errors == "Stopped.\n"


def test_a_cold_start_imports_little(built: Built) -> None:
    code = """
import os, sys
from clipdb.__main__ import main
os._exit = lambda code: None  # with which a command ends, before anybody could look
sys.argv = ["clipdb", "query", "heads"]
try:
    main()
except SystemExit as done:
    print(done.code, *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""
    environment = {**os.environ, "CLIPDB_INDEX": str(built.path)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    code, *loaded = result.stderr.split()
    assert code == "0" and "L1.H0" in result.stdout and {"duckdb", "click"} <= set(loaded)
    unwanted = {"torch", "lancedb", "lance", "sqlalchemy", "gradio", "numpy", "pyarrow", "rich", "open_clip", "PIL"}
    assert not unwanted & set(loaded) and "pandas" not in loaded


def test_a_new_index_says_what_to_run(run: Run, tmp_path: Path) -> None:
    from clipdb.schema import creation

    creation.create(tmp_path / "new.clipdb")
    result = run("query", "heads", index=tmp_path / "new.clipdb")
    assert result.exit_code == 1 and "run `clipdb ingest images" in result.stderr


def test_a_corrupt_catalog_is_said(run: Run, tmp_path: Path) -> None:
    copy = build(tmp_path / "copy.clipdb")
    (copy.path / "catalog.duckdb").write_bytes(b"not a database" * 1000)
    for arguments in (("query", "heads"), ("info",), ("verify",)):
        result = run(*arguments, index=copy.path)
        assert result.exit_code == 1 and len(result.stderr.splitlines()) == 1 and "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "arguments", [("neighbours", "\udcff", "--head", "L1.H0"), ("spans", "red \udcff"), ("select '\udcff'",)]
)
def test_what_is_no_text_is_one_line(run: Run, arguments: tuple[str, ...]) -> None:
    result = run("query", *arguments)
    assert result.exit_code == 1 and result.stderr == "Error: an argument is not UTF-8 text: write it in UTF-8\n"


def test_a_name_that_no_disk_takes_is_one_line(built: Built) -> None:
    long = "x" * 300
    for command in (("query", "heads", "-i", long), ("import", long), ("export", long, "-i", built.path)):
        assert refused(*command).endswith(f"can't be used: {os.strerror(errno.ENAMETOOLONG)}")


def test_no_neighbours_is_explained(run: Run, built: Built) -> None:
    result = run("query", "neighbours", built.ids[-1], "--head", "L1.H1")
    assert result.exit_code == 0 and "No rows: the image has not been through this head" in result.stderr


def test_a_number_that_no_column_holds_is_none(run: Run, built: Built) -> None:
    result = run("query", "neighbours", built.ids[0], "--head", "L1.H0", "--k", str(2**63))
    assert result.exit_code == 1 and result.stderr == f"Error: --k takes a whole number, not '{2**63}'\n"


def test_a_folder_of_queries_that_is_not_there_is_named(run: Run, tmp_path: Path) -> None:
    result = run("query", "--queries", str(tmp_path / "none"), "heads")
    assert result.exit_code == 1 and result.stderr.startswith(f"Error: {tmp_path / 'none'} is not a folder")
