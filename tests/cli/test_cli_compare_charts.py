"""Charts of comparisons: what they draw of the rows that their queries print."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from built_index import Built
from support import change, done

import clipdb
from clipdb.pictures.charts import make_chart


@pytest.fixture
def pair(two: Built, tmp_path: Path) -> Path:
    path = tmp_path / "pair.clipdb"
    shutil.copytree(two.path, path, symlinks=True)
    change(path, "update models set base = 'one/a' where model_id = 'two/b'")
    change(path, "delete from labels where model_id = 'two/b' and layer = 2")
    return path


def drawn(path: Path, query: str, **asked: Any) -> tuple[list[dict[str, Any]], Any]:
    with clipdb.open(path) as db:
        rows = getattr(db.query, query)(**asked).to_arrow_table().to_pylist()
    return rows, make_chart(query, rows, asked)


def dots(axes: Any, colour: str | None = None) -> list[float]:
    """Return where on the x axis dots are, from top to bottom."""
    lines = [line for line in axes.lines if line.get_marker() == "o" and len(line.get_xdata()) == 1]
    return [float(line.get_xdata()[0]) for line in lines if colour in (None, line.get_markerfacecolor())]


def test_pairs_are_drawn_with_their_labels_and_shares(pair: Path) -> None:
    rows, figure = drawn(pair, "compare")
    left, right = figure.axes
    labels = [text.get_text() for text in left.get_yticklabels()]
    assert labels[0] == "L1.H0  colour → texture" and labels[3] == "L2.H0  colour → unnamed" and labels[5] == "L2.H2"
    assert dots(left) == [row["cka"] for row in rows]
    assert dots(right, "white") == [row["variance"] for row in rows]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[1:] == ["one/a", "two/b"]


def test_of_many_pairs_the_least_alike_are_drawn(pair: Path) -> None:
    rows, _ = drawn(pair, "compare")
    many = [{**rows[0], "head": f"L0.H{place}", "other": f"L0.H{place}", "cka": place / 100} for place in range(90)]
    left = make_chart("compare", many[::-1], {}).axes[0]
    assert sorted(dots(left)) == [place / 100 for place in range(60)]


def test_drift_is_drawn_from_the_most_changed_down(pair: Path) -> None:
    rows, figure = drawn(pair, "drift")
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [row["change"] for row in rows]
    assert axes.get_yticklabels()[0].get_text().startswith(rows[0]["head"])


def test_layers_have_a_line_for_each_model(pair: Path) -> None:
    rows, figure = drawn(pair, "layers")
    assert [axes.get_title() for axes in figure.axes][:2] == ["entanglement over chance", "association over chance"]
    for axes, column in zip(figure.axes, ("e_excess", "a_excess", "explained"), strict=False):
        lines = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
        assert set(lines) == {"one/a", "two/b"}
        for model, values in lines.items():
            expected = [row[column] for row in rows if row["model_id"] == model]
            assert values == pytest.approx([float("nan") if one is None else one for one in expected], nan_ok=True)
    assert list(figure.axes[0].lines[0].get_xdata()) == [1, 2]
    uneven = [{**row, "layers": 6 if row["model_id"] == "two/b" else 3} for row in rows]
    assert list(make_chart("layers", uneven, {}).axes[0].lines[0].get_xdata()) == [row["depth"] for row in rows[:2]]


@pytest.mark.parametrize("query", ["compare", "drift", "layers"])
def test_the_plot_is_a_picture(query: str, pair: Path, tmp_path: Path) -> None:
    done("query", query, "--plot", tmp_path / "chart.png", "-i", pair)
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
