"""Paths of images that come through a pipe, which can be read only once."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from click.testing import CliRunner
from support import rows

from clipdb.cli import main


def ingest(source: object, index: Path, paths: str | None = None) -> str:
    arguments = ["ingest", "images", source, "--model", "clipdb-tiny/scenes", "--workers", 0, "-i", index]
    result = CliRunner().invoke(main, [str(one) for one in arguments], input=paths)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_standard_input_and_a_named_pipe(pictures: list[Path], tmp_path: Path) -> None:
    index, pipe = tmp_path / "x.clipdb", tmp_path / "pipe"
    assert "added 2" in ingest("-", index, "".join(f"{one}\n" for one in pictures[:2]))
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("".join(f"{one}\n" for one in pictures[:3]),))
    writer.start()
    assert "added 1, skipped 2" in ingest(pipe, index)
    writer.join()
    assert rows(index, "select count(*) from images") == [(3,)]
