"""What the scripts share: fetching, and measured figures beside printed ones."""

from __future__ import annotations

import argparse
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

import clipdb


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Make a parser with the options that all scripts have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, help="Folder of the data; fetched where it isn't there.")
    parser.add_argument("--index", type=Path, required=True, help="The index; made where it isn't there.")
    parser.add_argument("--model", default="ViT-L-14/laion2b_s32b_b82k", help="The model, as open_clip names it.")
    parser.add_argument("--layers", default="last4", help="Layers whose heads are kept.")
    parser.add_argument("--templates", default="openai", help="openai, or a file with a template a line.")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--printed", type=float, nargs="*", default=[], help="The table's figures, in percent.")
    return parser


def fetch_tar(url: str, folder: Path) -> Path:
    """Download an archive that has one folder, and unpack that under this name, unless it is there."""
    if not folder.is_dir():
        print(f"fetching {url}")
        archive, _ = urllib.request.urlretrieve(url)
        with tarfile.open(archive) as tar, tempfile.TemporaryDirectory(dir=folder.parent) as unpacked:
            tar.extractall(unpacked, filter="data")
            (only,) = Path(unpacked).iterdir()
            only.rename(folder)
    return folder


def run(main: Callable[[], None]) -> None:
    """Run a script; what a person can mend is one line."""
    try:
        main()
    except (clipdb.ClipdbError, OSError) as error:  # no network, among others
        raise SystemExit(f"Error: {error}") from error


def compare(figures: Sequence[tuple[str, float]], printed: Sequence[float]) -> None:
    """Print each figure in percent, and beside it what the paper's table has, in the same order."""
    if printed and len(printed) != len(figures):
        names = "; ".join(name for name, _ in figures)
        raise SystemExit(f"--printed takes {len(figures)} figures, in this order: {names}")
    for place, (name, figure) in enumerate(figures):
        other = f"  printed {printed[place]:5.1f}  {100 * figure - printed[place]:+5.1f}" if printed else ""
        print(f"{name:32} {100 * figure:5.1f}{other}")
