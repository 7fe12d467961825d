"""Seconds that `clipdb demo` takes.

python benchmarks/demo.py
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from measure import report, seconds

CLIPDB = Path(sys.executable).with_name("clipdb")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    times = sorted(demo_seconds() for _ in range(options.repeats))
    report("`clipdb demo`: seconds", median(times), most=60, detail=f"{times[0]:.1f} to {times[-1]:.1f} s")


def demo_seconds() -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = [str(CLIPDB), "demo", str(Path(folder) / "demo")]
        return seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


if __name__ == "__main__":
    main()
