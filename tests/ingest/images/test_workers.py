"""The decoding pool: order, failures, and workers that die."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipdb.errors import ClipdbError
from clipdb.ingest.images.decoding import worker_process
from clipdb.ingest.images.decoding.workers import DecodePool
from clipdb.models.preprocess import ImageFacts, Preprocess, decode

P = Preprocess(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
PROC = Path("/proc")
needs_proc = pytest.mark.skipif(not PROC.is_dir(), reason="reads /proc")


def picture(seed: int, side: int = 48, kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side + seed % 7, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **({"compress_level": 1} if kind == "PNG" else {}))
    return buffer.getvalue()


SLOW = picture(0, 2000)  # some tenths of a second each: a worker can be caught at it


def children(parent: int) -> list[int]:
    found = []
    for entry in PROC.iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, NotADirectoryError):
            continue
        if entry.name.isdigit() and int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(entry.name))
    return found


def resident(process: int) -> int:
    try:
        return int((PROC / str(process) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    except (OSError, IndexError):  # it has just ended
        return 0


def until(condition: object, seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with DecodePool(P, 2) as pool:
        yield pool


@pytest.mark.parametrize("workers", [0, 1])
def test_results_come_in_order_and_equal_decode(workers: int) -> None:
    images = [picture(seed) for seed in range(53)]
    with DecodePool(P, workers) as pool:
        batch = pool.submit(images).result(60)
    oracle = [decode(image, P) for image in images]
    assert batch.pixels.dtype == np.uint8
    assert np.array_equal(batch.pixels, np.stack([one.pixels for one in oracle]))
    assert batch.decoded == [ImageFacts(one.width, one.height, "PNG") for one in oracle]


@pytest.mark.parametrize("workers", [0, 2])
def test_failures_keep_their_place(workers: int) -> None:
    images = [picture(1), b"no image", picture(2), b"", picture(3)[:60]]
    with DecodePool(P, workers) as pool:
        batch = pool.submit(images).result(60)
    assert [isinstance(result, str) for result in batch.decoded] == [False, True, False, True, True]
    assert "not an image" in str(batch.decoded[1])
    assert np.array_equal(batch.pixels, np.stack([decode(images[i], P).pixels for i in (0, 2)]))


def test_many_batches_at_once(pool: DecodePool) -> None:
    batches = [[picture(seed + 100 * number) for seed in range(number % 5)] for number in range(20)]
    futures = [pool.submit(batch) for batch in batches]
    for batch, future in zip(batches, futures, strict=True):
        decoded = future.result(60)
        assert decoded.pixels.shape == (len(batch), 32, 32, 3)
        for image, pixels in zip(batch, decoded.pixels, strict=True):
            assert np.array_equal(pixels, decode(image, P).pixels)


@needs_proc
def test_a_killed_worker_costs_no_image() -> None:
    images = [SLOW] * 32
    before = set(children(os.getpid()))
    with DecodePool(P, 2) as pool:
        pool.submit([picture(0)] * 40).result(60)
        future = pool.submit(images)
        killed = 0
        while killed < 2 and not future.done():
            time.sleep(0.25)
            for worker in set(children(os.getpid())) - before:
                os.kill(worker, signal.SIGKILL if killed % 2 else signal.SIGSEGV)
                killed += 1
                break
        batch = future.result(120)
    assert killed == 2
    assert all(isinstance(result, ImageFacts) for result in batch.decoded)
    assert np.array_equal(batch.pixels, np.stack([decode(SLOW, P).pixels] * 32))


@needs_proc
def test_an_image_that_kills_every_worker_costs_only_itself() -> None:
    before = set(children(os.getpid()))
    deadly = picture(9, 4500, "BMP")  # whoever takes it is killed while at it, as a crashing decoder would be
    done = threading.Event()

    with DecodePool(P, 1) as pool:
        pool.submit([picture(0)]).result(60)
        (worker,) = set(children(os.getpid())) - before
        usual = resident(worker)

        def kill_whoever_is_busy() -> None:
            while not done.is_set():
                for worker in set(children(os.getpid())) - before:
                    if resident(worker) > usual + 40 * 2**20:  # only the large picture takes as much
                        os.kill(worker, signal.SIGKILL)
                time.sleep(0.002)

        killer = threading.Thread(target=kill_whoever_is_busy)
        killer.start()
        try:
            images = [picture(1), picture(2), deadly, picture(3), picture(4)]
            batch = pool.submit(images).result(120)
        finally:
            done.set()
            killer.join()
    assert [isinstance(result, str) for result in batch.decoded] == [False, False, True, False, False]
    assert "crashed on it 3 times (SIGKILL)" in str(batch.decoded[2])
    assert np.array_equal(batch.pixels, np.stack([decode(images[i], P).pixels for i in (0, 1, 3, 4)]))


@needs_proc
def test_a_worker_that_hangs_costs_one_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "_IMAGE_S", 2.0)
    before = set(children(os.getpid()))
    images = [picture(seed) for seed in range(5)]
    with DecodePool(P, 1) as pool:
        pool.submit(images).result(60)
        (worker,) = set(children(os.getpid())) - before
        os.kill(worker, signal.SIGSTOP)
        batch = pool.submit(images).result(60)
    assert batch.decoded[0] == "the decoder did not finish in 2 s"
    assert np.array_equal(batch.pixels, np.stack([decode(image, P).pixels for image in images[1:]]))


@pytest.mark.parametrize("workers", [0, 2])
def test_leaving_early_cancels_what_is_not_done(workers: int) -> None:
    with DecodePool(P, workers) as pool:
        futures = [pool.submit([SLOW] * 64) for _ in range(3)]
    for future in futures:
        with pytest.raises(CancelledError):
            future.result(30)
    with pytest.raises(ClipdbError, match="closed"):
        pool.submit([SLOW])


@needs_proc
def test_leaving_leaves_no_process() -> None:
    before = set(children(os.getpid()))
    with DecodePool(P, 2) as pool:
        pool.submit([picture(1)]).result(60)
        during = set(children(os.getpid())) - before
    assert len(during) == 2
    assert not set(children(os.getpid())) - before


def test_workers_that_cannot_start_say_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "PIL.py").write_text("raise ImportError('libjpeg is missing')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with DecodePool(P, 2) as pool, pytest.raises(ClipdbError, match=r"libjpeg is missing.*--workers 0"):
        pool.submit([picture(1)] * 40).result(60)


def test_a_negative_number_of_workers_is_refused() -> None:
    with pytest.raises(ClipdbError, match="-1 workers"):
        DecodePool(P, -1)


SCRIPT = textwrap.dedent(
    """
    import io, sys, time
    from PIL import Image
    from clipdb.models.preprocess import Preprocess
    from clipdb.ingest.images.decoding.workers import DecodePool

    # no __main__ guard, on purpose
    buffer = io.BytesIO()
    Image.effect_noise((2000, 2000), 90).save(buffer, "PNG", compress_level=1)
    with DecodePool(Preprocess(32, (.5,) * 3, (.5,) * 3), 2) as pool:
        pool.submit([buffer.getvalue()] * 4).result()
        futures = [pool.submit([buffer.getvalue()] * 64) for _ in range(4)]
        print("busy", flush=True)
        try:
            futures[-1].result()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
)


def start(tmp_path: Path) -> subprocess.Popen[str]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        process_group=0,
    )
    assert process.stdout
    assert process.stdout.readline() == "busy\n"
    return process


@needs_proc
def test_workers_go_when_the_parent_is_killed(tmp_path: Path) -> None:
    parent = start(tmp_path)
    workers = children(parent.pid)
    assert len(workers) == 2
    parent.kill()
    parent.communicate()
    assert until(lambda: not any((PROC / str(worker)).exists() for worker in workers), seconds=5)


@needs_proc
def test_ctrl_c_is_the_parents_alone(tmp_path: Path) -> None:
    parent = start(tmp_path)
    workers = children(parent.pid)
    for worker in workers:
        os.kill(worker, signal.SIGINT)  # even one sent to them by name
    time.sleep(0.3)
    assert children(parent.pid) == workers
    os.killpg(parent.pid, signal.SIGINT)  # what the terminal does
    out, errors = parent.communicate(timeout=30)
    assert (out, errors, parent.returncode) == ("interrupted\n", "", 0)
    assert until(lambda: not any((PROC / str(worker)).exists() for worker in workers), seconds=5)
