"""Scenes, random weights and a ready index that tests of several folders share."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

# Several tests run at once on few cores; and processes that tests start are to be no other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from built_index import Built, build
from llama_server import Llama, llama_server
from once import once
from support import MODEL, done, random_weights

from clipdb.demo import write_scenes

PHOTOS = Path(__file__).parents[2] / "shared" / "photos"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the folders and files that take longest, so that no worker is left with one of them at the end."""
    items.sort(key=lambda item: not (item.path.parent.name == "stress" or item.path.name.startswith("test_docs")))


def pytest_collection_finish() -> None:
    """Have collections of garbage pass over what the tests' modules have imported: it lives to the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 300 pictures of the demo's world."""
    return once(tmp_path_factory, "scenes", lambda folder: write_scenes(folder, 300, seed=7))


@pytest.fixture(scope="session")
def pictures(scenes: Path) -> list[Path]:
    """The files of `scenes`, in order."""
    return sorted(scenes.glob("*.png"))


@pytest.fixture(scope="session")
def some(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[slice], Path]:
    """Make a folder of some of the scenes."""

    def make(which: slice) -> Path:
        folder = tmp_path_factory.mktemp("some")
        for file in sorted(scenes.glob("*.png"))[which]:
            os.link(file, folder / file.name)
        return folder

    return make


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of the demo model's architecture: enough wherever it doesn't matter what a picture shows."""
    made = once(tmp_path_factory, "weights", lambda folder: random_weights(folder / "random.safetensors", seed=3))
    return made / "random.safetensors"


@pytest.fixture(scope="session")
def model(weights: Path) -> tuple[object, ...]:
    """Arguments of `clipdb ingest images` that name the random model."""
    return ("--model", MODEL, "--checkpoint", weights, "--device", "cpu")


@pytest.fixture(scope="session")
def ready_index(scenes: Path, model: tuple[object, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All scenes under the random model, with spans of the pool `scenes`, labels and judgements. Don't write to it."""

    def make(folder: Path) -> None:
        index = folder / "ready.clipdb"
        done("ingest", "images", scenes, *model, "--workers", 0, "-i", index)
        for verb in (["span", "--device", "cpu"], ["label", "--labeller", "vote"], ["judge"]):
            done(*verb, "--pool", "scenes", "-i", index)

    return once(tmp_path_factory, "ready", make) / "ready.clipdb"


@pytest.fixture(scope="session")
def finished_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `clipdb demo` has run, and what it printed, in `printed.txt`. Don't write to it."""

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setenv("COLUMNS", "120")  # as in a pipe; a test runner may say otherwise
            (folder / "printed.txt").write_text(done("demo"), encoding="utf-8")

    return once(tmp_path_factory, "finished-demo", make)


@pytest.fixture
def own_index(ready_index: Path, tmp_path: Path) -> Path:
    """A copy of `ready_index` of the test's own."""
    return Path(shutil.copytree(ready_index, tmp_path / "own.clipdb", symlinks=True))


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llama]:
    """A real OpenAI-compatible server in a process of its own, with a tiny language model of random weights."""
    with llama_server(tmp_path_factory.mktemp("llama")) as server:
        yield server


@pytest.fixture
def photos() -> Path:
    """Real photographs, where they lie beside the checkout."""
    if not PHOTOS.is_dir():
        pytest.skip("no photographs beside the checkout")
    return PHOTOS


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """One model."""
    return build(tmp_path_factory.mktemp("one") / "one.clipdb")


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Two models over the same images."""
    return build(tmp_path_factory.mktemp("two") / "two.clipdb", models=("one/a", "two/b"))
