from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from built_index import SPANS, Built, Run, build
from PIL import Image

from clipdb.pictures.contact_sheet import Block, Cell, draw_contact_sheet
from clipdb.schema import catalog

GREY = (211, 211, 211)
CELL, COLUMNS, MARGIN = 160, 5, 8
TOP, HEADING, CAPTION, LINE = 48, 26, 36, 16
STEP = CELL + MARGIN


def pixels(sheet: Path) -> np.ndarray:
    return np.asarray(Image.open(sheet).convert("RGB"))


def cell(sheet: Path, place: int, top: int = TOP, size: int = CELL, columns: int = COLUMNS) -> np.ndarray:
    """Cut a cell's picture out of a sheet."""
    x = MARGIN + place % columns * (size + MARGIN)
    y = top + place // columns * (size + MARGIN + CAPTION)
    return pixels(sheet)[y : y + size, x : x + size]


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
    assert Image.open(sheet).size == (COLUMNS * STEP + MARGIN, TOP + 2 * (STEP + CAPTION))


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
    with catalog.changing(coloured.path) as connection:
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
    first = next(image for image in found if coloured.ids.index(image) < 4)
    uri = {**odd, 3: str(coloured.files[3])}[coloured.ids.index(first)]
    assert (
        result.stderr == f"note: 4 of 40 pictures can't be found: {uri} and 3 more are gone, changed or not readable; "
        "where images were moved, `clipdb ingest images NEWFOLDER --model MODEL` writes down their new paths\n"
    )
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
    [
        ("sheet.svg", "sheet.svg is not a picture that can be drawn: --sheet writes .png, .jpg, .jpeg"),
        ("none/sheet.png", "can't write"),
    ],
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


def test_texts_stay_inside_their_cell_and_their_sheet(tmp_path: Path) -> None:
    """A gap without ink stays right of every cell, whatever its caption, and right of the title."""
    captions = ["n02264363_lacewing_and_more_of_it.JPEG", "a caption of very many words that go on", "日本語" * 20, "i"]
    cells = [Cell("no picture " * 40, (text, text)) for text in captions]
    draw_contact_sheet(("a title " * 80, "l" * 900), [Block("a heading " * 40, cells)], tmp_path / "s.png", columns=4)
    drawn = pixels(tmp_path / "s.png")
    assert drawn.shape[1] == 4 * STEP + MARGIN
    ink = (drawn < 200).any(axis=2)
    assert ink[:TOP].any() and not ink[:, -MARGIN:].any() and not ink[:, :MARGIN].any()
    for place in range(1, 4):
        gap = MARGIN + place * STEP - MARGIN
        assert not ink[TOP + HEADING :, gap : gap + MARGIN].any()
        assert ink[TOP + HEADING + CELL :, gap : gap + STEP].any()


def test_a_files_name_keeps_its_end_and_a_sentence_its_beginning() -> None:
    from PIL import ImageFont

    from clipdb.pictures.contact_sheet import cut

    font = ImageFont.load_default(13)
    assert cut("scene-00001.png", font, 160) == "scene-00001.png"
    name, sentence = cut("n02264363_lacewing_and_more.JPEG", font, 100), cut("a caption of many words", font, 100)
    assert name[0] == "…" and "n02264363_lacewing_and_more.JPEG".endswith(name[1:]) and font.getlength(name) <= 100
    assert sentence[-1] == "…" and "a caption of many words".startswith(sentence[:-1])
    assert 80 < font.getlength(sentence) <= 100


def test_most_and_least_are_two_blocks(run: Run, coloured: Built, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    asked = ("query", "activating", "L2.H1", "--k", "7", "-f", "csv", "--sheet", str(sheet))
    result = run(*asked, index=coloured.path)
    assert result.exit_code == 0 and result.stderr == ""
    rows = [line.split(",") for line in result.stdout.splitlines()[1:]]
    tops = {"most": TOP + HEADING, "least": TOP + 2 * (STEP + CAPTION) + 2 * HEADING}
    for side, rank, _, image, *_ in rows:
        assert (cell(sheet, int(rank) - 1, tops[side]) == (6 * coloured.ids.index(image), 0, 0)).all()
    for top in tops.values():
        heading = pixels(sheet)[top - HEADING : top]
        assert (heading < 128).any() and (heading[:, 200:] == 255).all()
    assert Image.open(sheet).size[1] == tops["least"] + 2 * (STEP + CAPTION)


def test_the_title_says_the_question(built: Built) -> None:
    import clipdb
    from clipdb.pictures.query_sheet import _question
    from clipdb.queries.named.sql_files import find_query

    def title(name: str, **given: object) -> str:
        query = find_query(name)
        with clipdb.open(built.path) as index:
            return _question(index, query, index.bind(query, given))

    assert title("text_neighbours", text="a red\nthing", head="l2.h1") == "L2.H1 · a red thing"
    assert title("neighbours", image=built.ids[0], head="L2.H1", measure="cosine", k=3) == "L2.H1"
    assert title("neighbours", image=built.ids[0], head="L2.H1", measure="dot") == "L2.H1 · measure dot"
    # The spans of L1.H0 begin with the second text.
    assert title("activating", head="L1.H0", span=1) == f"L1.H0 · {SPANS[1]}"
    asked = {"image": built.ids[0], "like": "colour", "unlike": "shape:2"}
    assert title("property_neighbours", **asked) == "like colour · unlike shape:2"
    assert title("embedding_neighbours", image=built.ids[0]) == ""


def test_pictures_may_be_larger_and_fewer_in_a_row_and_jpeg(run: Run, coloured: Built, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.JPG"
    asked = ("query", "neighbours", coloured.ids[3], "--head", "L2.H1", "--k", "4", "-f", "csv", "--sheet", str(sheet))
    result = run(*asked, "--sheet-size", "100", "--sheet-columns", "2", index=coloured.path)
    assert result.exit_code == 0, result.stderr
    with Image.open(sheet) as picture:
        assert picture.format == "JPEG" and picture.size == (
            2 * 108 + 8,
            TOP + 2 * LINE + 3 * (108 + CAPTION),
        )  # the title's text has two lines
    found = [line.split(",")[2] for line in result.stdout.splitlines()[1:]]
    for place, image in enumerate(found, start=1):
        off = cell(sheet, place, TOP + 2 * LINE, size=100, columns=2)[4:-4, 4:-4].astype(int) - (
            6 * coloured.ids.index(image),
            0,
            0,
        )
        assert np.abs(off).max() <= 4
    assert run(*asked, "--sheet-size", "9000", index=coloured.path).exit_code == 2


def test_an_exports_thumbnails_stand_in_for_what_is_gone(run: Run, coloured: Built, tmp_path: Path) -> None:
    """Whoever got an export sees its thumbnails; without them, and in an index, what is missing is counted."""
    for name, more in (("with", ["--thumbnails"]), ("without", [])):
        done = run("export", str(tmp_path / name), *more, index=coloured.path)
        assert done.exit_code == 0, done.stderr
    other = Image.new("RGB", (20, 20), (0, 0, 250))
    for file in coloured.files[::2]:
        file.unlink()
    for file in coloured.files[1::2]:
        other.save(file)  # another picture in its place
    sheet = tmp_path / "sheet.png"
    asked = ("query", "neighbours", coloured.ids[3], "--head", "L2.H1", "--k", "7", "-f", "csv", "--sheet", str(sheet))
    result = run(*asked, index=tmp_path / "with")
    assert result.exit_code == 0 and result.stderr == ""
    found = [line.split(",")[2] for line in result.stdout.splitlines()[1:]]
    for place, image in enumerate([coloured.ids[3], *found]):
        off = cell(sheet, place).astype(int) - (6 * coloured.ids.index(image), 0, 0)
        assert np.abs(off).max() <= 6  # which JPEG may change
    for index in (tmp_path / "without", coloured.path):
        result = run(*asked, index=index)
        assert result.exit_code == 0 and result.stderr.startswith("note: 8 of 8 pictures can't be found: ")
        assert f"{coloured.files[3]} and 7 more are gone, changed or not readable" in result.stderr
        assert (cell(sheet, 0)[:4] == GREY).all()


@pytest.mark.parametrize("size", [(50, 3000), (3000, 50)])
def test_of_a_very_long_picture_the_middle_is_shown_and_that_it_goes_on(
    run: Run, coloured: Built, tmp_path: Path, size: tuple[int, int]
) -> None:
    from clipdb.pictures.query_sheet import _fitted

    picture = Image.new("RGB", size, "red")
    picture.paste("blue", (size[0] // 2 - 25, size[1] // 2 - 25, size[0] // 2 + 25, size[1] // 2 + 25))
    shown = np.asarray(_fitted(picture, CELL)).astype(int)
    if size[0] > size[1]:
        shown = shown.swapaxes(0, 1)
    assert shown.shape == (160, 40, 3)
    assert (shown[61:99] == (0, 0, 255)).all() and (shown[30:55] == (255, 0, 0)).all()
    assert (shown[[0, -1]] > 240).all() and (np.diff(shown[:26, 0, 1]) <= 0).all()
