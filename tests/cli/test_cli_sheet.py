from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from built_index import SPANS, Built, Run, build
from PIL import Image

from clipdb.cli.sheet import CELL, COLUMNS, MARGIN, contact_sheet
from clipdb.schema import catalog

GREY = (211, 211, 211)
TOP, STEP = 30, CELL + MARGIN


def cell(sheet: Path, place: int) -> np.ndarray:
    """Cut a cell's picture out of a sheet."""
    x = MARGIN + place % COLUMNS * STEP
    y = TOP + place // COLUMNS * (STEP + 34)
    return np.asarray(Image.open(sheet).convert("RGB"))[y : y + CELL, x : x + CELL]


@pytest.fixture
def coloured(tmp_path: Path) -> Built:
    """An index whose image number n is a picture of one colour, (6 n, 0, 0)."""

    def picture(number: int) -> bytes:
        file = io.BytesIO()
        Image.new("RGB", (20, 20), (6 * number, 0, 0)).save(file, "PNG")
        return file.getvalue()

    return build(tmp_path / "coloured.clipdb", content=picture)


def test_a_sheet_shows_the_image_and_its_neighbours_in_order(run: Run, coloured: Built, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    asked = ("query", "neighbours", coloured.ids[3], "--head", "L2.H1", "--k", "7")
    plain = run(*asked, "-f", "csv", index=coloured.path)
    result = run(*asked, "-f", "csv", "--sheet", str(sheet), index=coloured.path)
    assert result.exit_code == 0 and result.stdout == plain.stdout
    found = [line.split(",")[2] for line in result.stdout.splitlines()[1:]]
    for place, image in enumerate([coloured.ids[3], *found]):
        assert (cell(sheet, place) == (6 * coloured.ids.index(image), 0, 0)).all()
    assert Image.open(sheet).size == (COLUMNS * STEP + MARGIN, TOP + 2 * (STEP + 34))


@pytest.mark.parametrize(
    "asked",
    [
        ("text-neighbours", SPANS[0], "--head", "L2.H1"),
        ("property-neighbours", "IMAGE", "--like", "counting"),
        ("embedding-neighbours", "IMAGE"),
    ],
)
def test_every_search_for_images_draws_one(run: Run, coloured: Built, tmp_path: Path, asked: tuple[str, ...]) -> None:
    sheet = tmp_path / "sheet.png"
    words = [coloured.ids[0] if word == "IMAGE" else word for word in asked]
    result = run("query", *words, "--k", "3", "--sheet", str(sheet), index=coloured.path)
    assert result.exit_code == 0, result.stderr
    assert (cell(sheet, 0) == cell(sheet, 0)[0, 0]).all() and Image.open(sheet).format == "PNG"
    assert "--sheet FILE.png" in run("query", asked[0], "--help").stdout


def test_what_is_gone_or_not_the_image_is_grey(run: Run, coloured: Built, tmp_path: Path) -> None:
    """A picture in a shard is shown; one that is not what its row says is not, whoever wrote the row."""
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        archive.add(coloured.files[5], "5.png")
    os.mkfifo(tmp_path / "pipe.png")
    odd = {
        0: str(coloured.files[0].with_name("gone.png")),
        1: str(tmp_path / "pipe.png"),
        2: str(coloured.files[7]),
        4: str(coloured.files[4].rename(coloured.files[4].with_name("four#4.png"))),
        5: str(tmp_path / "shard.tar#5.png"),
    }
    with catalog.connect(coloured.path, read_only=False) as connection:
        for number, uri in odd.items():
            connection.execute("update images set uri = ? where image_id = ?", [uri, coloured.ids[number]])
    coloured.files[3].write_text("no picture")
    sheet = tmp_path / "sheet.png"
    result = run(
        "query", "neighbours", coloured.ids[9], "--head", "L2.H1", "--k", "99", "-f", "csv", "--sheet", str(sheet),
        index=coloured.path,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    found = [line.split(",")[2] for line in result.stdout.splitlines()[1:]]
    assert len(found) == 39
    for place, image in enumerate(found, start=1):
        number = coloured.ids.index(image)
        if number < 4:  # gone, no file, another picture, no picture
            shown = cell(sheet, place)
            assert (shown[:4] == GREY).all() and (shown != GREY).any()  # the reason is written on it
        else:
            assert (cell(sheet, place) == (6 * number, 0, 0)).all()


@pytest.mark.parametrize("query", ["image-texts", "text-texts", "heads"])
def test_what_lists_no_images_has_no_sheet(run: Run, built: Built, tmp_path: Path, query: str) -> None:
    subject = {"image-texts": [built.ids[0], "--head", "L1.H0"], "text-texts": [SPANS[0], "--head", "L1.H0"]}
    result = run("query", query, *subject.get(query, []), "--sheet", str(tmp_path / "sheet.png"))
    assert result.exit_code == 2 and f"{query} lists no images" in result.stderr
    assert result.stdout == "" and not (tmp_path / "sheet.png").exists()
    assert "--sheet" not in run("query", query, "--help").stdout


@pytest.mark.parametrize(
    ("name", "problem"),
    [("sheet.jpg", "sheet.jpg is not a .png file: --sheet draws PNG"), ("none/sheet.png", "can't write")],
)
def test_a_file_that_cant_be_is_said(run: Run, coloured: Built, tmp_path: Path, name: str, problem: str) -> None:
    asked = ("query", "neighbours", coloured.ids[0], "--head", "L2.H1", "--sheet", str(tmp_path / name))
    result = run(*asked, index=coloured.path)
    assert result.exit_code == 1 and problem in result.stderr and len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_a_header_that_names_other_columns_is_said(run: Run, built: Built, tmp_path: Path) -> None:
    (tmp_path / "mine.sql").write_text("-- Mine\n-- sheet: image_id score\nselect image_id from images")
    result = run("query", "--queries", str(tmp_path), "mine", "--sheet", str(tmp_path / "sheet.png"))
    assert result.exit_code == 1 and "`sheet:` names score, and the query has image_id" in result.stderr


def test_pictures_are_fitted_and_turned_upright(run: Run, tmp_path: Path) -> None:
    def picture(number: int) -> bytes:
        wide = Image.new("RGB", (400 + 2 * number, 200 + number), (0, 0, 250))
        exif = wide.getexif()
        exif[0x0112] = 6  # to be turned by 90 degrees
        file = io.BytesIO()
        wide.save(file, "PNG", exif=exif)
        return file.getvalue()

    index = build(tmp_path / "wide.clipdb", content=picture)
    sheet = tmp_path / "sheet.png"
    result = run("query", "neighbours", index.ids[0], "--head", "L2.H1", "--sheet", str(sheet), index=index.path)
    assert result.exit_code == 0, result.stderr
    for place in range(2):
        blue = (cell(sheet, place) == (0, 0, 250)).all(axis=2)
        assert blue.any(axis=1).all() and np.flatnonzero(blue.any(axis=0)).tolist() == list(range(40, 120))


def test_a_long_title_is_cut(tmp_path: Path) -> None:
    titles = ["a title " * 40, "a title " * 80]
    for number, title in enumerate(titles):
        contact_sheet(title, [("no picture", "caption")], tmp_path / f"{number}.png")
    assert (tmp_path / "0.png").read_bytes() == (tmp_path / "1.png").read_bytes()
