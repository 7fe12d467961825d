"""A picture that somebody brings: its page has the five analyses, and the model runs in a process of its own."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

import pytest
from page_parts import Client, Parts, client_of
from PIL import Image
from support import MODEL

import clipdb
from clipdb.explorer.model_client import Models
from clipdb.explorer.site import Site
from clipdb.explorer.uploads import MOST, Uploads

BASE = f"/models/{MODEL}"


@pytest.fixture(scope="module")
def page(explorer: Client, new_picture: Path) -> str:
    """The address of the page of a picture that was brought."""
    sent = explorer.post(f"{BASE}/images", files={"image": ("mine.png", new_picture.read_bytes(), "image/png")})
    assert sent.status_code == 303
    return sent.headers["location"]


def test_a_picture_gets_the_neighbours_that_the_command_line_finds(
    explorer: Client, page: str, new_picture: Path, shown_index: Path
) -> None:
    assert page == f"{BASE}/images/{hashlib.sha256(new_picture.read_bytes()).hexdigest()}"
    shown = explorer.settled(page)
    assert shown.status_code == 200 and "mine.png" in Parts(shown.text).text
    with clipdb.open(shown_index, device="cpu") as index:
        truth = index.query.embedding_neighbours(image=str(new_picture), k=8).fetchall()
    strip = re.search(r"whole embedding.*?</tr>", shown.text, flags=re.DOTALL)
    assert strip and re.findall(r'src="/images/([0-9a-f]{64})', strip[0]) == [row[2] for row in truth]


def test_the_five_analyses(explorer: Client, page: str) -> None:
    like = explorer.settled(f"{page}?like=colour&unlike=shape").text
    assert "like: colour" in Parts(like).text and "<td colspan" not in like
    why = explorer.settled(f"{page}?text=something+that+no+pool+has").text
    assert "cos = " in why
    for asked in ("text=a+red+star", "text=a+red+star&against=a+blue+star", "text=a+red+star&head=L3.H0,L1.H1"):
        shown = explorer.settled(f"{page}/segment?{asked}")
        assert shown.status_code == 200
        pictures = [one for one in Parts(shown.text).addresses if one.endswith("webp") or ".webp?" in one]
        assert len(pictures) == 2 * (2 if "head" in asked else 1)
        for address in pictures:
            picture = explorer.get(address)
            assert Image.open(BytesIO(picture.content)).size == (512, 512)
    words = explorer.settled(f"{BASE}/heads/L3.H0?text=something+that+no+pool+has").text
    assert "Nearest to the words" in words
    image = page.rpartition("/")[2]
    answer = explorer.settled(f"/api/queries/neighbours?head=L3.H0&k=3&image={image}").json()
    assert len(answer["rows"]) == 3 and "mine.png" in answer["command"] and "clipdb-uploads" not in answer["sql"]


def test_a_segmentation_is_the_one_of_the_command_line(
    explorer: Client, page: str, new_picture: Path, shown_index: Path
) -> None:
    shown = Parts(explorer.settled(f"{page}/segment?text=a+red+star&head=L3.H0").text).text
    with clipdb.open(shown_index, device="cpu") as index:
        truth = clipdb.segment(index, new_picture, "a red star", heads=["L3.H0"])
    assert f"share {truth.total:+.4f}".replace("-", "\N{MINUS SIGN}") in shown


def test_a_brought_picture_is_shown_from_its_pixels_only(explorer: Client, page: str, new_picture: Path) -> None:
    image = page.rpartition("/")[2]
    for size in ("thumb", "full"):
        sent = explorer.get(f"/images/{image}/{size}")
        assert sent.headers["content-type"] == "image/webp" and sent.content != new_picture.read_bytes()
        assert Image.open(BytesIO(sent.content)).format == "WEBP"


def test_an_unknown_picture_is_not_found(explorer: Client) -> None:
    answer = explorer.get(f"{BASE}/images/{'1' * 64}/segment?text=x")
    assert answer.status_code == 404 and "forgotten" in answer.text


def test_only_so_many_pictures_are_kept() -> None:
    uploads = Uploads()
    made = []
    for number in range(MOST + 2):
        file = BytesIO()
        Image.new("RGB", (1, 1), (number, 0, 0)).save(file, "PNG")
        made.append(uploads.add(file.getvalue(), "x.png"))
    assert [uploads.path(one) is None for one in made] == [True, True] + [False] * MOST
    paths = [path for one in made if (path := uploads.path(one))]
    assert all(path.is_file() for path in paths)
    uploads.close()
    assert not any(path.exists() for path in paths)


def test_the_process_stops_when_nobody_asks(shown_index: Path) -> None:
    models = Models({"path": str(shown_index), "device": "cpu", "checkpoint": None}, idle_seconds=0.5)
    end = time.monotonic() + 60
    while True:
        try:
            assert models.texts(MODEL, ["some words"]).shape == (1, 128)
            break
        except clipdb.ClipdbError as error:
            assert error.kind == "busy" and time.monotonic() < end
    process = models._process
    assert process is not None
    process.wait(30)
    assert models.pid is None
    with pytest.raises(clipdb.ClipdbError) as busy:  # it is started again
        models.texts(MODEL, ["other words"])
    assert busy.value.kind == "busy"
    started = models._process
    models.close()
    assert started is None or started.wait(10) is not None


def test_a_process_that_dies_is_started_again(shown_index: Path) -> None:
    """Whoever waits for it may be told that it ended; who asks once more gets the answer."""
    site = Site(shown_index, device="cpu", thumbnails=Path(os.devnull) / "none")
    with client_of(site) as client:
        address = f"/api/queries/text-heads?text=words+of+{time.monotonic_ns()}"
        assert client.settled(address).status_code == 200
        process = site.models.pid
        assert process is not None
        os.kill(process, signal.SIGKILL)
        first, second = (client.settled(f"{address}+again") for _ in range(2))
        assert first.status_code == 200 or "ended" in first.json()["detail"]
        assert second.status_code == 200 and site.models.pid not in (None, process)


def test_the_server_never_imports_torch(shown_index: Path, tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from page_parts import client_of\n"
        "from clipdb.explorer.site import Site\n"
        f"site = Site({str(shown_index)!r}, device='cpu', thumbnails=pathlib.Path({str(tmp_path)!r}, 't.db'))\n"
        "with client_of(site) as client:\n"
        f"    assert client.settled('{BASE}?text=words+that+are+new').status_code == 200\n"
        f"    assert client.settled('{BASE}/heads/L1.H0').status_code == 200\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('torch', 'open_clip', 'matplotlib')])"
    )
    helpers = str(Path(__file__).parents[1] / "helpers")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([helpers, *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
