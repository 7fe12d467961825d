"""What a result looks like on a screen and in files: suffixes, columns, tables for people and exact forms."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from built_index import RUN, Built, Run, build

from clipdb.schema import catalog

VALUES = """
    select 0.1::double as f, 'nan'::double as nan, null as nothing, true as yes, ['a', 'b, c'] as texts,
    [1.5, 2]::float[] as numbers, {'x': 1} as struct, '{"k": [1]}'::json as doc, date '2026-01-02' as day,
    'é"\n' as text, 7::hugeint as big, 1.25::decimal(4, 2) as exact
"""


def test_json_is_exact(run: Run) -> None:
    expected = {
        "f": 0.1,
        "nan": None,
        "nothing": None,
        "yes": True,
        "texts": ["a", "b, c"],
        "numbers": [1.5, 2],
        "struct": {"x": 1},
        "doc": {"k": [1]},
        "day": "2026-01-02",
        "text": 'é"\n',
        "big": 7,
        "exact": 1.25,
    }
    assert json.loads(run("query", VALUES, "-f", "json").stdout) == [expected]
    lines = run("query", f"{VALUES} from range(3)", "-f", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [expected] * 3
    assert json.loads(run("query", "select 1 where false", "-f", "json").stdout) == []
    assert json.loads(run("query", "select 1 as a, 2 as a", "-f", "json").stdout) == [{"a": 1, "a_1": 2}]


def test_csv_is_exact(run: Run) -> None:
    names, row = csv.reader(io.StringIO(run("query", VALUES, "-f", "csv").stdout))
    found = dict(zip(names, row, strict=True))
    assert (found["f"], found["nan"], found["nothing"], found["yes"]) == ("0.1", "nan", "", "true")
    assert json.loads(found["texts"]) == ["a", "b, c"] and json.loads(found["struct"]) == {"x": 1}
    assert (found["day"], found["text"], found["exact"]) == ("2026-01-02", 'é"\n', "1.25")


@pytest.mark.parametrize("name", ["heads.xlsx", "heads.csv.gz", "heads.jpg", "heads.svg"])
def test_a_suffix_that_is_none_of_its_own_is_refused(run: Run, tmp_path: Path, name: str) -> None:
    result = run("query", "heads", "-o", str(tmp_path / name))
    assert result.exit_code == 1 and result.stdout == "" and not list(tmp_path.iterdir())
    known = ".txt, .parquet, .csv, .json, .jsonl, .ndjson, .md, .tsv"
    assert result.stderr.startswith(f"Error: --output doesn't write {Path(name).suffix}: it writes {known}, or ")
    assert len(result.stderr.splitlines()) == 1 and ("--sheet" in result.stderr) == (name == "heads.jpg")
    assert run("query", "heads", "-o", str(tmp_path / name), "-f", "csv").exit_code == 0
    assert (tmp_path / name).read_text().startswith("model_id,")


def test_a_file_without_a_suffix_gets_a_table(run: Run, tmp_path: Path) -> None:
    assert run("query", "heads", "-o", str(tmp_path / "heads")).exit_code == 0
    assert (tmp_path / "heads").read_text().startswith("head   property")


def test_tsv_quotes_what_holds_a_tab(run: Run) -> None:
    text = run(
        "query", "select e'a\\tb' as one, e'c\\nd' as two, 'e\\f \"g\"' as three, 'h' as four", "-f", "tsv"
    ).stdout
    assert text == 'one\ttwo\tthree\tfour\n"a\tb"\t"c\nd"\t"e\\f ""g"""\th\n'
    assert list(csv.reader(io.StringIO(text), delimiter="\t"))[1] == ["a\tb", "c\nd", 'e\\f "g"', "h"]


@pytest.mark.parametrize("form", ["json", "csv", "tsv", "parquet", "markdown", "table"])
def test_columns_are_chosen(run: Run, tmp_path: Path, form: str) -> None:
    for asked in (("heads",), ("select * from (from heads select model_id, name as head, labels: 1)",)):
        path = tmp_path / "out"
        chosen = run("query", *asked, "--columns", "head, model_id", "-f", form, "-n", "1", "-o", str(path))
        assert chosen.exit_code == 0, chosen.stderr
        found = pq.read_table(path).column_names if form == "parquet" else path.read_text()
        expected = {
            "json": '[{"head": "L1.H0", "model_id": "one/a"}]\n',
            "csv": "head,model_id\nL1.H0,one/a\n",
            "tsv": "head\tmodel_id\nL1.H0\tone/a\n",
            "parquet": ["head", "model_id"],
            "markdown": "| head | model_id |\n| --- | --- |\n| L1.H0 | one/a |\n",
            "table": "head   model_id\n-----  --------\nL1.H0  one/a\n",
        }
        assert found == expected[form]
    wrong = run("query", "heads", "--columns", "head,hats", "-f", form, "-o", str(tmp_path / "new"))
    assert wrong.exit_code == 1 and not (tmp_path / "new").exists()
    assert wrong.stderr.startswith("Error: --columns names 'hats', and the columns are model_id, head, property, ")


def test_every_verb_chooses_columns(run: Run) -> None:
    for asked in (("info",), ("verify",), ("models", "ViT-B-32/openai"), ("query", "--list")):
        names = json.loads(run(*asked, "-f", "json").stdout)[0]
        column = list(names)[1]
        chosen = run(*asked, "--columns", column, "-f", "json")
        assert [list(row) for row in json.loads(chosen.stdout)] == [[column]] * len(json.loads(chosen.stdout)), chosen


def test_a_table_gives_its_width_to_texts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = run("query", "heads").stdout.splitlines()
    assert lines[0].split() == ["head", "property", "labeller", "share", "spans", "variance"]
    assert max(map(len, lines)) <= 80 and "two apples; a red, round thing; a b…" in lines[2 + 5]
    empty = "empty: tested, probability, confidence, note, aligner_r2; -f csv has all)"
    assert " ".join(lines[-2:]) == f"(in all rows: model_id one/a; {empty}"
    of_layer = run("query", "heads", "--layer", "1").stdout.splitlines()
    assert " ".join(of_layer[-2:]) == f"(in all rows: model_id one/a, labeller vote; {empty}"
    # SQL has what it asks for, and so has whoever chooses columns.
    own = run("query", "select model_id, null as nothing from heads").stdout.splitlines()
    assert own[0].split() == ["model_id", "nothing"] and own[2].split() == ["one/a"] and len(own) == 8
    assert run("query", "heads", "--columns", "model_id").stdout.split()[2:] == ["one/a"] * 6


def test_intervals_are_one_column_for_people_and_exact_elsewhere(run: Run) -> None:
    table = run("query", "association").stdout.splitlines()
    row = json.loads(run("query", "association", "-f", "json").stdout)[0]
    shown = f"{row['association']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
    assert shown in table[2] and "low" not in table[0].split()
    assert run("query", "association", "-f", "csv").stdout.split(",")[6:8] == ["low", "high"]
    assert run("query", "association", "-f", "markdown").stdout.split(" | ")[6:8] == ["low", "high"]


def test_markdown_cuts_nothing(run: Run, built: Built) -> None:
    text = "a long text " * 40
    found = run("query", f"select image_id, '{text}' as said from images order by image_id limit 1", "-f", "markdown")
    assert f"| {min(built.ids)} | {text.strip()} |" in found.stdout


def test_the_beginning_of_an_id_gets_a_hint_where_it_finds_nothing(run: Run, built: Built) -> None:
    short = built.ids[0][:12]
    nothing = run("query", f"select * from images where image_id = '{short}'")
    assert nothing.stderr == (
        "No rows.\nnote: an id has 64 letters, of which tables show the first 12: compare with "
        f"starts_with(image_id, '{short}')\n"
    )
    found = run("query", f"select image_id from images where starts_with(image_id, '{short}')")
    assert found.stdout.split()[2] == short and found.stderr == ""
    assert "note" not in run("query", "select * from images where image_id = 'zz'").stderr


def test_a_query_may_have_a_note(run: Run, tmp_path: Path) -> None:
    (tmp_path / "noted.sql").write_text(
        "-- Noted\n-- $n integer = 1: A number.\n-- note: select 'only ' || $n\n--     where $n < 3\nselect $n as n"
    )
    asked = ("query", "--queries", str(tmp_path), "noted", "-f", "csv")
    assert run(*asked).stderr == "note: only 1\n" and run(*asked, "--n", "3").stderr == ""


def test_the_scoreboard_says_which_names_count_as_one(run: Run, built: Built, two: Built) -> None:
    noted = run("query", "scoreboard", "-f", "csv")
    assert noted.stderr == 'note: 1 name is written in several ways that count as one: "Colour." and "colour"\n'
    assert run("query", "scoreboard", "--model", "two/b", "-f", "csv", index=two.path).stderr == ""


def test_a_plan_keeps_its_lines(run: Run) -> None:
    lines = run("query", "explain select * from heads").stdout.splitlines()
    assert lines[0].startswith("┌──") and len(lines) > 5 and any("SEQ_SCAN" in line for line in lines)


def test_a_chart_without_a_judge_is_all_entanglement(built: Built) -> None:
    """A panel and its upper scale, where verdicts would have a panel of their own."""
    import clipdb
    from clipdb.pictures.charts.scoreboard import draw

    with clipdb.open(built.path) as db:
        judged = db.query.scoreboard().to_arrow_table().to_pylist()
    unjudged = [{**row, "judge": None, "association": None, "note": None} for row in judged]
    labels = [[axes.get_xlabel() for axes in draw(rows, {}).axes] for rows in (judged, unjudged)]
    assert labels == [
        ["entanglement (lower is better)", "association (higher is better)"],
        ["entanglement (lower is better)"],
    ]


def test_failures_of_one_run_leave_the_width_to_their_reasons(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = build(tmp_path / "failed.clipdb")
    reason = "not an image that can be read: it begins with b'junk'"
    with catalog.changing(index.path) as connection:
        for number in (1, 2):
            uri = f"/home/ada/My Photos/{'deep/' * 9}{number}.png"
            connection.execute("insert into image_failures values (?, ?, ?)", [uri, reason, RUN])
    monkeypatch.setenv("COLUMNS", "80")
    lines = run("query", "images-failed", index=index.path).stdout.splitlines()
    assert [line.endswith(reason) and line.startswith("…") for line in lines[2:4]] == [True, True]
