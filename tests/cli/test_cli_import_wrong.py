"""`clipdb import spans` and `labels` of what is wrong: one line says where, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from published_files import HEADS, LABELS, SPANS, bytes_of
from support import done, refused, rows


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        ("spans", "", "FILE is empty: write a row for each of its columns model, pretrained, layer, head, rank, text"),
        ("labels", f"{HEADS},property\n", "FILE is empty"),
        ("labels", "model,layer,head,property\na,0,0,x\n", "FILE has no column 'pretrained': add it, or give --model"),
        ("labels", "layer,head,property\n0,0,x\n", "FILE has no column 'model' and 'pretrained': add"),
        ("labels", f"{HEADS},proprety\na,b,0,0,x\n", "FILE has no column 'property' (its columns: model, pretrained,"),
        ("spans", f"{HEADS},rank\na,b,0,0,1\n", "FILE has no column 'text'"),
        ("labels", f"{HEADS},Layer,property\na,b,0,0,0,x\n", "FILE has the column 'layer' twice"),
        ("labels", f"{HEADS},property\na,b,0,0,x\na,b,0,1,\n", "FILE line 3: the property is empty: fill it in"),
        ("labels", f"{HEADS},property\na,b,0,0, ...\n", "FILE line 2: the property is empty"),
        ("labels", f"{HEADS},property\na,b,0,0,red\x1b[31m\n", "FILE line 2: the property is 'red\\x1b[31m': write at"),
        (
            "labels",
            f"{HEADS},property\na,b,0,0,red\tblue\n",
            "FILE line 2: the property is 'red\\tblue': write at most",
        ),
        (
            "labels",
            f"{HEADS},property\na,b,0,0,{'x' * 70_000}\n",
            f"FILE line 2: the property is '{'x' * 195}...': write at most 1000 characters without tabs",
        ),
        ("labels", f"{HEADS},property\n{'x' * 70_000},b,0,0,red\n", f"FILE line 2: '{'x' * 195}...' is not a model"),
        (
            "labels",
            f"{HEADS},property,confidence\na,b,0,0,x,\u0661\n",
            "FILE line 2: the confidence is '\u0661': write a",
        ),
        (
            "labels",
            f"{HEADS},property,confidence\na,b,0,0,x,{'1' * 9999}\n",
            f"FILE line 2: the confidence is '{'1' * 195}...",
        ),
        ("labels", f"{HEADS},property\na,b,0,0\n", "FILE line 2: the property is empty"),
        ("labels", f"{HEADS},property\na,b,-1,0,x\n", "FILE line 2: the layer is '-1': write a whole number, counted"),
        ("labels", f"{HEADS},property\na,b,1.0,0,x\n", "FILE line 2: the layer is '1.0'"),
        ("labels", f"{HEADS},property\na,b,,0,x\n", "FILE line 2: the layer is ''"),
        ("labels", f"{HEADS},property\na,b,L3,0,x\n", "FILE line 2: the layer is 'L3'"),
        ("labels", f"{HEADS},property\na,b,٣,0,x\n", "FILE line 2: the layer is '٣'"),
        ("labels", f"{HEADS},property\na,b,0,99999999999,x\n", "FILE line 2: the head is '99999999999'"),
        ("labels", f"{HEADS},property\na b,c,0,0,x\n", "FILE line 2: 'a b/c' is not a model name: write"),
        ("labels", f"{HEADS},property\na,,0,0,x\n", "FILE line 2: 'a/' is not a model name"),
        ("labels", f"{HEADS},property\na/b,c,0,0,x\n", "FILE line 2: 'a/b/c' is not a model name"),
        (
            "labels",
            f"{HEADS},property\na,b,0,0,x\na,b,0,1,x\na,b,0,0,y\n",
            "FILE line 4: L0.H0 of a/b is named already, in FILE line 2: keep one of the two",
        ),
        ("labels", f"{HEADS},property,confidence\na,b,0,0,x,80\n", "FILE line 2: the confidence is '80': write a"),
        ("labels", f"{HEADS},property,confidence\na,b,0,0,x,nan\n", "FILE line 2: the confidence is 'nan'"),
        ("labels", f"{HEADS},property\na,b,0,0,red, blue\n", "FILE line 2 has 6 fields, its header 5: put texts"),
        ("labels", f'{HEADS},property\na,b,0,0,"red\n', "FILE line 2 is not CSV"),
        (
            "spans",
            f"{HEADS},rank,text\na,b,0,0,0,x\n",
            "FILE line 2: the rank is '0': write a whole number, counted fr",
        ),
        ("spans", f"{HEADS},rank,text\na,b,0,0,1, \n", "FILE line 2: the text is empty"),
        ("spans", f"{HEADS},rank,text\na,b,0,0,1,x\na,b,0,0,3,y\n", "FILE: L0.H0 of a/b has a rank 3 but no rank 2:"),
        ("spans", f"{HEADS},rank,text\na,b,0,0,2,x\n", "FILE: L0.H0 of a/b has a rank 2 but no rank 1: number them"),
        (
            "spans",
            f"{HEADS},rank,text\na,b,0,0,1,x\n\na,b,0,0,1,y\n",
            "FILE line 4: L0.H0 of a/b has a rank 1 already, in FILE line 2",
        ),
        (
            "spans",
            f"{HEADS},rank,text,variance_explained\na,b,0,0,1,x,12%\n",
            "FILE line 2: the variance_explained is '12%': write a fraction from 0 to 1, or leave it empty",
        ),
    ],
)
def test_a_file_that_is_wrong(kind: str, content: str, said: str, names_only: Path, tmp_path: Path) -> None:
    file = tmp_path / "wrong.csv"
    file.write_text(content, encoding="utf-8")
    before = bytes_of(names_only)
    for place in (tmp_path / "new.clipdb", names_only):
        line = refused("import", kind, file, "--source", "web", "-i", place)
        assert line.replace(str(file), "FILE").startswith(said)
    assert not (tmp_path / "new.clipdb").exists() and bytes_of(names_only) == before


def test_files_that_are_no_table(tmp_path: Path) -> None:
    def said(name: str, content: bytes | None) -> str:
        file = tmp_path / name
        if content is not None:
            file.write_bytes(content)
        line = refused("import", "labels", file, "--source", "web", "-i", tmp_path / "new.clipdb")
        assert not (tmp_path / "new.clipdb").exists()
        return line.replace(str(file), "FILE")

    wanted = "give a .csv or .parquet file with columns model, pretrained, layer, head, property"
    assert said("none.csv", None) == f"no file FILE: {wanted}"
    assert said("names.xlsx", b"PK") == f"cannot tell what FILE holds: {wanted}"
    latin = f"{HEADS},property\na,b,0,0,caf\xe9\n".encode("latin-1")
    assert said("latin.csv", latin) == "FILE is not UTF-8: line 2 holds the byte 0xe9; save it as UTF-8"
    assert said("wide.csv", LABELS.encode("utf-16")).startswith("FILE is not UTF-8: line 1")
    assert said("cut.parquet", b"PAR1").startswith("FILE is not a whole Parquet file (")
    columns = {"model": ["a"], "pretrained": ["b"], "layer": [0], "head": [0], "property": [["red"]]}
    pq.write_table(pa.table(columns), tmp_path / "list.parquet")
    assert said("list.parquet", None).startswith("FILE: column 'property' is list<")
    pq.write_table(pa.table(columns | {"layer": [None], "property": ["red"]}), tmp_path / "null.parquet")
    assert said("null.parquet", None).startswith("FILE row 1: the layer is ''")


def test_a_model_in_the_file_and_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text(LABELS)
    command = ("import", "labels", tmp_path / "n.csv", "--source", "web", "-i", tmp_path / "new.clipdb")
    assert refused(*command, "--model", "a/b") == (
        f"{tmp_path / 'n.csv'} has the column 'model': leave out --model, or that column"
    )
    assert "is not a model name" in refused(*command, "--model", "ViT-A")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("general", "general is a pool that ships with clipdb: choose another name for --source"),
        (" ", "' ' isn't a valid name: give the source a short one with --source NAME"),
        ("two\nlines", "'two\\nlines' isn't a valid name: give the source a short one with --source NAME"),
    ],
)
def test_names_that_no_source_can_have(source: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text(LABELS)
    assert refused("import", "labels", tmp_path / "n.csv", "--source", source, "-i", tmp_path / "i.clipdb") == said
    assert not (tmp_path / "i.clipdb").exists()


def test_a_pool_of_ones_own_is_no_source(tmp_path: Path) -> None:
    index = tmp_path / "i.clipdb"
    (tmp_path / "mine.txt").write_text("a heron\n")
    (tmp_path / "n.csv").write_text(LABELS)
    done("ingest", "texts", tmp_path / "mine.txt", "--pool", "mine", "-i", index)
    for kind, content in (("spans", SPANS), ("labels", LABELS)):
        (tmp_path / "n.csv").write_text(content)
        assert refused("import", kind, tmp_path / "n.csv", "--source", "mine", "-i", index) == (
            f"mine is a pool of {index} that was not imported: choose another name for --source"
        )
    assert rows(index, "select count(*) from heads") == [(0,)] and len(rows(index, "from runs")) == 1


def test_heads_that_their_model_has_not(own_index: Path, tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text("layer,head,property\n4,0,red\n5,0,blue\n")
    command = ("import", "labels", tmp_path / "n.csv", "--source", "web", "--model", "clipdb-tiny/random")
    assert refused(*command, "-i", own_index) == (
        f"{tmp_path / 'n.csv'}: clipdb-tiny/random has layers 0 to 4 with 6 heads each, no L5.H0"
    )
    assert rows(own_index, "from labels where labeller like 'import%'") == []


def test_a_place_that_is_no_index(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text(LABELS)
    assert "is not an index" in refused("import", "labels", tmp_path / "n.csv", "--source", "web", "-i", tmp_path)
