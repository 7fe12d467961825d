"""Import of 51,200 images x 48 heads x 64 in float16 into a new index, against the export that made the artefact.

    python benchmarks/import.py

The index is synthetic and is built in a temporary folder first. An import checks every byte and every number. The same
import again finds every row there, and compares them.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
from pathlib import Path

from measure import alternate, report

from clipdb.artefact.export import Options, export_index
from clipdb.artefact.merge import import_artefact
from queries import HEADS, LAYERS, SIZE, build


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=51_200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="Where to build and write; else where temporary files go.")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        index, exported, imported = (Path(folder) / name for name in ("index.clipdb", "export", "imported.clipdb"))
        build(index, options.images)

        def export() -> None:
            shutil.rmtree(exported, ignore_errors=True)
            export_index(index, exported, Options())

        def into_new() -> None:
            shutil.rmtree(imported, ignore_errors=True)
            import_artefact(imported, exported)

        def again() -> None:
            import_artefact(imported, exported)

        times = alternate(export, into_new, options.repeats)
        skipping = alternate(export, again, options.repeats)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    what = f"{options.images:,} images x {len(LAYERS) * HEADS} heads x {SIZE}"
    for name, timing, most in ((f"import, {what}", times, 3.0), ("the same again: all is there", skipping, None)):
        report(
            f"{name}: time over the export's",
            timing.ratio,
            most=most,
            detail=f"{timing.spread}; {min(timing.candidate):.2f} against {min(timing.baseline):.2f} s at best",
        )
    report("export and import: peak memory, MiB", peak, detail="of the process, imported libraries among it")


if __name__ == "__main__":
    main()
