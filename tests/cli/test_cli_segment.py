"""`clipdb segment`, from files and from an index's own images."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from support import change, clipdb, done, refused, rows

import clipdb as package


@pytest.fixture
def arguments(ready_index: Path, pictures: list[Path]) -> tuple[object, ...]:
    return ("segment", pictures[0], "--text", "a red ring", "--device", "cpu", "-i", ready_index)


def test_rows_add_up_to_the_share_that_explains_the_cosine(arguments: tuple[object, ...], ready_index: Path) -> None:
    found = json.loads(done(*arguments, "-f", "json"))
    assert list(found[0]) == ["token", "patch_row", "patch_col", "share", "x0", "y0", "x1", "y1"]
    assert len(found) == 65
    patches = [row for row in found if row["token"] == "patch"]
    assert sorted((row["patch_row"], row["patch_col"]) for row in patches) == [
        (r, c) for r in range(8) for c in range(8)
    ]
    assert [row["patch_row"] for row in found if row["token"] == "class token"] == [None]
    with package.open(ready_index, device="cpu") as db:
        shares = db.sql(
            "select sum(share) from contributions(null, $image, 'a red ring') where layer is not null",
            image=str(arguments[1]),
        ).fetchall()
        whole = package.segment(db, str(arguments[1]), "a red ring")
    assert sum(row["share"] for row in found) == pytest.approx(whole.total, abs=1e-6)
    assert whole.total == pytest.approx(shares[0][0], abs=2e-3)  # which were stored in float16


def test_a_table_shows_the_largest_shares_and_says_how_to_see_all(arguments: tuple[object, ...]) -> None:
    result = clipdb(*arguments, "--head", "L4.H2")
    assert result.exit_code == 0 and len(result.stdout.splitlines()) == 12
    assert "The first 10 of 65 rows" in result.stderr
    assert "L4.H2: share " in result.stderr and "class token" in result.stderr
    assert len(done(*arguments, "-n", "0").splitlines()) == 67


def test_parquet_rows_are_there_for_sql(arguments: tuple[object, ...], ready_index: Path, tmp_path: Path) -> None:
    file = tmp_path / "map.parquet"
    done(*arguments, "-o", file)
    asked = f"select count(*) as n, count(patch_row) as patches, sum(share) as share from '{file}'"
    answer = next(csv.DictReader(io.StringIO(done("query", asked, "--files", "-f", "csv", "-i", ready_index))))
    assert (answer["n"], answer["patches"]) == ("65", "64")
    assert float(answer["share"]) == pytest.approx(
        sum(row["share"] for row in json.loads(done(*arguments, "-f", "json")))
    )


def test_an_array_and_an_overlay_are_written(arguments: tuple[object, ...], tmp_path: Path) -> None:
    array, overlay, short = tmp_path / "map.npy", tmp_path / "map.png", tmp_path / "short.png"
    found = json.loads(done(*arguments, "--map", array, "--overlay", overlay, "-f", "json"))
    done(*arguments, "-o", short)
    shares = np.load(array)
    assert shares.shape == (8, 8)
    assert all(row["share"] == shares[row["patch_row"], row["patch_col"]] for row in found if row["token"] == "patch")
    assert overlay.read_bytes() == short.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.npy", "map.png", "short.png"]


@pytest.mark.parametrize("name", ["map.jpg", "map.JPEG"])
def test_a_picture_may_be_jpeg(arguments: tuple[object, ...], tmp_path: Path, name: str) -> None:
    result = clipdb(*arguments, "-o", tmp_path / name)
    assert result.exit_code == 0 and "patch_row" in result.stdout
    done(*arguments, "--overlay", tmp_path / "map.png")
    with Image.open(tmp_path / name) as jpeg, Image.open(tmp_path / "map.png") as exact:
        assert jpeg.format == "JPEG" and jpeg.size == exact.size
        assert np.abs(np.asarray(jpeg).astype(int) - np.asarray(exact.convert("RGB"))).mean() < 3


@pytest.mark.parametrize("size", [(64, 64), (400, 100), (110, 400), (3000, 2000)])
def test_an_overlay_reddens_what_speaks_for_the_text_and_dims_what_was_not_seen(
    arguments: tuple[object, ...], tmp_path: Path, size: tuple[int, int]
) -> None:
    picture, overlay = tmp_path / "plain.png", tmp_path / "overlay.png"
    noise = np.random.default_rng(5).normal(128, 60, size[::-1]).clip(0, 255).astype(np.uint8)
    Image.fromarray(noise).convert("RGB").save(picture)
    found = json.loads(done("segment", picture, *arguments[2:], "-f", "json", "-o", overlay, "--squares"))
    drawn = np.asarray(Image.open(overlay).convert("RGB")).astype(float)
    scale = 512 / max(size)
    wide, high = round(size[0] * scale), round(size[1] * scale)
    below = wide > 1.6 * high
    bottom = drawn.shape[0] - 16 - 12 - 24 - 8
    top, left = bottom - high, (drawn.shape[1] - wide) // 2
    if not below:
        left = (drawn.shape[1] - 2 * wide - 16) // 2 + wide + 16
    panel = drawn[top:bottom, left : left + wide]
    strongest = max(found, key=lambda row: abs(row["share"]) if row["token"] == "patch" else 0)
    x, y = (round(scale * (strongest[a] + strongest[b]) / 2) for a, b in (("x0", "x1"), ("y0", "y1")))
    red, _, blue = panel[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].mean(axis=(0, 1))
    assert (red - blue > 50) if strongest["share"] > 0 else (blue - red > 50)
    if size[0] != size[1]:
        corner = panel[: max(high // 20, 1), : max(wide // 20, 1)]
        assert np.ptp(corner, axis=2).max() == 0 and corner.mean() > 140  # grey


def test_heads_are_chosen_by_name_property_or_layers(arguments: tuple[object, ...], ready_index: Path) -> None:
    def summary(*more: object) -> str:
        return clipdb(*arguments, *more).stderr.splitlines()[-1]

    assert summary().startswith("24 heads of layers 1, 2, 3, 4: ")
    assert summary("--layers", "3-4").startswith("12 heads of layers 3, 4: ")
    assert summary("--head", "L4.H2,l3h1", "--head", "L4.H2").startswith("L3.H1, L4.H2: ")
    name, count = rows(ready_index, "select property, count(*) from head_properties group by 1 order by 2, 1 limit 1")[
        0
    ]
    heads = rows(
        ready_index, "select h.name from heads h join head_properties p using (layer, head) where property = ?", name
    )
    with package.open(ready_index, device="cpu") as db:
        found = package.segment(db, str(arguments[1]), "a red ring", property=name.upper())
    assert len(found.heads) == count == len(heads)
    assert summary("--head", "L4.H2,L3.H1", "--layers", "3").startswith("L3.H1: ")
    assert "no head meets all" in refused(*arguments, "--head", "L4.H2", "--layers", "3")


def test_a_segmentation_is_shown_in_a_line(arguments: tuple[object, ...], ready_index: Path) -> None:
    with package.open(ready_index, device="cpu") as db:
        some, all_heads = (
            package.segment(db, str(arguments[1]), "a red ring", heads=heads) for heads in (["L4.H2", "L3.H1"], [])
        )
    assert repr(some) == f"Segmentation(L3.H1, L4.H2: share {some.total:+.4f} of {some.cosine:+.4f}, 8 x 8)"
    assert repr(all_heads).startswith("Segmentation(L1.H0, L1.H1, L1.H2, L1.H3 and 20 more: share ")


def test_a_contrast_says_so(arguments: tuple[object, ...]) -> None:
    one = json.loads(done(*arguments, "--against", "a blue arrow", "-f", "json"))
    other = json.loads(done(*arguments[:3], "a blue arrow", *arguments[4:], "--against", "a red ring", "-f", "json"))
    by_place = {(row["patch_row"], row["patch_col"]): row["share"] for row in other}
    assert all(row["share"] == pytest.approx(-by_place[row["patch_row"], row["patch_col"]], abs=1e-6) for row in one)
    assert "of the difference of the cosines" in clipdb(*arguments, "--against", "a blue arrow").stderr


def test_an_image_of_the_index_is_read_where_it_was(
    arguments: tuple[object, ...], ready_index: Path, own_index: Path, pictures: list[Path], tmp_path: Path
) -> None:
    image_id = rows(ready_index, "select image_id from images where uri = ?", str(pictures[0]))[0][0]
    rest = arguments[2:-1]
    from_file = done(*arguments, "-f", "csv")
    assert done("segment", image_id[:12], *rest, ready_index, "-f", "csv") == from_file

    def moved_to(uri: str) -> None:
        change(own_index, "update images set uri = ? where image_id = ?", uri, image_id)

    data = pictures[0].read_bytes()
    shard, table = tmp_path / "a#b.tar", tmp_path / "images.parquet"
    with tarfile.open(shard, "w") as archive:
        for name, content in (("x/first.png", pictures[1].read_bytes()), ("x/the#one.png", data)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    cells = [{"bytes": file.read_bytes(), "path": file.name} for file in pictures[1:40]] + [
        {"bytes": data, "path": "p"}
    ]
    pq.write_table(pa.table({"image": cells, "label": list(range(40))}), table, row_group_size=30)
    for uri in (f"{shard}#x/the#one.png", f"{table}#row=39"):
        moved_to(uri)
        assert done("segment", image_id, *rest, own_index, "-f", "csv") == from_file
    for uri, problem in (
        (
            str(tmp_path / "gone.png"),
            "no longer exists: put it back, or give the path of a copy; where images were moved, ",
        ),
        (f"{tmp_path / 'gone.tar'}#x.png", "no longer exists"),
        (f"{shard}#x/gone.png", "has no image of that name"),
        (f"{table}#row=40", "has no row 40"),
        (f"{table}#row=1", "has changed since it was ingested"),
        (str(pictures[1]), "has changed since it was ingested"),
    ):
        moved_to(uri)
        assert problem in refused("segment", image_id, *rest, own_index)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"image": "nothing.png"}, "no image 'nothing.png'"),
        ({"text": "  "}, "the text is empty"),
        ({"more": ("--against", "")}, "the text is empty"),
        ({"more": ("--against", "a red ring")}, "are the same"),
        ({"more": ("--head", "L4.H7")}, "no vectors of head L4.H7: its layers here are 1, 2, 3, 4"),
        ({"more": ("--head", "four")}, "'four' is not a head"),
        ({"more": ("--layers", "0-2")}, "no vectors of layer 0: its layers here are 1, 2, 3, 4"),
        ({"more": ("--layers", "7")}, "the model has 5 layers"),
        ({"more": ("--property", "wheels")}, "no head carries the property 'wheels'"),
        ({"more": ("--model", "a/b")}, "no model 'a/b' in this index"),
        ({"more": ("-o", "none/map.png")}, "can't write none/map.png"),
        ({"more": ("--map", "none/map.npy")}, "can't write none/map.npy"),
    ],
)
def test_bad_input_is_said_in_a_line(arguments: tuple[object, ...], changed: dict[str, object], problem: str) -> None:
    words = list(arguments)
    words[1], words[3] = changed.get("image", words[1]), changed.get("text", words[3])
    assert problem in refused(*words, *changed.get("more", ()))  # type: ignore[misc]


def test_a_file_that_is_no_image_and_wrong_suffixes(arguments: tuple[object, ...], tmp_path: Path) -> None:
    (tmp_path / "no.png").write_text("text")
    assert "can't be read as an image" in refused("segment", tmp_path / "no.png", *arguments[2:])
    for option in ("--overlay", "-o"):
        assert ".png, .jpg, .jpeg" in refused(*arguments, option, tmp_path / "map.svg")
    assert clipdb(*arguments, "--map", tmp_path / "map.csv").exit_code == 2


def test_help_imports_no_torch() -> None:
    code = """
import sys
from clipdb.cli import main
try:
    main(["segment", "--help"])
finally:
    print("torch" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--against" in result.stdout and result.stdout.endswith("False\n")
