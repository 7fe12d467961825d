"""Shares on the packaged model, held against open_clip's own encoders."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import clipdb, done, refused

from clipdb.demo import MODEL_ID

PNG = b"\x89PNG\r\n\x1a\n"
TEXT, OTHER = "a red object", "a blue object"
COLOURS = ("red", "green", "blue", "yellow", "black", "white")


@pytest.fixture(scope="module")
def index(pictures: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 scenes under the packaged model, all layers, spans and labels."""
    folder = tmp_path_factory.mktemp("explain")
    path = folder / "explain.clipdb"
    files = folder / "files.txt"
    files.write_text("\n".join(str(file) for file in pictures[:40]))
    done(
        "ingest", "images", files, "--model", MODEL_ID, "--layers", "all", "--workers", 0, "--device", "cpu", "-i", path
    )
    done("span", "--pool", "scenes", "--device", "cpu", "-i", path)
    done("label", "--pool", "scenes", "-i", path)
    return path


@pytest.fixture(scope="module")
def model() -> Any:
    from clipdb.models.loading import load

    return load(MODEL_ID, device="cpu")


def own_cosine(model: Any, file: Path, text: str) -> float:
    """What anybody computes with open_clip, normalised in float64."""
    import open_clip
    import torch
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from PIL import Image

    config = PreprocessCfg(**model.network.visual.preprocess_cfg)
    transform = image_transform_v2(config, is_train=False)
    with torch.inference_mode():
        image = model.network.encode_image(transform(Image.open(file))[None])[0].double().numpy()
        words = model.network.encode_text(open_clip.get_tokenizer("clipdb-tiny")([text]))[0].double().numpy()
    return float(image @ words / np.linalg.norm(image) / np.linalg.norm(words))


def explained(*arguments: object) -> tuple[list[dict[str, Any]], str]:
    result = clipdb("explain", *arguments, "-f", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout), result.stderr.splitlines()[-1]


def numbers(total: str) -> list[float]:
    """The two figures of the line on stderr."""
    return [float(one) for one in re.findall(r"-?\d+\.\d{6}", total)]


def test_a_new_image_and_text_add_up_to_the_models_own_cosine(index: Path, pictures: list[Path], model: Any) -> None:
    for file, text in ((pictures[50], "a red ring on a sofa"), (pictures[51], "three of them, blue")):
        rows, total = explained(file, text, "-i", index)
        own = own_cosine(model, file, text)
        assert abs(sum(row["share"] for row in rows) - own) < 1e-5
        assert "(run now)" in total and numbers(total) == pytest.approx([own, own], abs=2e-6)
        assert len(rows) == 31 and rows[-1]["part"] == "not stored"


def test_the_rest_is_what_the_other_modules_write(index: Path, pictures: list[Path], model: Any) -> None:
    """With all layers stored, MLPs, biases and the stem are left: measured here, not taken as a remainder."""
    import torch

    text = "a red ring on a sofa"
    rest = explained(pictures[50], text, "--by", "layer", "-i", index)[0][-1]["share"]
    from clipdb.models.preprocess import decode

    pixels = torch.from_numpy(decode(pictures[50].read_bytes(), model.preprocess).pixels[None])
    batch = model.pixels_to_input(pixels)
    with torch.inference_mode():
        embedding = model.network.encode_image(batch)[0].double().numpy()
        others = model.adapter.rest(batch, "trunk")[0].double().numpy()
    assert abs(rest - others @ model.embed_texts([text], 1)[0] / np.linalg.norm(embedding)) < 1e-5


def test_stored_vectors_add_up_within_what_float16_allows(index: Path, pictures: list[Path], model: Any) -> None:
    for file in pictures[:8]:
        own = own_cosine(model, file, TEXT)
        for by in ("head", "layer", "property"):
            rows, total = explained(file, TEXT, "--by", by, "-i", index)
            assert abs(sum(row["share"] for row in rows) - own) < 2e-3
            assert "(from the index)" in total


def test_the_stored_shares_are_the_models(index: Path, pictures: list[Path], tmp_path: Path) -> None:
    """Head by head: a copy of the file with a byte more is a new image, of the same picture."""
    again = tmp_path / "again.png"
    again.write_bytes(pictures[3].read_bytes() + b"\0")
    stored = {row["part"]: row["share"] for row in explained(pictures[3], TEXT, "-i", index)[0]}
    fresh = {row["part"]: row["share"] for row in explained(again, TEXT, "-i", index)[0]}
    assert stored.keys() == fresh.keys()
    assert all(abs(stored[part] - fresh[part]) < 1e-3 for part in stored)


def test_a_difference_is_that_of_the_two(index: Path, pictures: list[Path], model: Any) -> None:
    rows, total = explained(pictures[50], TEXT, "--text-b", OTHER, "--check", "-i", index)
    one, other = (
        {row["part"]: row["share"] for row in explained(pictures[50], text, "-i", index)[0]} for text in (TEXT, OTHER)
    )
    assert all(abs(row["share"] - one[row["part"]] + other[row["part"]]) < 1e-9 for row in rows)
    own = own_cosine(model, pictures[50], TEXT) - own_cosine(model, pictures[50], OTHER)
    assert abs(sum(row["share"] for row in rows) - own) < 1e-5
    assert "cosine difference (run now)" in total


def test_two_images_add_up_on_either_side(index: Path, pictures: list[Path], tmp_path: Path) -> None:
    """A new image and one of the index, then two of the index, whose chart is drawn."""
    from PIL import Image

    for first, run in ((pictures[60], "(run now)"), (pictures[1], "(from the index)")):
        rows, total = explained(first, "--image-b", pictures[2], "-i", index, "--plot", tmp_path / "pair.png")
        sums = [sum(row[column] for row in rows) for column in ("share", "share_b")]
        assert run in total and numbers(total) == pytest.approx([*sums, sums[0]], abs=2e-4)
        assert rows[-1]["part"] == "not stored" and len(rows) == 31
    with Image.open(tmp_path / "pair.png") as picture:
        assert picture.width > 800


def test_check_runs_the_model_on_a_stored_image(index: Path, pictures: list[Path], model: Any) -> None:
    import hashlib

    image_id = hashlib.sha256(pictures[2].read_bytes()).hexdigest()[:16]
    line = explained(image_id, TEXT, "--check", "-i", index)[1]
    total, own = numbers(line)
    assert "(run now)" in line and abs(own - own_cosine(model, pictures[2], TEXT)) < 2e-6
    assert 0 < abs(total - own) < 2e-3  # the total is of the vectors in the index


def test_what_the_index_knows_is_explained_without_its_file(
    index: Path, pictures: list[Path], model: Any, tmp_path: Path
) -> None:
    """A sentence of one's own about an image whose file is gone, by its name, in the index and in an export of it."""
    from support import change

    done("export", tmp_path / "export", "-i", index)
    own = shutil.copytree(index, tmp_path / "own.clipdb")
    change(own, "update images set uri = replace(uri, '/scene-', '/gone/scene-')")
    with_file, text = pictures[4], "a red ring on a sofa"
    stored = explained(with_file, text, "-i", index)[0]
    cosine = own_cosine(model, with_file, text)
    rows, line = explained(with_file.name, text, "-i", own)
    assert rows == stored
    total, compared = numbers(line)
    assert "(of the image's embedding in the index, since its file can't be read)" in line
    assert total == pytest.approx(cosine, abs=2e-3) and compared == pytest.approx(cosine, abs=2e-3)
    assert abs(total - compared) < 1e-5
    # The export's images lie where they were, so the model's own cosine is run.
    rows, line = explained(with_file.name, text, "-i", tmp_path / "export")
    assert rows == stored and "(run now)" in line
    problem = refused("explain", with_file.name, text, "--check", "-i", own)
    assert problem.endswith("`clipdb ingest images NEWFOLDER --model MODEL` writes down their new paths")


def test_a_property_is_said_once(index: Path, pictures: list[Path]) -> None:
    rows = explained(pictures[1], TEXT, "--by", "property", "-i", index)[0]
    assert {row["property"] for row in rows} == {None} and len({row["part"] for row in rows}) == len(rows) > 3
    table = clipdb("explain", pictures[1], TEXT, "--by", "property", "-i", index).stdout
    assert table.splitlines()[0].split() == ["part", "heads", "share"]


def test_a_negative_figure_has_one_sign_in_the_whole_chart(
    index: Path, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    titles = []
    plain = Figure.suptitle
    monkeypatch.setattr(Figure, "suptitle", lambda self, text, **more: titles.append(text) or plain(self, text, **more))
    total = numbers(explained(pictures[1], OTHER, "--text-b", TEXT, "--plot", tmp_path / "a.png", "-i", index)[1])[0]
    other = numbers(explained(pictures[1], TEXT, "--text-b", OTHER, "--plot", tmp_path / "b.png", "-i", index)[1])[0]
    assert total == pytest.approx(-other) and other != 0
    negative = titles[1 if total < 0 else 3]  # each chart's own heading comes first
    assert f"= \N{MINUS SIGN}{abs(total):.4f}; by {MODEL_ID} itself \N{MINUS SIGN}" in negative.replace("\n", " ")


def test_the_plot_is_a_picture(index: Path, pictures: list[Path], tmp_path: Path) -> None:
    from PIL import Image

    for number, more in enumerate(([], ["--by", "layer"], ["--text-b", OTHER, "--by", "property"])):
        path = tmp_path / f"{number}.png"
        explained(pictures[1], TEXT, *more, "--plot", path, "-i", index)
        with Image.open(path) as picture:
            assert picture.format == "PNG" and picture.width >= 1000 and picture.height >= 300
            assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 10


def test_queries_draw_their_charts(index: Path, tmp_path: Path) -> None:
    from support import change

    change(index, "update images set metadata = json_object('kind', ['red', 'blue', 'green'][1 + rowid % 3])")
    task = ("--target", "kind", "--template", "a {} object", "-i", index, "-f", "json")
    ablated = json.loads(done("query", "ablate", "--layers", "4", *task, "--plot", tmp_path / "a.png"))
    assert [row["part"] for row in ablated] == ["all", "class", "class", "class", "worst group"]
    assert {row["note"] for row in ablated} == {"direct effects only"}
    curve = json.loads(done("query", "reconstruct", *task, "--plot", tmp_path / "r.png"))
    assert curve[0]["spans"] == 0 and curve[-1]["spans"] == len(curve) - 1 and curve[0]["replaced"] == 30
    assert all((tmp_path / f"{name}.png").read_bytes().startswith(PNG) for name in "ar")
    assert "is not a picture that can be drawn: --plot writes .png, .jpg, .jpeg" in refused(
        "query", "reconstruct", *task, "--plot", tmp_path / "r.svg"
    )
    assert done("query", "ablate", "--layers", "4", *task[:-1], "csv").count("direct effects only") == len(ablated)


def test_a_query_without_a_chart_says_which_have_one(index: Path, tmp_path: Path) -> None:
    result = clipdb("query", "heads", "--plot", tmp_path / "x.png", "-i", index)
    charted = "ablate, compare, contributions, drift, effects, image-contributions, layers, reconstruct, scoreboard"
    assert result.exit_code == 2 and result.stderr.splitlines()[-1] == f"Error: heads has no chart: {charted} have one"
    assert "--plot" not in done("query", "heads", "--help") and "--plot" in done("query", "ablate", "--help")


def test_the_axis_of_shares_says_what_its_sides_are_for() -> None:
    from clipdb.pictures.charts.contributions import draw

    rows = [{"part": "L1.H1", "property": None, "heads": 1, "share": share} for share in (0.2, -0.1)]
    one, two = ({"text": "red", "text_b": other} for other in (None, "blue"))
    assert draw(rows, one).axes[0].get_xlabel() == "share of the cosine: right of 0 for “red”, left of 0 against it"
    assert draw(rows, two).axes[0].get_xlabel() == "share of the difference: right of 0 for “red”, left of 0 for “blue”"


def test_without_matplotlib_the_extra_is_named(
    index: Path, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    problem = refused("explain", pictures[0], TEXT, "--plot", tmp_path / "x.png", "-i", index)
    assert '[plot]"' in problem and not list(tmp_path.iterdir())


def test_a_text_that_is_too_long_says_what_was_dropped(index: Path, pictures: list[Path]) -> None:
    result = clipdb("explain", pictures[0], "red and blue " * 40, "-i", index)
    assert result.exit_code == 0 and result.stderr.count("the last 90 were dropped") == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["zzz", TEXT], "no image 'zzz'"),
        (["", TEXT], "is empty"),
        (["{image}", " "], "is empty"),
        (["{image}", TEXT, "--text-b", TEXT], "are the same"),
        (["{image}"], "either TEXT or --image-b IMAGE"),
        (["{image}", TEXT, "--image-b", "{image}"], "either TEXT or --image-b IMAGE"),
        (["{image}", "--image-b", "{image}", "--text-b", TEXT], "give TEXT, too"),
        (["{image}", TEXT, "--model", "no/ne"], "no model 'no/ne' in this index: it has clipdb-tiny/scenes"),
        (["{image}", TEXT, "--plot", "chart.svg"], "is not a picture"),
        (["{image}", TEXT, "--plot", "/no/such/folder/chart.png"], "can't write /no/such/folder/chart.png"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(index: Path, pictures: list[Path], arguments: list[str], problem: str) -> None:
    given = [one.replace("{image}", str(pictures[0])) for one in arguments]
    assert problem in refused("explain", *given, "-i", index)


def test_the_text_tower_splits_the_same_cosine_by_heads_and_words(index: Path, pictures: list[Path]) -> None:
    file = pictures[3]
    cosine = sum(row["share"] for row in explained(file, TEXT, "-i", index)[0])
    for by in ("head", "layer", "token"):
        rows, total = explained(file, TEXT, "--tower", "text", "--by", by, "-i", index)
        assert sum(row["share"] for row in rows) == pytest.approx(cosine, abs=2e-3) and rows[-1]["part"] == "no head"
        assert float(total.rsplit(": ", 1)[1].split()[0]) < 1e-5
        if by == "token":
            assert [row["part"] for row in rows][1:4] == TEXT.split()
        else:
            shares = [abs(row["share"]) for row in rows[:-1]]
            assert shares == sorted(shares, reverse=True) and rows[0]["part"].startswith("T.L")
    assert "leave the other options out" in refused(
        "explain", file, TEXT, "--tower", "text", "--text-b", OTHER, "-i", index
    )
    assert "--by property is for the image tower" in refused(
        "explain", file, TEXT, "--tower", "text", "--by", "property", "-i", index
    )
    assert "--by token needs --tower text" in refused("explain", file, TEXT, "--by", "token", "-i", index)


def test_a_text_is_split_alike_once_padding_is_left_away(model: Any) -> None:
    along = model.embed_texts([OTHER], 1)[0].astype(np.float64)
    before = model.text_tower.split(TEXT, along)
    model.embed_texts([f"a {colour} {shape}" for colour in COLOURS for shape in ("ring", "square", "star")], 32)
    after = model.text_tower.split(TEXT, along)
    assert np.array_equal(before.heads, after.heads)
    assert before.heads.sum() + before.rest == pytest.approx(float(model.embed_texts([TEXT], 1)[0] @ along), abs=1e-5)
