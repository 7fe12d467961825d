"""Give clipdb's commands files that are damaged or were never what they are called.

    PYTHONPATH=tests/helpers:tests/stress python tests/stress/malformed.py --inputs 500

A command that is given one may say what is wrong with it in one line, or take what can still be read; it may not be
killed, show a traceback, run on, take much memory, or leave an index that isn't whole.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from damage import damaged
from PIL import Image
from support import MODEL, Process, done, random_weights, verified

from clipdb.demo import write_scenes

SECONDS = 60
MEGABYTES = 1000
"""More than the memory of the same command on a sound file that any may take."""

TAKEN, REFUSED = "taken", "refused in one line"
FINE = {TAKEN, REFUSED}

Arguments = tuple[object, ...]


@dataclass(frozen=True)
class Kind:
    """A kind of input.

    Attributes
    ----------
    files
        Sound ones, which are damaged: files, or folders of which one file is damaged.
    never
        Content of files that are called so and never were.
    command
        What is done with one, on the index ``x.clipdb``.
    """

    files: list[Path]
    never: list[bytes]
    command: Callable[[Path], Arguments]


class Sound:
    """Sound inputs of each kind, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        write_scenes(folder / "scenes", 6, seed=4)
        self._pictures = sorted((folder / "scenes").glob("*.png"))
        weights = random_weights(folder / "random.safetensors", seed=3)
        on_cpu = ("--device", "cpu", "--workers", 0)
        self._model = ("--model", MODEL, "--checkpoint", weights, *on_cpu)
        self._ingest = lambda path: ("ingest", "images", path, *self._model)
        self.index = folder / "x.clipdb"
        done("ingest", "images", *self._pictures, *self._model, "-i", self.index)
        done("span", "--pool", "scenes", "-i", self.index)
        done("export", folder / "export", "--license", "CC0-1.0", "-i", self.index)
        never = [b"", b"\0" * 5000, b"not this", "\ufeff,\udc80".encode("utf-8", "surrogatepass"), b"[" * 100_000]
        self.kinds = {
            "image": Kind(self._images(), [*never, b"<svg/>", b"\x89PNG\r\n\x1a\n"], self._ingest),
            "tar": Kind(self._tars(), never, self._ingest),
            "Parquet file": Kind([self._parquet()], [*never, b"PAR1" * 3], self._ingest),
            "list": Kind(self._lists(), never, self._ingest),
            "checkpoint": Kind(
                [weights],
                [*never, b"\x08" + bytes(7) + b"{}      ", b"\xff" * 16],
                lambda path: ("ingest", "images", *self._pictures, "--model", MODEL, "--checkpoint", path, *on_cpu),
            ),
            "pool": Kind(self._pools(), never, lambda path: ("ingest", "texts", path, "--pool", "damaged")),
            "export": Kind([folder / "export"], never, lambda path: ("import", path)),
        }

    def _images(self) -> list[Path]:
        picture = Image.open(self._pictures[0])
        files = [self._folder / f"sound.{suffix}" for suffix in ("png", "jpg", "webp", "gif", "tif", "bmp")]
        for file in files:
            picture.convert("RGB").save(file)
        return files

    def _tars(self) -> list[Path]:
        files = [self._folder / "sound.tar", self._folder / "sound.tar.gz"]
        for file in files:
            with tarfile.open(file, "w:gz" if file.suffix == ".gz" else "w") as archive:
                for picture in self._pictures:
                    archive.add(picture, picture.name)
        return files

    def _parquet(self) -> Path:
        file = self._folder / "sound.parquet"
        images = [{"bytes": one.read_bytes(), "path": one.name} for one in self._pictures]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        pq.write_table(pa.table({"image": pa.array(images, kind), "label": ["a", "b"] * 3}), file)
        return file

    def _lists(self) -> list[Path]:
        files = [self._folder / f"list.{suffix}" for suffix in ("txt", "csv", "jsonl")]
        names = [str(one) for one in self._pictures]
        files[0].write_text("\n".join(names))
        files[1].write_text("path,label,note\n" + "".join(f'"{one}",a,"b, c"\n' for one in names))
        files[2].write_text("".join(f'{{"path": "{one}", "label": "a", "more": [1, 2]}}\n' for one in names))
        return files

    def _pools(self) -> list[Path]:
        texts = ["a heron", "a boat at sea", "something red", "two birds"]
        files = [self._folder / f"pool.{suffix}" for suffix in ("txt", "csv", "jsonl", "parquet")]
        files[0].write_text("\n".join(texts))
        files[1].write_text("text,property\n" + "".join(f'"{one}",object\n' for one in texts))
        files[2].write_text("".join(f'{{"text": "{one}", "property": "object"}}\n' for one in texts))
        pq.write_table(pa.table({"text": texts, "property": ["object"] * 4}), files[3])
        return files


def malformed(kind: Kind, place: Path, rng: random.Random) -> Path:
    """Write one input: in three of four cases a sound one with damage somewhere, else one that never was."""
    source = rng.choice(kind.files)
    target = place / source.name
    if source.is_dir():
        shutil.copytree(source, target)
        inside = rng.choice(sorted(one for one in target.rglob("*") if one.is_file()))
    else:
        inside = target
        shutil.copy(source, target)
    whole = inside.read_bytes()
    inside.write_bytes(rng.choice(kind.never) if rng.random() < 0.25 else damaged(rng, whole))
    return target


def outcome(process: Process) -> tuple[str, float]:
    """Follow a command to its end; return how it ended, and the most memory that it held in MB."""
    most, end = 0.0, time.monotonic() + SECONDS
    while process.runs:
        most = max(most, process.peak)
        if time.monotonic() > end:
            return "runs on", most
        time.sleep(0.01)
    code, log = process.wait(), process.log.read_text(errors="replace")
    errors = sum(line.startswith("Error: ") for line in log.splitlines())
    if "Traceback" in log or code not in (0, 1) or errors != code:
        return f"ends with {code} and {errors} errors: {log.splitlines()[-1:]}", most
    return REFUSED if code else TAKEN, most


def attempts(sound: Sound, kind: Kind, inputs: int, rng: random.Random, folder: Path) -> Iterator[str]:
    """Give a command a sound input and then damaged ones; yield what came of each of these."""
    usual = 0.0
    for number in range(-1, inputs):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            index = Path(place, "x.clipdb")
            shutil.copytree(sound.index, index, symlinks=True)
            given = kind.files[0] if number < 0 else malformed(kind, Path(place), rng)
            what, most = outcome(Process(Path(place, "log"), *kind.command(given), "-i", index))
            if number < 0:
                assert what == TAKEN, what
                usual = most
                continue
            if most > usual + MEGABYTES:
                what = f"takes {most:.0f} MB, and a sound one {usual:.0f}"
            try:
                verified(index)
            except AssertionError as error:
                what = f"leaves an index that isn't whole: {error}"
            yield what


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    wrong = False
    with tempfile.TemporaryDirectory() as folder:
        sound = Sound(Path(folder))
        for name, kind in sound.kinds.items():
            rng = random.Random(f"{options.seed} {name}")
            counts = Counter(attempts(sound, kind, -(-options.inputs // len(sound.kinds)), rng, Path(folder)))
            for what, count in sorted(counts.items()):
                print(f"{count:5} {name}: {what}", flush=True)
            wrong |= bool(counts.keys() - FINE)
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
