"""The same answers for programs."""

from __future__ import annotations

import csv
import json
from io import BytesIO, StringIO
from pathlib import Path
from urllib.parse import urlencode

import pyarrow.parquet as pq
import pytest
from page_parts import Client, client_of
from support import MODEL

import clipdb
from clipdb.explorer.answering import filled
from clipdb.explorer.downloads import as_file
from clipdb.explorer.site import Site
from clipdb.queries.named.sql_files import query_names


def test_json_csv_and_parquet_have_the_same_rows(explorer: Client, shown_index: Path) -> None:
    with clipdb.open(shown_index) as index:
        truth = index.query.spans(text="colour").fetchall()
    answer = explorer.get("/api/queries/spans?text=colour").json()
    assert [tuple(row) for row in answer["rows"]] == truth and len(truth) >= 5
    table = pq.read_table(BytesIO(explorer.get("/api/queries/spans.parquet?text=colour").content))
    assert list(zip(*(column.to_pylist() for column in table.columns), strict=True)) == truth
    text = explorer.get("/api/queries/spans.csv?text=colour")
    names, *rows = csv.reader(StringIO(text.text))
    assert names == answer["columns"] and [row[1] for row in rows] == [row[1] for row in truth]
    assert "attachment" in text.headers["content-disposition"]


def test_answers_go_on(explorer: Client) -> None:
    whole = explorer.get("/api/queries/heads").json()
    assert whole["next"] is None
    rows, address = [], "/api/queries/heads?limit=10"
    while address:
        answer = explorer.get(address).json()
        assert len(answer["rows"]) <= 10
        rows += answer["rows"]
        address = answer["next"]
    assert rows == whole["rows"]


@pytest.mark.parametrize(
    ("address", "status", "kind", "detail"),
    [
        ("/api/queries/smell", 404, "absent", "no query is called 'smell'"),
        ("/api/queries/head?head=L9.H9", 404, "absent", "no head L9.H9"),
        ("/api/queries/head", 422, "invalid", "head needs --head"),
        ("/api/queries/head?head=nine", 422, "invalid", "nine"),
        ("/api/queries/heads?top=many", 422, "invalid", "--top takes a whole number"),
        ("/api/queries/heads?colour=red", 422, "invalid", "heads has no parameter 'colour'"),
        ("/api/queries/heads?property=", 422, "invalid", "property is empty"),
        ("/api/queries/heads?limit=-1", 422, "invalid", "limit takes a whole number"),
        ("/api/queries/neighbours?head=L1.H0&image=nothing.png", 404, "absent", "no image 'nothing.png'"),
        ("/api/sql", 422, "invalid", "sql is empty"),
        ("/api/sql?sql=select+nothing", 422, "invalid", "nothing"),
        ("/api/sql?sql=drop+table+heads", 422, "invalid", "SELECT"),
        ("/api/nothing", 404, None, "Not Found"),
    ],
)
def test_problems_are_said(explorer: Client, address: str, status: int, kind: str | None, detail: str) -> None:
    answer = explorer.get(address)
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem.get("kind")) == (status, status, kind), problem
    assert answer.headers["content-type"] == "application/problem+json" and detail in problem["detail"]


def test_the_description_has_every_query(explorer: Client) -> None:
    described = explorer.get("/api/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    names = {f"/api/queries/{name.replace('_', '-')}" for name in query_names()}
    assert set(described["paths"]) == names | {"/api/sql"}
    head = described["paths"]["/api/queries/activating"]["get"]["parameters"]
    by_name = {one["name"]: one for one in head}
    assert by_name["head"]["required"] and "pattern" in by_name["head"]["schema"]
    assert by_name["k"]["schema"] == {"type": "integer", "format": "int64", "default": 10}
    assert not by_name["model"]["required"]


def test_every_query_has_a_page_and_answers(explorer: Client, image_ids: list[str]) -> None:
    values = {"head": "L3.H0", "image": image_ids[0], "text": "the colour green", "property": "colour"}
    values["image_b"] = image_ids[1]
    needed = {"ablate": {"heads": "L1.H0"}, "property_neighbours": {"like": "colour"}}  # none of several is required
    answered = 0
    paths = explorer.get("/api/openapi.json").json()["paths"]
    for name in query_names():
        page = f"/queries/{name.replace('_', '-')}"
        assert explorer.get(page).status_code == 200, name
        described = paths[f"/api{page}"]["get"]["parameters"]
        given = {one["name"]: values[one["name"]] for one in described if one.get("required")} | needed.get(name, {})
        answer = explorer.settled(f"/api{page}?{urlencode(given)}")
        if {"a", "b"} <= {one["name"] for one in described}:  # the index has one model
            assert answer.status_code == 422 and "two models" in answer.text
        else:
            assert answer.status_code in (200, 404), (name, answer.text)
        answered += answer.status_code == 200
    assert answered > 25


def test_a_folder_of_queries_gets_pages(shown_index: Path, tmp_path: Path) -> None:
    (tmp_path / "loud.sql").write_text("-- Loud heads\n--\n-- $least number = 0.5: At least.\n\nselect $least as least")
    with client_of(Site(shown_index, [tmp_path], thumbnails=tmp_path / "t.db")) as client:
        assert "Loud heads" in client.get("/queries").text and "Loud heads" in client.get("/queries/loud").text
        assert client.get("/api/queries/loud?least=0.25").json()["rows"] == [[0.25]]


def test_values_are_filled_in_as_sql_writes_them() -> None:
    sql = "select '$a', \"$a\", $a, $b, $c, $d -- $a\n"
    assert filled(sql, {"a": "it's", "b": None, "c": True, "d": 2}) == (
        "select '$a', \"$a\", 'it''s', null, true, 2 -- $a\n"
    )


def test_texts_in_csv_are_no_formulas() -> None:
    written = as_file("csv", "x", ["a", "b"], [{"a": "=1+1", "b": -1.5}]).body
    assert bytes(written).decode() == "a,b\n'=1+1,-1.5\n"


def test_lists_stay_lists_in_parquet(explorer: Client) -> None:
    table = pq.read_table(BytesIO(explorer.get(f"/api/queries/heads.parquet?model={MODEL}").content))
    spans = table.column("spans").to_pylist()
    assert spans == json.loads(json.dumps(spans)) and all(len(one) == 3 for one in spans)
