"""What a page of the explorer costs over its queries alone, how much memory it takes, and how many can read at once.

A server keeps what was asked of a state of the index; the queries that a page is compared with are asked each time.

    python benchmarks/serve.py [--index INDEX]

The index is the synthetic one of benchmarks/queries.py, 51,200 images x 48 heads x 64, unless another is named.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from measure import alternate, report, seconds

import clipdb
import queries
from clipdb.explorer.answering import ask
from clipdb.explorer.pages.head import IMAGES
from clipdb.explorer.pages.image import NEIGHBOURS
from clipdb.explorer.pages.images import ON_A_PAGE

READERS, PAGES_EACH = 20, 10
_MOST_MS = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=51_200)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--index", type=Path, help="An index to show in place of the synthetic one.")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="clipdb-"))
    path = options.index or folder / "synthetic.clipdb"
    try:
        if not path.exists():
            queries.build(path, options.images)
        measure(path, options.repeats)
    finally:
        shutil.rmtree(folder)


def measure(path: Path, repeats: int) -> None:
    """Start a server in a process of its own, and ask it."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "clipdb", "serve", "-i", str(path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            assert server.stdout is not None
            url = next(word for word in server.stdout.readline().split() if word.startswith("http"))
            report("server up", time.perf_counter() - begun, most=1.5, detail="seconds")
            report("resident before the first head", resident(server.pid), most=350, detail="MB")
            with clipdb.open(path, models=False) as index:
                pages(index, url, repeats)
            at_once(url)
            report("resident after all heads", resident(server.pid), most=500, detail="MB")
        finally:
            server.terminate()


def pages(index: clipdb.Index, url: str, repeats: int) -> None:
    """Time each page against its queries, asked in this process."""
    [(model, head)] = index.sql("select model_id, name from heads order by layer desc, head limit 1").fetchall()
    [(image,)] = index.sql("select min(image_id) from images").fetchall()
    surest = "select min(name) from head_properties where model_id = $model group by property_key"
    names = [row[0] for row in index.sql(surest, model=model).fetchall()]

    def asked(*questions: tuple[str, dict[str, object]]) -> Callable[[], object]:
        return lambda: [ask(index, name, model=model, **given) for name, given in questions]

    seen = [("neighbours", {"image": image, "head": name, "k": NEIGHBOURS}) for name in names]
    compared = {
        "gallery": (
            f"models/{model}/images",
            lambda: ask(index, "images", k=ON_A_PAGE),
        ),
        "head": (
            f"models/{model}/heads/{head}",
            asked(*((name, {"head": head}) for name in ("head", "sources", "verdicts")),
                  ("activating", {"head": head, "k": IMAGES})),
        ),
        "image": (
            f"models/{model}/images/{image}",
            asked(("embedding_neighbours", {"image": image, "k": NEIGHBOURS}), *seen),
        ),
        "model": (
            f"models/{model}",
            asked(("heads", {}), ("entanglement", {}), ("association", {})) if judged(index) else
            asked(("heads", {}), ("entanglement", {})),
        ),
    }  # fmt: skip
    for name, (address, alone) in compared.items():
        timed = alternate(alone, lambda address=address: fetched(url + address), repeats)  # type: ignore[misc]
        page, query = (1000 * statistics.median(times) for times in (timed.candidate, timed.baseline))
        detail = f"{page:.0f} ms over {query:.0f} ms; {timed.spread}"
        report(f"page `{name}` over its queries", timed.ratio, most=1.5, detail=detail)
        report(f"page `{name}`", page, most=_MOST_MS, detail="ms, warm")
    heads = [row[0] for row in index.sql("select name from heads where model_id = $model", model=model).fetchall()]
    first = [1000 * seconds(lambda head=head: fetched(f"{url}models/{model}/heads/{head}")) for head in heads]  # type: ignore[misc]
    detail = f"ms, median of {len(heads)} heads; {min(first):.0f} to {max(first):.0f}"
    report("page `head`, first time", statistics.median(first), most=_MOST_MS, detail=detail)


def judged(index: clipdb.Index) -> bool:
    """Return whether anybody has judged spans, without which there is no association."""
    return bool(index.sql("select 1 from judgements limit 1").fetchall())


def at_once(url: str) -> None:
    """Let many read heads at the same time."""
    rows = json.loads(fetched(f"{url}api/queries/heads"))["rows"]
    times: list[float] = []

    def read(number: int) -> None:
        for turn in range(PAGES_EACH):
            model, head = rows[(7 * number + turn) % len(rows)][:2]
            begun = time.perf_counter()
            fetched(f"{url}models/{model}/heads/{head}")
            times.append(time.perf_counter() - begun)

    readers = [threading.Thread(target=read, args=(number,)) for number in range(READERS)]
    for one in readers:
        one.start()
    for one in readers:
        one.join()
    assert len(times) == READERS * PAGES_EACH, "a reader failed"
    late = sorted(times)[int(0.95 * len(times))]
    report(f"95 % of the pages of {READERS} readers at once", late, most=1, detail="seconds")


def fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return bytes(answer.read())


def resident(process: int) -> float:
    """Return how much memory a process has, in MB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1000


if __name__ == "__main__":
    main()
