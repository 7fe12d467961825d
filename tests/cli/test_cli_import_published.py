"""`clipdb import spans` and `labels` as people use them: an index of nothing but names, and files that are wrong."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import change, clipdb, done, refused, rows, verified

HEADS = "model,pretrained,layer,head"
SPANS = f"{HEADS},rank,text\nViT-A,web,3,0,1,a red mug\nViT-A,web,3,0,2,a heron\nViT-A,web,3,1,1,a heron\n"
LABELS = f"{HEADS},property\nViT-A,web,3,0,Colours\nViT-A,web,3,1,colours\n"


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Spans and names of two heads, without model and images, beside the files. Don't write to it."""
    folder = tmp_path_factory.mktemp("named")
    for kind, content in (("spans", SPANS), ("labels", LABELS)):
        (folder / f"{kind}.csv").write_text(content)
        done("import", kind, folder / f"{kind}.csv", "--source", "web", "-i", folder / "named.clipdb")
    return folder / "named.clipdb"


@pytest.fixture
def index(named: Path, tmp_path: Path) -> Path:
    """A copy of `named` of the test's own."""
    return Path(shutil.copytree(named, tmp_path / "own.clipdb"))


def bytes_of(folder: Path) -> dict[str, str]:
    return {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in folder.rglob("*") if one.is_file()}


def test_what_is_printed(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("note,layer,head,rank,text,Pa\x1bge\nx,3,0,1,a red mug,7\n")
    command = ("import", "spans", tmp_path / "s.csv", "--source", "web", "-i", tmp_path / "i.clipdb")
    result = clipdb(*command, "--model", "ViT-A/web")
    assert result.stdout == f"{tmp_path / 'i.clipdb'}: added 1 span, skipped 0; the file has 1 head of ViT-A/web\n"
    assert result.stderr == "note: left out the columns note, Pa\\u001bge\n"
    (tmp_path / "s.csv").write_text("layer,head,rank,Pa\x1bge\n3,0,1,7\n")
    assert "has no column 'text' (its columns: layer, head, rank, Pa\\u001bge)" in refused(*command)


def test_the_same_file_again_leaves_every_byte(named: Path, index: Path) -> None:
    before = bytes_of(index)
    for kind in ("spans", "labels"):
        assert "added 0" in done("import", kind, named.with_name(f"{kind}.csv"), "--source", "web", "-i", index)
    assert bytes_of(index) == before


def test_questions_without_model_and_images(named: Path) -> None:
    index = named
    cards = done("query", "heads", "-i", index, "-f", "csv").splitlines()
    assert [line.split(",")[:4] for line in cards[1:]] == [
        ["ViT-A/web", "L3.H0", "Colours", "import:web"],
        ["ViT-A/web", "L3.H1", "colours", "import:web"],
    ]
    one = done("query", "head", "L3.H0", "-i", index, "-f", "csv").splitlines()
    assert [line.split(",")[5:7] for line in one[1:]] == [["1", "a red mug"], ["2", "a heron"]]
    assert "L3.H0" in done("query", "spans", "mug", "-i", index)
    assert "L3.H1" in done("query", "property", "color", "-i", index)
    assert "L3.H0, L3.H1" in done("query", "spans-shared", "-i", index)
    shared = json.loads(done("query", "entanglement", "-i", index, "-f", "json"))[0]
    assert (shared["labelled"], shared["shared"], shared["entanglement"], shared["exclusive"]) == (2, 2, 1.0, 0.0)
    for name in ("layers", "coverage", "properties", "properties-by-layer"):
        assert "ViT-A/web" in done("query", name, "-i", index)
    info = done("info", "-i", index, "-f", "csv")
    assert "ViT-A/web,heads,,2,layers 3; 2 without vectors" in info and "older" not in info
    verified(index)


@pytest.mark.parametrize(
    "question",
    [
        ("neighbours", "--head", "L3.H0", "--image", __file__),
        ("text-neighbours", "red", "--head", "L3.H0"),
        ("text-heads", "red"),
        ("redundant",),
    ],
)
def test_questions_about_vectors_say_what_is_missing(question: tuple[str, ...], named: Path) -> None:
    assert refused("query", *question, "-i", named).startswith("ViT-A/web has no images in this index")


def test_language_models_can_be_asked_about_imported_spans(named: Path) -> None:
    server = ("--llm-model", "x", "--base-url", "http://localhost:1/v1", "--dry-run")
    asked = done("label", "--labeller", "llm", "--open", "--pool", "web", *server, "-i", named)
    assert "ViT-A/web L3.H0" in asked and "a red mug" in asked and "2 calls" in asked


def test_verbs_that_need_more_than_names_say_so(index: Path) -> None:
    before = rows(index, "from runs")
    assert "has no images yet" in refused("span", "--pool", "web", "-i", index)
    assert "has no images yet" in refused("label", "--pool", "web", "-i", index)
    assert refused("label", "--labeller", "vote", "--pool", "web", "-i", index).startswith(
        "no span from the pool 'web' has both a property and a variance to vote with: name these heads with "
    )
    assert "has no spans from the pool 'general'" in refused(
        "label", "--labeller", "vote", "--pool", "general", "-i", index
    )
    assert rows(index, "from runs") == before


def test_tags_and_variances_let_the_vote_name_imported_spans(tmp_path: Path) -> None:
    index = tmp_path / "i.clipdb"
    (tmp_path / "s.csv").write_text(
        f"{HEADS},rank,text,variance_explained\na,b,0,0,1,a red mug,.5\na,b,0,0,2,a heron,.2\na,b,0,0,3,a gull,.1\n"
    )
    (tmp_path / "tags.csv").write_text("text,property\na red mug,colour\na heron,birds\na gull,birds\n")
    command = ("import", "spans", tmp_path / "s.csv", "--source", "web", "-i", index)
    done(*command)
    done("ingest", "texts", tmp_path / "tags.csv", "--pool", "web", "-i", index)
    done("label", "--labeller", "vote", "--pool", "web", "-i", index)
    assert rows(index, "select labeller, property, confidence from labels") == [("vote", "colour", 0.625)]
    assert "3 verdicts" in done("judge", "--pool", "web", "-i", index)
    assert rows(index, "select ccs from ccs") == [(1,)]
    assert "added 0 spans, skipped 3" in done(*command)
    verified(index)


def test_imported_spans_are_not_spanned_over(own_index: Path, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("layer,head,rank,text\n4,0,1,a red mug\n")
    done("import", "spans", tmp_path / "s.csv", "--source", "web", "--model", "clipdb-tiny/random", "-i", own_index)
    assert refused("span", "--pool", "web", "-i", own_index) == (
        "the spans of clipdb-tiny/random from the pool 'web' were imported and would be lost: span with another pool; "
        "`clipdb ingest texts FILE --pool NAME` makes one"
    )
    assert rows(own_index, "select text from spans where pool = 'web'") == [("a red mug",)]


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
def test_a_file_that_is_wrong(kind: str, content: str, said: str, named: Path, tmp_path: Path) -> None:
    file = tmp_path / "wrong.csv"
    file.write_text(content, encoding="utf-8")
    before = bytes_of(named)
    for place in (tmp_path / "new.clipdb", named):
        line = refused("import", kind, file, "--source", "web", "-i", place)
        assert line.replace(str(file), "FILE").startswith(said)
    assert not (tmp_path / "new.clipdb").exists() and bytes_of(named) == before


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


def test_a_name_given_here_goes_before_an_imported_one(index: Path) -> None:
    change(
        index,
        "insert into labels by name select 'ViT-A/web' as model_id, 3 as layer, 0 as head, 'web' as pool, "
        "'human:ann' as labeller, '2' as run, 'mugs' as property, 'ok' as status, now() as created_at",
    )
    assert rows(index, "select property, labeller from head_properties order by head") == [
        ("mugs", "human:ann"),
        ("colours", "import:web"),
    ]
