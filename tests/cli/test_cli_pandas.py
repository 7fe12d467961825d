"""The command line leaves pandas alone; whoever wants it gets it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from built_index import Built

RUN = """
import os, sys
from clipdb.__main__ import main
os._exit = lambda code: None  # with which a command ends, before anybody could look
sys.argv = ["clipdb", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("pandas" in sys.modules, file=sys.stderr)
import duckdb
assert list(duckdb.execute("select ? as n", [1]).df()["n"]) == [1]
from importlib.util import find_spec
assert find_spec("pandas") is not None
import pandas
assert pandas.DataFrame({"n": [1]}).n.sum() == 1
"""


@pytest.mark.parametrize(
    "words",
    [
        ["query", "heads", "--property", "colour"],
        ["query", "neighbours", "0.png", "--head", "L1.H0", "--k", "2"],
        ["info"],
        ["query", "select count(*) from image_vectors"],
    ],
)
def test_a_command_imports_no_pandas_and_code_after_it_may(words: list[str], built: Built) -> None:
    pytest.importorskip("pandas")
    result = subprocess.run([sys.executable, "-c", RUN, *words, "-i", built.path], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[-1] == "False"


PLUGIN = """
import clipdb._util.pandas_unseen as unseen
import sys
unseen.leave_pandas_unseen()
exec("import duckdb; duckdb.execute('select ?', [1])", {"__name__": "clipdb.mine"})
assert "pandas" in sys.modules
"""


def test_pandas_is_as_ever_where_other_packages_add_to_clipdb(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    (tmp_path / "mine-1.dist-info").mkdir()
    (tmp_path / "mine-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    (tmp_path / "mine-1.dist-info" / "entry_points.txt").write_text("[clipdb.queries]\nmine = mine\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    result = subprocess.run([sys.executable, "-c", PLUGIN], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
