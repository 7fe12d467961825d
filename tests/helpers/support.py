"""Run clipdb as a person does, in this process or in one of its own, and read an index without clipdb's readers."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from click.testing import CliRunner, Result
from forking import FORKED

from clipdb.schema import catalog

MODEL = "clipdb-tiny/random"
HALF = 2e-3
"""How far apart two float16 of the same vector may be: a step, after batches of other sizes."""


def clipdb(*arguments: object) -> Result:
    """Run a command in this process."""
    from clipdb.cli import main

    return CliRunner().invoke(main, [str(one) for one in arguments])


def done(*arguments: object) -> str:
    """Run a command that must end well; return what it printed."""
    result = clipdb(*arguments)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.stdout


def refused(*arguments: object) -> str:
    """Run a command that must fail with one line and exit code 1; return the line."""
    result = clipdb(*arguments)
    lines = [one for one in result.stderr.splitlines() if not one.startswith(("note:", "device:"))]
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit), repr(result.exception)
    assert len(lines) == 1 and lines[0].startswith("Error: ") and result.stdout == "", result.output
    return lines[0].removeprefix("Error: ")


def random_weights(path: Path, seed: int) -> Path:
    """Save random weights of the demo model's architecture, made from a seed."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    from clipdb.models.loading import split_name

    split_name(MODEL)  # which makes the architecture known
    torch.manual_seed(seed)
    network = open_clip.create_model("clipdb-tiny", load_weights=False)
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)
    return path


class Process:
    """A command in a process of its own, which may be killed; what it sees of the environment is changed as told.

    ``first`` is a function of a module, which the process calls first.
    """

    def __init__(
        self, log: Path, *arguments: object, first: Callable[[], object] | None = None, **environment: str
    ) -> None:
        self.log = log
        given = ([str(one) for one in arguments], str(log), os.environ | environment, first)
        self._process = FORKED.Process(target=_main, args=given)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def runs(self) -> bool:
        return self._process.is_alive()

    @property
    def peak(self) -> float:
        """The most memory that it has held so far, in MB, as Linux tells; 0 once it has ended."""
        try:
            held = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        except OSError:
            return 0.0
        return int(held[1]) / 1024 if held else 0.0

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float = 120) -> int:
        """Wait for its end; return the exit code, or minus the signal that ended it."""
        self._process.join(seconds)
        code = self._process.exitcode
        if code is None:
            self._process.kill()
            raise AssertionError(f"it still runs after {seconds} s:\n{self.log.read_text()}")
        return code


def _main(
    arguments: list[str], log: str, environment: dict[str, str], first: Callable[[], object] | None = None
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    if first is not None:
        first()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.argv = ["clipdb", *arguments]
    from clipdb.__main__ import main

    main()  # not clipdb.cli's, which leaves Ctrl-C to Python: inside an import that becomes another error


def children(parent: int) -> list[int]:
    """List the processes that a process has started, as Linux tells."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(entry.name))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(condition: Callable[[], Any], seconds: float = 60, every: float = 0.005) -> bool:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(every)
    return True


def rows(index: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Query the catalog with nothing but DuckDB."""
    with asking(index) as connection:
        return connection.execute(sql, list(values)).fetchall()


@contextmanager
def asking(index: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Attach the catalog to DuckDB alone, which takes an eighth of the time that opening it does."""
    file = str(index / "catalog.duckdb").replace("'", "''")
    with _duckdb().cursor() as connection:
        connection.execute(f"attach '{file}' as asked (read_only)")
        try:
            connection.execute("use asked")
            yield connection
        finally:
            connection.execute("use memory")
            connection.execute("detach asked")


@cache
def _duckdb() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def change(index: Path, sql: str, *values: object) -> None:
    """Change the catalog behind clipdb's back."""
    with catalog.changing(index) as connection:
        connection.execute(sql, list(values))


@dataclass
class Table:
    """A Lance table at its committed version, in order of ids; vectors that are null are NaN."""

    ids: list[str]
    columns: dict[str, np.ndarray]

    def __getitem__(self, column: str) -> np.ndarray:
        return self.columns[column]

    @property
    def heads(self) -> list[str]:
        return [name for name in self.columns if name not in ("embedding", "norm")]


def table(index: Path, kind: str = "images", model: str = MODEL, version: int | None = None) -> Table:
    """Read vectors as float64, by default those that are committed."""
    import lance

    if version is None:
        committed = "select max(lance_version) from batches where (model_id, kind) = (?, ?)"
        version = rows(index, committed, model, kind)[0][0]
    path = index / "vectors" / f"{model.replace('/', '__')}.{kind}.lance"
    stored = lance.dataset(str(path), version=version).to_table()
    ids = stored.column(f"{kind[:-1]}_id").to_pylist()
    order = np.argsort(np.array(ids, str))
    columns = {}
    for name in stored.column_names:
        if name not in ("image_id", "text_id", "_run", "_batch"):
            cells = stored.column(name).to_pylist()
            width = stored.schema.field(name).type.list_size if name != "norm" else 1
            matrix = [cell if cell is not None else [np.nan] * width for cell in cells]
            columns[name] = np.array(matrix, np.float64).reshape(len(ids), width)[order]
    return Table([ids[row] for row in order], columns)


_FACTS = (
    "select image_id, width, height, format, split, label, metadata from images order by all",
    "select uri, error from image_failures order by all",
    "select * exclude reconstruction_error from models order by all",
    "select model_id, layer, head, name, basis from heads order by all",
)
_STATISTICS = "select mean, total_variance, effective_rank from heads order by model_id, layer, head"


def assert_same(one: Path, other: Path) -> None:
    """Check that two indexes hold the same images, vectors, heads, failures and texts."""
    found = []
    for index in (one, other):
        with asking(index) as connection:
            found.append([connection.execute(query).fetchall() for query in (*_FACTS, _STATISTICS)])
    for facts, left, right in zip(_FACTS, *found, strict=False):
        assert left == right, facts
    assert_same_vectors(table(one), table(other))
    for left, right in zip(found[0][-1], found[1][-1], strict=True):
        for ours, theirs in zip(left, right, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-6)


def assert_same_vectors(one: Table, other: Table) -> None:
    assert one.ids == other.ids and len(set(one.ids)) == len(one.ids)
    assert sorted(one.columns) == sorted(other.columns)
    for name, matrix in one.columns.items():
        np.testing.assert_allclose(matrix, other[name], rtol=HALF, atol=HALF * np.nanmax(np.abs(matrix)), err_msg=name)


def verified(index: Path) -> None:
    """Check an index with `clipdb verify`."""
    assert "FAILED" not in done("verify", "-i", index)
