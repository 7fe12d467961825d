"""`clipdb review`: what a person types is what is written, and it travels as a file."""

from __future__ import annotations

import csv
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from span_index import MODEL, span_index
from support import change, clipdb, done, refused, rows, until

from clipdb.ingest.store.lock import writer_lock

PEOPLE = (
    "select layer, head, property, status, confidence from labels where labeller = 'human:ann' order by layer, head"
)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index whose heads have names by vote; don't write to it."""
    made = span_index(tmp_path_factory.mktemp("named") / "index.clipdb")
    done("label", "--labeller", "vote", "--pool", "plain", "-i", made)
    return made


@pytest.fixture
def index(named: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(named, tmp_path / "index.clipdb", symlinks=True))


def review(index: Path, typed: str, *options: object, reviewer: str = "ann") -> str:
    from clipdb.cli import main

    command = ["review", "--reviewer", reviewer, "-i", index, *options]
    result = CliRunner().invoke(main, [str(one) for one in command], input=typed)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.output


def test_accept_rename_reject_and_skip(index: Path) -> None:
    before = dict(rows(index, "select head, property from labels where layer = 10"))
    printed = review(index, "a\nr\n  sailing \nx\ns\nq\n")
    assert "L10.H0  (1 of 6)" in printed and " 1  a red door" in printed and f"name: {before[0]}  (by vote)" in printed
    assert "3 heads decided by human:ann, 3 left" in printed
    assert rows(index, PEOPLE) == [
        (10, 0, before[0], "ok", None),
        (10, 1, "sailing", "ok", None),
        (10, 2, before[2], "rejected", None),
    ]
    current = dict(rows(index, "select head, property from head_properties where layer = 10"))
    assert current == {0: before[0], 1: "sailing", 3: before[3]}  # the rejected name counts no longer
    # Who comes back gets the heads that are left, also those that were skipped.
    printed = review(index, "q\n")
    assert "L10.H3  (1 of 3)" in printed and "L10.H0" not in printed
    assert "L10.H0  (1 of 6)" in review(index, "q\n", "--again")
    assert "L10.H0  (1 of 6)" in review(index, "q\n", reviewer="ben")
    assert "L10.H1  (1 of 1)" in review(index, "q\n", "--head", "l10h1")  # though it was decided on


def test_ratings_and_verdicts(index: Path) -> None:
    printed = review(
        index, "a\n4\n1 3?\nr\nsport\n9\n\nall\nx\na\n1\n2, 8\nnone\n", "--rate", "--verdicts", "--spans", 3
    )
    assert "'8' is not the number of a description: write 1 to 3" in printed
    assert "'9' is not one of" in printed
    named = rows(index, PEOPLE)
    assert [one[3:] for one in named] == [("ok", 0.75), ("ok", None), ("rejected", None), ("ok", 0.0)]
    said = rows(
        index,
        "select j.head, s.rank, verdict, j.property from judgements j join spans s using (layer, head, text_id) "
        "where judge = 'human:ann' and layer = 10 order by 1, 2",
    )
    expected = {0: [True, False, None], 1: [True] * 3, 3: [False] * 3}
    assert [one[:3] for one in said] == [
        (head, rank, verdict) for head, fits in expected.items() for rank, verdict in enumerate(fits, start=1)
    ]
    assert {one[0]: one[3] for one in said} == {0: named[0][2], 1: "sport", 3: named[3][2]}


def test_blind_shows_no_name(index: Path) -> None:
    printed = review(index, "doors\ns\n...\ncloth\nq\n", "--blind")
    assert "name:" not in printed.replace("name ([s]kip, [q]uit):", "") and "vote" not in printed
    assert "write a word or two" in printed
    assert [one[2] for one in rows(index, PEOPLE)] == ["doors", "cloth"]
    assert rows(
        index, "select distinct json_extract_string(arguments, 'blind') from runs where command = 'review'"
    ) == [("true",)]


def test_a_sample_is_the_same_one_until_it_is_done(index: Path) -> None:
    def shown(printed: str) -> list[str]:
        return [line.split()[1] for line in printed.splitlines() if line.startswith(MODEL)]

    all_three = shown(review(index, "s\ns\ns\n", "--sample", 3, "--seed", 7))
    assert len(all_three) == 3
    assert shown(review(index, "a\nq\n", "--sample", 3, "--seed", 7)) == all_three[:2]
    assert shown(review(index, "s\ns\n", "--sample", 3, "--seed", 7)) == all_three[1:]
    samples = {tuple(shown(review(index, "s\ns\ns\n", "--sample", 3, "--seed", seed, "--again"))) for seed in range(6)}
    assert len(samples) > 1


def test_the_names_of_one_labeller(index: Path) -> None:
    done("import", "labels", _names(index.parent, "L10.H0's own"), "--source", "paper", "-i", index)
    printed = review(index, "a\n", "--labeller", "import:paper")
    assert "(1 of 1)" in printed and "name: L10.H0's own  (by import:paper)" in printed
    assert [one[2] for one in rows(index, PEOPLE)] == ["L10.H0's own"]


def test_what_would_steer_the_terminal_is_escaped(index: Path) -> None:
    done("import", "labels", _names(index.parent, "red"), "--source", "paper", "-i", index)
    change(index, "update labels set property = ? where labeller = 'import:paper'", "red\x1b[31m")
    assert "\x1b" not in review(index, "q\n", "--labeller", "import:paper")


def test_bad_input(index: Path, tmp_path: Path) -> None:
    assert "no index at" in refused("review", "--reviewer", "ann", "-i", tmp_path / "none")
    assert "isn't a valid name" in refused("review", "--reviewer", " ", "-i", index)
    assert "has no heads named by llm:x" in refused("review", "--reviewer", "a", "--labeller", "llm:x", "-i", index)
    among = refused("review", "--reviewer", "a", "--labeller", "llm:x", "-i", index)
    assert among.endswith("choose with --labeller among vote")
    assert "has no heads of a/b" in refused("review", "--reviewer", "a", "--model", "a/b", "-i", index)


def test_ctrl_c_keeps_what_was_decided(index: Path) -> None:
    """In a real terminal: decide on one head, then press Ctrl-C at the next prompt."""
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "clipdb.cli", "review", "--reviewer", "ann", "-i", str(index)]
    process = subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True, close_fds=True
    )
    os.close(terminal)
    seen = b""

    def reads(what: bytes) -> bool:
        nonlocal seen
        seen += os.read(controller, 65536)
        return what in seen

    assert until(lambda: reads(b"[q]uit"))
    os.write(controller, b"a\n")
    assert until(lambda: reads(b"(2 of 6)") and seen.count(b"[q]uit") == 2)
    # Another command may write while a person thinks.
    done("label", "--labeller", "vote", "--pool", "plain", "-i", index)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert until(lambda: reads(b"1 head decided by human:ann, 5 left"))
    os.close(controller)
    assert len(rows(index, PEOPLE)) == 1


def test_another_writer_is_met_before_the_first_question(index: Path) -> None:
    with writer_lock(index):
        line = refused("review", "--reviewer", "ann", "-i", index)
    assert f"is being written by process {os.getpid()} (" in line and line.count(index.name) == 1


def test_an_answer_waits_for_another_writer(index: Path) -> None:
    command = [sys.executable, "-m", "clipdb.cli", "review", "--reviewer", "ann", "-i", str(index)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin and process.stdout and process.stderr
        seen = b""
        while b"[q]uit" not in seen:
            seen += os.read(process.stdout.fileno(), 65536)
        with writer_lock(index):
            process.stdin.write(b"a\nq\n")
            process.stdin.flush()
            note = process.stderr.readline().decode()
            assert f"process {os.getpid()} (" in note and note.endswith("the answer is kept, and written after that\n")
        printed, problems = process.communicate(timeout=60)
    assert process.returncode == 0 and b"1 head decided by human:ann, 5 left" in printed and problems == b""
    assert len(rows(index, PEOPLE)) == 1


def test_a_sheet_of_what_moves_the_head(own_index: Path, tmp_path: Path) -> None:
    from PIL import Image

    printed = review(own_index, "s\nq\n", "--sheets", tmp_path / "sheets")
    [path] = tmp_path.glob("sheets/*L1.H0.png")
    assert f"images: {path}" in printed
    kept = re.search("images: (.*)", review(own_index, "q\n"))
    assert kept is not None and not Path(kept[1]).parent.exists()
    with Image.open(path) as sheet:
        assert sheet.width > 400 and sheet.height > 400


def test_reviews_travel_as_a_file(index: Path, tmp_path: Path) -> None:
    review(index, "a\n5\n1 2?\nx\nr\nsport\n\n\n", "--rate", "--verdicts")
    review(index, "a\n", reviewer="Bea, too")
    people = "from labels where labeller like 'human%' order by all"
    verdicts = "from judgements where judge like 'human%' order by all"
    for suffix in ("csv", "parquet"):
        file, other = tmp_path / f"reviews.{suffix}", tmp_path / f"{suffix}.clipdb"
        done("export", "reviews", file, "-i", index)
        assert "11 decisions added, 0 were there" in done("import", "reviews", file, "-i", other)
        for table in (people, verdicts):
            assert rows(other, table) == rows(index, table) != []
        assert rows(other, "select count(*) from heads") == [(3,)]
        for target in (index, other):
            runs = rows(target, "select count(*) from runs")
            assert "0 decisions added, 11 were there" in done("import", "reviews", file, "-i", target)
            assert rows(target, "select count(*) from runs") == runs
        again = tmp_path / f"again.{suffix}"
        done("export", "reviews", again, "-i", other)
        assert again.read_bytes() == file.read_bytes()


def test_nobody_has_decided(index: Path, tmp_path: Path) -> None:
    result = clipdb("export", "reviews", tmp_path / "none.csv", "-i", index)
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (0, "", 1)
    assert result.stderr.startswith(f"note: nobody has decided on a head of {index}: ")
    assert len((tmp_path / "none.csv").read_text().splitlines()) == 1


HEADER = "model,pretrained,layer,head,pool,reviewer,decision,property,text"


def test_a_file_that_a_person_typed(index: Path, tmp_path: Path) -> None:
    file = tmp_path / "typed.csv"
    file.write_text(
        f"{HEADER}\nSmall,none,10,0,plain,Eve,Named,doors,\nSmall,none,10,0,,Eve,fits,doors,a red door\n"
        "Small,none,10,1,plain,Eve,rejected,colour,\n"
    )
    assert "3 decisions added, 0 were there" in done("import", "reviews", file, "-i", index)
    assert "0 decisions added, 3 were there" in done("import", "reviews", file, "-i", index)
    assert rows(index, "select property from head_properties where (layer, head) = (10, 0)") == [("doors",)]
    file.write_text(file.read_text().replace("Named,doors", "named,gates"))
    assert "1 decisions added, 2 were there" in done("import", "reviews", file, "-i", index)
    assert rows(index, "select property from head_properties where (layer, head) = (10, 0)") == [("gates",)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "Small,none,10,0,plain,Eve,maybe,doors,",
            "line 2: the decision is 'maybe': write one of named, rejected, fits",
        ),
        ("Small,none,10,0,,Eve,named,doors,", "line 2: the pool is empty"),
        ("Small,none,10,0,plain,Eve,fits,doors,", "line 2: the text is empty"),
        ("Small,none,10,0,plain,,named,doors,", "line 2: the reviewer is empty"),
        (
            "Small,none,10,0,plain,E\x07ve,named,doors,",
            "line 2: the reviewer is 'E\\x07ve': write at most 200 characters",
        ),
        (
            "Small,none,10,0,plain,Eve,named,do\tors,",
            "line 2: the property is 'do\\tors': write at most 1000 characters",
        ),
        (f"Small,none,10,0,plain,{'E' * 201},named,doors,", f"line 2: the reviewer is '{'E' * 195}...': write at most"),
        ("Small,none,10,0,p\x9blain,Eve,named,doors,", "line 2: the pool is 'p\\x9blain': write at most 200"),
        ("Small,none,x,0,plain,Eve,named,doors,", "line 2: the layer is 'x'"),
        (
            "Small,none,10,0,plain,Eve,named,doors,\nSmall,none,10,0,plain,Eve,named,gates,",
            "line 3: human:Eve decided on this already",
        ),
    ],
)
def test_a_bad_file_writes_nothing(index: Path, tmp_path: Path, row: str, message: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(f"{HEADER}\n{row}\n")
    before = rows(index, "from runs")
    assert message in refused("import", "reviews", file, "-i", index)
    assert rows(index, "from runs") == before
    assert message in refused("import", "reviews", file, "-i", tmp_path / "new.clipdb")
    assert not (tmp_path / "new.clipdb").exists()


def test_a_file_that_contradicts_a_run(index: Path, tmp_path: Path) -> None:
    review(index, "a\n")
    file = tmp_path / "reviews.csv"
    done("export", "reviews", file, "-i", index)
    with file.open(newline="") as stream:
        [row] = csv.DictReader(stream)
    file.write_text(file.read_text().replace(f",{row['property']},", ",another,"))
    assert "said something else in the run" in refused("import", "reviews", file, "-i", index)
    file.write_text(file.read_text().replace(row["run"], "newest"))
    assert "line 2: the run is 'newest': leave it as it was exported" in refused("import", "reviews", file, "-i", index)


def test_a_decision_is_on_a_head_of_the_model(own_index: Path, tmp_path: Path) -> None:
    file = tmp_path / "far.csv"
    file.write_text(f"{HEADER}\nclipdb-tiny,random,9,0,plain,Eve,named,doors,\n")
    assert refused("import", "reviews", file, "-i", own_index).endswith("has layers 0 to 4 with 6 heads each, no L9.H0")


def _names(folder: Path, name: str) -> Path:
    file = folder / "names.csv"
    file.write_text(f'model,pretrained,layer,head,property\nSmall,none,10,0,"{name}"\n')
    return file
