"""The dataset card of an export: what the Hub, `datasets` and DuckDB make of it."""

from __future__ import annotations

import io
import re
import shutil
import threading
from pathlib import Path

import datasets
import duckdb
import numpy as np
import pytest
import yaml
from built_index import PROPERTIES, Built
from PIL import Image
from support import change, clipdb, done, refused, rows

from clipdb.artefact.export import Options, export_index
from clipdb.artefact.format import RELATIONS
from clipdb.schema import catalog, creation, tables

HUB = "hf://datasets/OWNER/NAME/"


@pytest.fixture(scope="module")
def export(two: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("card") / "export"
    done("export", place, "-i", two.path)
    return place


def front_matter(place: Path) -> dict:
    return yaml.safe_load((place / "README.md").read_text().split("---\n")[1])


def load(place: Path, config: str, tmp_path: Path) -> datasets.Dataset:
    return datasets.load_dataset(str(place), config, split="train", cache_dir=str(tmp_path / "cache"))


def test_every_table_loads_with_datasets(two: Built, export: Path, tmp_path: Path) -> None:
    names = datasets.get_dataset_config_names(str(export))
    full = [table for table in RELATIONS if rows(two.path, f"select count(*) from {table}")[0][0]]
    vectors = [f"{slug}.{kind}" for slug in ("one__a", "two__b") for kind in ("images", "texts")]
    assert sorted(names) == sorted(full + vectors)
    assert set(RELATIONS) - set(full) == {
        "aligners",
        "components",
        "directions",
        "effects",
        "image_failures",
        "pairs",
        "runs",
    }  # which have no rows
    for table in full:
        loaded = load(export, table, tmp_path)
        keys = ", ".join(column.name for column in tables.metadata.tables[table].primary_key)
        with duckdb.connect(str(two.path / "catalog.duckdb"), read_only=True) as connection:
            connection.execute("set timezone = 'UTC'")
            kept = connection.execute(f"from {table} order by {keys}").to_arrow_table().to_pylist()
        text = {name for name, feature in loaded.features.items() if isinstance(feature, datasets.Json)}
        assert text == {column.name for column in tables.metadata.tables[table].columns if str(column.type) == "JSON"}
        assert [{k: v for k, v in row.items() if k not in text} for row in loaded] == [
            {k: v for k, v in row.items() if k not in text} for row in kept
        ]
    assert {one["image_id"]: one["metadata"] for one in load(export, "images", tmp_path)} == {
        image_id: {"n": number} for number, image_id in enumerate(two.ids)
    }


def test_vectors_load_with_datasets(two: Built, export: Path, tmp_path: Path) -> None:
    for model, slug in (("one/a", "one__a"), ("two/b", "two__b")):
        loaded = load(export, f"{slug}.images", tmp_path)
        assert loaded["image_id"][:] == two.ids
        assert loaded.features["l2h1"] == datasets.List(datasets.Value("float16"), length=4)
        np.testing.assert_array_equal(np.array(loaded["l2h1"][:]), two.vectors[model, 2, 1])
        assert loaded["l1h0"][-2:] == [None, None]
        assert len(load(export, f"{slug}.texts", tmp_path)) == 5


def test_the_default_is_the_spans(export: Path, tmp_path: Path) -> None:
    default = datasets.load_dataset(str(export), split="train", cache_dir=str(tmp_path))
    assert default.column_names[:5] == ["model_id", "layer", "head", "pool", "rank"]


def test_the_front_matter_is_what_the_hub_reads(two: Built, export: Path, tmp_path: Path) -> None:
    told = front_matter(export)
    assert told["pretty_name"] == "Attention heads of one/a, two/b"
    assert told["size_categories"] == ["n<1K"] and "clip" in told["tags"] and "license" not in told
    for given, name in (
        ("CC-BY-4.0", "cc-by-4.0"),
        ("mit", "mit"),
        ('For research: "only", don\'t ask', "other"),
        ("mine", "other"),
    ):
        done(
            "export",
            tmp_path / given[:3],
            "-i",
            two.path,
            "--what",
            "relations",
            "--licence",
            given,
            "--citation",
            "A\nB: c",
        )
        assert front_matter(tmp_path / given[:3])["license"] == name
        text = (tmp_path / given[:3] / "README.md").read_text()
        assert f"## Licence\n\n{given}\n" in text and "## Citation\n\n    A\n    B: c\n" in text
    assert "## Licence\n\nNone was stated.\n" in (export / "README.md").read_text()
    assert "## Citation" not in (export / "README.md").read_text()


@pytest.mark.parametrize("options", [(), ("--what", "vectors"), ("--what", "relations"), ("--layers", "1")])
@pytest.mark.parametrize("hub", [False, True])
def test_the_sql_runs(two: Built, tmp_path: Path, options: tuple, hub: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "OWNER" / "NAME"
    done("export", place, "-i", two.path, *options)
    blocks = re.findall(r"```sql\n(.*?)```", (place / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == (1 if "vectors" in options else 2 if "relations" in options else 3)
    assert ("(labels)" in (place / "README.md").read_text()) == ("vectors" not in options)
    if hub:  # as a person would write it, with the place of this copy for the Hub's
        blocks = [re.sub(r"'((relations|vectors)/)", rf"'{HUB}\1", sql).replace(HUB, f"{place}/") for sql in blocks]
    else:
        monkeypatch.chdir(place)
    for sql in blocks:
        assert len(duckdb.sql(sql).fetchall()) == (6 if "--layers" in options and "heads" in sql else 10)


def test_the_commands_are_there_and_the_python_too(export: Path) -> None:
    text = (export / "README.md").read_text()
    (command,) = re.findall(r'clipdb query -i (\S+) "(.*)"', text)
    assert command[0] == HUB.rstrip("/")
    assert "select name, property, labeller from head_properties" in command[1]
    assert "clipdb import DIR" in text
    (name,) = re.findall(r'load_dataset\("OWNER/NAME", "(\w+)"', text)
    assert name in datasets.get_dataset_config_names(str(export))


def test_every_column_is_explained(export: Path) -> None:
    text = (export / "README.md").read_text()
    for table in RELATIONS:
        section = text.split(f"\n### `{table}`\n")[1].split("\n### ")[0]
        assert tables.metadata.tables[table].comment in section
        for column in tables.metadata.tables[table].columns:
            assert f"| `{column.name}` | " in section and column.comment in section
    vectors = text.split("\n### `two__b.images`\n")[1].split("\n### ")[0]
    assert "| `embedding` | float16[8] |" in vectors and "| `l1h0` to `l2h2` | float16[4] |" in vectors
    assert "| `basis` | float32[] |" in text and "| `metadata` | JSON |" in text


def test_the_metrics_are_those_of_what_was_exported(two: Built, export: Path, tmp_path: Path) -> None:
    """Five of six heads of one/a are named: colour three times (once `Colour.`), shape, counting."""
    assert len(PROPERTIES) == 5
    (line,) = [row for row in (export / "README.md").read_text().splitlines() if row.startswith("| one/a | current ")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    entropy = -(0.6 * np.log(0.6) + 2 * 0.2 * np.log(0.2))
    # The pool has no properties, from which names could be drawn by chance.
    assert cells[2:8] == ["5", "", "0.600", "", "0.400", f"{np.exp(entropy):.1f}"]
    assert cells[8].startswith("vote: not independent")
    done("export", tmp_path / "out", "-i", two.path, "--layers", "2", "--model", "one/a")
    (line,) = [
        row for row in (tmp_path / "out" / "README.md").read_text().splitlines() if row.startswith("| one/a | current ")
    ]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[2:7] == ["2", "", "0.000", "", "1.000"]  # colour and counting


def test_an_index_without_names_has_no_metrics(two: Built, tmp_path: Path) -> None:
    index = Path(shutil.copytree(two.path, tmp_path / "own.clipdb"))
    change(index, "delete from labels")
    change(index, "delete from spans")
    done("export", tmp_path / "out", "-i", index)
    text = (tmp_path / "out" / "README.md").read_text()
    assert "## Metrics" not in text and "head_properties" not in text.split("```")[1]
    assert {config["config_name"]: config.get("default") for config in front_matter(tmp_path / "out")["configs"]}[
        "models"
    ] is True


def pictured(tmp_path: Path) -> tuple[Path, list[Path]]:
    """Make an index of three pictures, one of them lying on its side, and nothing computed of them."""
    import hashlib

    index = tmp_path / "pictures.clipdb"
    creation.create(index)
    files = []
    for number, (width, height) in enumerate(((600, 300), (40, 20), (300, 600))):
        file = tmp_path / f"{number}.png"
        picture = Image.new("RGB", (width, height), (40 * number, 100, 200))
        exif = Image.Exif()
        exif[0x0112] = 6 if number == 2 else 1
        picture.save(file, exif=exif)
        files.append(file)
        change(index, "insert into images (image_id, uri) values (?, ?)",
               hashlib.sha256(file.read_bytes()).hexdigest(), str(file))  # fmt: skip
    change(
        index,
        "insert into models values ('one/a', 1, 1, 4, 4, 4, 16, 64, 'tok', 'x', '{}', null, 1, 0, null, null, null, "
        "null, null, null)",
    )
    return index, files


def test_names_of_several_lines_stay_in_their_cell(two: Built, tmp_path: Path) -> None:
    index = Path(shutil.copytree(two.path, tmp_path / "own.clipdb"))
    change(index, "update labels set labeller = 'human:a' || chr(10) || 'b|c', pool = 'x' || chr(10) || '# y'")
    done("export", tmp_path / "out", "--what", "relations", "-i", index)
    metrics = (tmp_path / "out" / "README.md").read_text().split("## Metrics")[1].split("\n\n## ")[0]
    lines = [line for line in metrics.splitlines() if line.startswith("|")]
    assert any(r"| human:a b\|c (x # y) |" in line for line in lines)
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1 and "\n# y" not in metrics


def test_thumbnails_are_images_to_datasets(tmp_path: Path) -> None:
    index, files = pictured(tmp_path)
    done("export", tmp_path / "out", "-i", index, "--thumbnails")
    loaded = load(tmp_path / "out", "thumbnails", tmp_path)
    assert isinstance(loaded.features["image"], datasets.Image)
    ids = dict(rows(index, "select image_id, uri from images"))
    assert loaded["image_id"][:] == sorted(ids)
    sizes = {ids[row["image_id"]]: row["image"].size for row in loaded}
    assert sizes == {str(files[0]): (256, 128), str(files[1]): (40, 20), str(files[2]): (256, 128)}  # upright
    stored = duckdb.sql(f"select image.bytes from '{tmp_path}/out/thumbnails/*.parquet'").fetchall()
    assert all(Image.open(io.BytesIO(one)).format == "JPEG" for (one,) in stored)
    done("export", tmp_path / "again", "-i", index, "--thumbnails")
    again = tmp_path / "again" / "thumbnails" / "00000.parquet"
    assert again.read_bytes() == (tmp_path / "out" / "thumbnails" / "00000.parquet").read_bytes()


def test_an_export_has_one_state_whatever_is_written_meanwhile(tmp_path: Path) -> None:
    index, _ = pictured(tmp_path)
    alone = threading.Lock()  # pictures are drawn in several threads, and an index has one writer

    def draw(image_id: str, uri: str) -> bytes:
        with alone, catalog.changing(index) as connection:
            connection.execute("delete from images where image_id = ?", [image_id])
        return Path(uri).read_bytes()

    exported = export_index(index, tmp_path / "out", Options(), draw)
    assert exported.without_thumbnail == 0 and len(load(tmp_path / "out", "thumbnails", tmp_path)) == 3
    assert rows(index, "from images") == [] and len(load(tmp_path / "out", "images", tmp_path)) == 3


def test_images_whose_files_are_gone_are_counted(tmp_path: Path) -> None:
    index, files = pictured(tmp_path)
    files[0].unlink()
    files[1].write_bytes(b"another")
    result = clipdb("export", tmp_path / "out", "-i", index, "--thumbnails")
    assert result.exit_code == 0
    assert "note: 2 images have no thumbnail: their files are gone or changed" in result.stderr
    assert len(load(tmp_path / "out", "thumbnails", tmp_path)) == 1
    files[2].unlink()
    done("export", tmp_path / "none", "-i", index, "--thumbnails")
    assert not (tmp_path / "none" / "thumbnails").exists()


def test_thumbnails_would_show_what_is_kept_back(built: Built, tmp_path: Path) -> None:
    result = clipdb("export", tmp_path / "out", "-i", built.path, "--thumbnails", "--without-images")
    assert result.exit_code == 2 and "--thumbnails shows the images" in result.stderr
    assert "no model 'x/y'" in refused("export", tmp_path / "out", "-i", built.path, "--thumbnails", "--model", "x/y")
    assert list(tmp_path.iterdir()) == []
