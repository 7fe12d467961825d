"""Kill clipdb's commands at any moment, finish them, and compare with what they do undisturbed.

    python tests/stress/kills.py --kills 1000

A chain is one to four kills of the same command, and then the command once more to its end. Half of the kills are by
the clock, and half by `killer.c`, at one of the moments that a command has between two operations on its files. This
process reads the index meanwhile (`watching.py`). Commands are forked from a server that has imported what it can
(`imported.py`).
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import oracle
from artefacts import files
from forking import FORKED
from hostile_server import serving
from preloaded import compiled
from support import Process, done
from verbs import VERBS, Made, Verb, at, lay_out
from watching import watch

MOST = 4  # kills of a chain
REST = 1.0  # of the reader after an answer, times what that took


class Work:
    """Runs of one command in one folder.

    Attributes
    ----------
    moments, seconds
        How many moments its last run had, and how long that took.
    """

    def __init__(self, verb: Verb, place: Path) -> None:
        self.index, self.out = place / "x.clipdb", place / "out"
        self.place, self._arguments = lay_out(verb.begin, place), at(place, verb.arguments)
        self._log, self._count = place.with_suffix(".log"), place.with_suffix(".count")

    def run(self, moment: int = 0, seconds: float | None = None) -> bool:
        """Run to the end, or kill it at a moment, or after some seconds; return whether it was killed."""
        self._log.touch()  # since it may be killed before it does so
        self._count.write_bytes(bytes(8))
        began = time.monotonic()
        environment = {"KILL_ROOT": f"{self.place}/", "KILL_AT": str(moment), "KILL_COUNT": str(self._count)}
        process = Process(self._log, *self._arguments, **environment)
        if seconds is not None:
            time.sleep(seconds)
            with suppress(ProcessLookupError):  # it had ended
                process.signal(signal.SIGKILL)
        code = process.wait(600)
        said = self._log.read_text()
        # A plain export that was finished is not made again.
        assert code in (0, -signal.SIGKILL) or "is an export already" in said, f"exit code {code}: {said}"
        self.seconds, self.moments = time.monotonic() - began, int.from_bytes(self._count.read_bytes(), sys.byteorder)
        return code == -signal.SIGKILL

    def names(self) -> set[str]:
        return {one.name for one in self.place.iterdir()}

    def delete(self) -> None:
        shutil.rmtree(self.place)
        self._log.unlink()
        self._count.unlink()


@dataclass(frozen=True)
class Undisturbed:
    """What a command does without a kill.

    Attributes
    ----------
    before
        What the index holds before, if it is there and can be read.
    names, content, exports
        What is in the folder and in the index after it, and the export before and after it.
    moments, seconds
        How many moments it has, and how long it takes.
    """

    before: oracle.State
    names: set[str]
    content: oracle.Content
    exports: tuple[object, object]
    moments: int
    seconds: float


class Kills:
    """Chains of kills.

    Parameters
    ----------
    made
        What commands begin with.
    folder
        Where they work; a folder in which something is wrong stays.
    seed
        Of all that is left to chance.

    Attributes
    ----------
    killed
        How many kills there were, by the clock and at a moment.
    answers
        How many answers readers have had.
    """

    def __init__(self, made: Made, folder: Path, seed: int) -> None:
        self.made, self.folder, self.seed = made, folder, seed
        self.killed: Counter[str] = Counter()
        self.answers = 0
        self._straight: dict[str, Undisturbed] = {}

    def chain(self, number: int, name: str) -> None:
        """Kill a command some times, finish it, and check what it has done."""
        chance, verb = random.Random(f"{self.seed} {number}"), VERBS[name](self.made)
        straight = self._undisturbed(name, verb)
        work = Work(verb, self.folder / f"{number}")
        with self._watched(verb, work, straight, number):
            for turn in range(chance.randint(1, MOST)):
                part = chance.random() / (1 + turn)  # what was done before is not done again
                if chance.random() < 0.5:
                    how, killed = "clock", work.run(seconds=part * straight.seconds)
                else:
                    how, killed = "moment", work.run(moment=1 + int(part * straight.moments))
                self.killed[how] += killed
                print(f"{number} {name}: {how} {part:.3f}, {'killed' if killed else 'had ended'}", flush=True)
                assert files(work.out) in straight.exports, "an export in part"
        work.run()
        assert work.names() == straight.names
        assert files(work.out) == straight.exports[1]
        oracle.assert_same_content(oracle.content(work.index), straight.content)
        left = list(oracle.leftovers(work.index))
        if left and verb.read:  # what a reader held goes with the next publication
            done(*at(work.place, self.made.published("labels", "property", "another")))
            left = list(oracle.leftovers(work.index))
        assert not left, left
        work.delete()

    def _undisturbed(self, name: str, verb: Verb) -> Undisturbed:
        if name not in self._straight:
            work = Work(verb, self.folder / name.replace(" ", "-"))
            before = oracle.stored(work.index)[0] if verb.read and work.index.exists() else {}
            earlier = files(work.out)
            work.run()
            content, exports = oracle.content(work.index), (earlier, files(work.out))
            self._straight[name] = Undisturbed(before, work.names(), content, exports, work.moments, work.seconds)
            assert not (left := list(oracle.leftovers(work.index))), left
            work.delete()
        return self._straight[name]

    @contextmanager
    def _watched(self, verb: Verb, work: Work, straight: Undisturbed, seed: int) -> Iterator[None]:
        """Read the index meanwhile, which must not fail."""
        if not verb.read:
            yield
            return
        stop, count = Event(), FORKED.Value("i", 0)
        with ThreadPoolExecutor(1) as threads:
            reader = threads.submit(
                watch, work.index, straight.before, straight.content.state, verb.whole, stop, seed, count, REST
            )
            try:
                yield
            finally:
                stop.set()
            reader.result()
        self.answers += count.value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="End after these, whatever was killed.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbs", nargs="+", choices=VERBS, default=list(VERBS), help="In turn. Default: all.")
    options = parser.parse_args()
    end, failures = time.monotonic() + 60 * options.minutes, 0
    folder = Path(tempfile.mkdtemp(prefix="clipdb-kills-"))
    # The server that processes are forked from starts with the first, and has the library from its beginning.
    os.environ |= {"LD_PRELOAD": str(compiled("killer", folder)), "OMP_NUM_THREADS": "1"}
    with serving() as server:
        kills = Kills(Made(folder, server.url), folder, options.seed)
        for number, name in enumerate(itertools.cycle(options.verbs)):
            if kills.killed.total() >= options.kills or time.monotonic() > end:
                break
            try:
                kills.chain(number, name)
            except Exception:
                failures += 1
                traceback.print_exc()
                print(f"{number} {name}: FAILED, see {folder / str(number)}", flush=True)
    how = ", ".join(f"{count} by the {what}" for what, count in sorted(kills.killed.items()))
    print(f"{kills.killed.total()} kills ({how}) in {number} chains, {kills.answers} answers, {failures} failures")
    if failures:
        sys.exit(1)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
