"""Cut the power in the middle of a command: what the disk then has, as `recorder.c` saw the command's syncs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Disk:
    """What is on the disk for good.

    ``entries`` are the names in each folder when that was synced last, ``contents`` where what each file held is kept.
    ``now`` is everything that there is at the moment, synced or not.
    """

    root: Path
    entries: dict[str, dict[str, str]] = field(default_factory=dict)
    contents: dict[str, Path] = field(default_factory=dict)
    now: dict[str, tuple[str, Path, str]] = field(default_factory=dict)

    def build(self, place: Path, eager: bool) -> None:
        """Make a copy of the disk.

        Names that were not synced are there if ``eager``, and not there otherwise: file systems may do either. What
        was not synced of files is lost.
        """
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        if eager:
            for number, (kind, path, target) in self.now.items():
                self._make(number.partition("\0")[0], kind, place / path.relative_to(self.root), target)
        else:
            root = next(number for number, (_, path, _) in self.now.items() if path == self.root)
            self._fill(root.partition("\0")[0], place)

    def _fill(self, folder: str, place: Path) -> None:
        for name, known in self.entries.get(folder, {}).items():
            number, kind, target = known.split("\0")
            self._make(number, kind, place / name, target)
            if kind == "d":
                self._fill(number, place / name)

    def _make(self, number: str, kind: str, place: Path, target: str) -> None:
        if kind == "d":
            place.mkdir(exist_ok=True)
        elif kind == "l":
            place.symlink_to(target)
        elif number in self.contents:
            shutil.copyfile(self.contents[number], place)
        else:
            place.touch()


class Recorder:
    """A process that has the library and all imports (`recording.py`), and forks a command at a time.

    Parameters
    ----------
    library
        Made of `recorder.c`.
    """

    def __init__(self, library: Path) -> None:
        own = {"LD_PRELOAD": str(library), "PYTHONPATH": os.pathsep.join(sys.path)}
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("recording.py")],
            env=os.environ | own,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, root: Path, store: Path, arguments: list[str]) -> None:
        """Run a command of clipdb to its end and record what it has synced below a folder."""
        store.mkdir(parents=True)
        log = store.with_suffix(".printed")
        assert self._process.stdin is not None and self._process.stdout is not None
        environment = os.environ | {"RECORD_ROOT": str(root), "RECORD_STORE": str(store)}
        print(json.dumps([environment, str(log), arguments]), file=self._process.stdin, flush=True)
        code = self._process.stdout.readline()
        assert code == "0\n", code + log.read_text()

    def close(self) -> None:
        self._process.communicate()


def states(root: Path, store: Path, before: Path | None = None) -> Iterator[Disk]:
    """Go through what the disk has after each sync.

    Parameters
    ----------
    root, store
        Of the recording.
    before
        A copy of what was there at the beginning, all of it synced; nothing if it is None.
    """
    [log] = store.glob("log.*")
    disk = Disk(root)
    synced: tuple[str, ...] = ()
    first = True
    now: dict[str, tuple[str, Path, str]] = {}
    for line in log.read_text().splitlines():
        parts = line.split("\t")
        if parts[0] in ("content", "folder"):
            synced = tuple(parts)
        elif line != ".":
            number, kind, path, target = parts
            now[f"{number}\0{path}"] = (kind, Path(path), target)
        else:
            disk.now, now = now, {}
            if first and before is not None:
                _assume(disk, before)
            first = False
            if synced[0] == "content":
                disk.contents[synced[1]] = store / synced[2]
            else:
                disk.entries[synced[1]] = _entries(disk, synced[1])
            yield disk


def _entries(disk: Disk, folder: str) -> dict[str, str]:
    [path] = [path for number, (_, path, _) in disk.now.items() if number.partition("\0")[0] == folder]
    return {
        inside.name: f"{number.partition(chr(0))[0]}\0{kind}\0{target}"
        for number, (kind, inside, target) in disk.now.items()
        if inside.parent == path
    }


def _assume(disk: Disk, before: Path) -> None:
    """Take what was there at the beginning, and is there still, for synced."""
    for number, (kind, path, _) in disk.now.items():
        old = before / path.relative_to(disk.root)
        if kind == "f" and old.is_file():
            disk.contents[number.partition("\0")[0]] = old
    for number, (kind, path, _) in disk.now.items():
        if kind == "d" and (before / path.relative_to(disk.root)).is_dir():
            there = _entries(disk, number.partition("\0")[0])
            old = before / path.relative_to(disk.root)
            disk.entries[number.partition("\0")[0]] = {
                name: known for name, known in there.items() if (old / name).exists() or (old / name).is_symlink()
            }
