"""Send SIGINT to verbs that load a model, at moments that are drawn by chance.

``python tests/helpers/interrupts.py [VERB...]`` interrupts each verb twelve times and prints what came of it; the
suite does fewer.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# A shell that runs the suite in the background has children ignore Ctrl-C.
_COMMAND = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from clipdb.__main__ import main; "
_COMMAND += "main()"
_TICKS = os.sysconf("SC_CLK_TCK")
CPU_SECONDS = 2.0
"""How much a command may compute after Ctrl-C."""


@dataclass(frozen=True)
class Verb:
    """A command line that loads a model; {index} is a fresh copy of an index with the pool `scenes` for writers."""

    arguments: tuple[str, ...]
    writes: bool = False


VERBS: Mapping[str, Verb] = {
    "explain": Verb(("explain", "{image}", "a zebra")),
    "text-neighbours": Verb(("query", "text-neighbours", "a zebra", "--head", "L3.H0")),
    "neighbours": Verb(("query", "neighbours", "{image}", "--head", "L3.H0")),
    "ablate": Verb(("query", "ablate", "--heads", "L3.H1", "--target", "background", "--template", "{{}} here")),
    "contributions": Verb(("query", "contributions", "{image}", "--text", "a zebra")),
    "sql": Verb(("query", "select * from text_neighbours(null, 'L3.H0', 'a zebra'), range(3)")),
    "segment": Verb(("segment", "{image}", "--text", "a zebra")),
    "span": Verb(("span", "--pool", "general"), writes=True),
    "ingest images": Verb(("ingest", "images", "{more}", "--model", "clipdb-tiny/scenes"), writes=True),
    "ingest texts": Verb(("ingest", "texts", "--pool", "general"), writes=True),
    "demo": Verb(("demo", "{folder}", "--scenes", "40", "--no-names"), writes=True),
}


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its code, its stderr, and the CPU seconds before and after the signal."""

    code: int
    errors: str
    before: float
    after: float

    @property
    def stopped(self) -> bool:
        lines = [line for line in self.errors.splitlines() if not line.startswith("note:")]
        return self.code == 130 and len(lines) == 1 and lines[0].startswith("Stopped") and self.after < CPU_SECONDS


def prepare(folder: Path) -> None:
    """Make an index of scenes and, beside it, pictures that it lacks."""
    from support import done

    from clipdb.demo import write_scenes

    done("demo", folder / "demo", "--scenes", 20, "--no-names")
    write_scenes(folder / "more", 40, seed=99)


def command(verb: Verb, folder: Path) -> list[str]:
    """Fill in a command line, with an index of its own if it writes to one."""
    index = folder / "demo" / "demo.clipdb"
    if verb.writes:
        shutil.rmtree(folder / "own", ignore_errors=True)
        index = Path(shutil.copytree(index, folder / "own" / "own.clipdb"))
    image = min((folder / "more").glob("*.png"))
    words = [one.format(image=image, more=folder / "more", folder=folder / "own" / "demo") for one in verb.arguments]
    return words if words[0] == "demo" else [*words, "-i", str(index)]


def interrupted(arguments: list[str], moment: float | None) -> Outcome:
    """Run a command, with Ctrl-C once it has used so many seconds of CPU."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        try:
            if moment is not None:
                while (before := cpu(process.pid)) < moment:
                    time.sleep(0.002)
                os.killpg(process.pid, signal.SIGINT)  # as a terminal does
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        total = used.ru_utime + used.ru_stime
        before = total if moment is None else before
        errors.seek(0)
        return Outcome(process.returncode, errors.read(), before, total - before)


def cpu(pid: int) -> float:
    """Read how many CPU seconds a process has used; infinity once it has ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return float("inf") if fields[0] == "Z" else (int(fields[11]) + int(fields[12])) / _TICKS


def main(names: Sequence[str], times: int = 12) -> None:
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder)
        for name in names:
            verb = VERBS[name]
            whole = interrupted(command(verb, folder), None)
            assert whole.code == 0, whole
            # Not the last fifth, in which the answer is out and the process only ends.
            outcomes = [
                interrupted(command(verb, folder), chance.uniform(0.15, 0.8 * whole.before)) for _ in range(times)
            ]
            good = sum(one.stopped for one in outcomes)
            most = max(one.after for one in outcomes)
            print(f"{name:16} {whole.before:5.1f} s: stopped {good} of {times}, after {most:.2f} s at most", flush=True)
            for one in outcomes:
                if not one.stopped:
                    print("   ", json.dumps(one.__dict__), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(VERBS))
