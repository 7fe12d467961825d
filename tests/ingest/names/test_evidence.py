"""The labeller evidence: names from metadata, then from minimal pairs, and what is shown of other names."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from built_index import Built, build
from support import clipdb as command
from support import done, refused, rows

import clipdb
from clipdb.errors import ClipdbError
from clipdb.schema import catalog
from clipdb.schema.names import parse_head

MODEL = "one/a"
SHARES = "select property, share from label_scores where labeller = 'evidence' and format('L{}.H{}', layer, head) = "


@pytest.fixture
def index(tmp_path: Path) -> Built:
    """An index where the first number of a vector of L2.H0 says what colour an image has, and of L2.H1 what size."""
    made = build(tmp_path / "names.clipdb", images=60, seed=61)
    with catalog.changing(made.path) as connection:
        for number, one in enumerate(made.ids):
            colour, size = (made.vectors[MODEL, *parse_head(head)][number, 0] > 0 for head in ("L2.H0", "L2.H1"))
            values = f'{{"Colour": "{"rb"[int(colour)]}", "size": "{"sl"[int(size)]}", "n": {number}}}'
            connection.execute("update images set metadata = ? where image_id = ?", [values, one])
    return made


def current(index: Built) -> dict[str, tuple[str, str, bool | None]]:
    found = rows(index.path, "select name, property, labeller, tested from head_properties")
    return {name: (property, labeller, held) for name, property, labeller, held in found}


def test_metadata_names_heads_that_go_with_a_key_and_no_others(index: Built) -> None:
    counts = clipdb.label(index.path, labeller="evidence")
    assert current(index)["L2.H0"] == ("Colour", "evidence", True)
    assert current(index)["L2.H1"] == ("size", "evidence", True)
    assert current(index)["L1.H2"] == ("shape", "vote", None)  # which is no key
    assert counts.named >= 2 and counts.named + counts.nameless == 6
    shares = dict(rows(index.path, SHARES + "'L2.H0'"))
    assert shares.keys() == {"Colour", "size"}  # n has a value for each image, and the label is no property
    assert shares["Colour"] > 1.3 * shares["size"]
    assert clipdb.label(index.path, labeller="evidence").same == 6


def rename(connection: duckdb.DuckDBPyConnection) -> None:
    """Have a person name L2.H0 for the colour that it goes with, and L2.H1, which goes with the size, too."""
    for head, name in ((0, "colour."), (1, "Colour")):
        connection.execute(
            "insert into labels by name select * replace ('human:ann' as labeller, 'human' as run, ? as property) "
            "from labels where labeller = 'evidence' and layer = 2 and head = ?",
            [name, head],
        )


def test_a_persons_name_is_shown_as_tested(index: Built) -> None:
    clipdb.label(index.path, labeller="evidence")
    with catalog.changing(index.path) as connection:
        rename(connection)
    assert current(index)["L2.H0"] == ("colour.", "human:ann", True)
    assert current(index)["L2.H1"] == ("Colour", "human:ann", False)
    with clipdb.open(index.path) as db:
        found = db.query.heads()
        place = [column[0] for column in found.description].index("tested")
        assert [row[place] for row in found.fetchall() if row[2] == "Colour"] == [False]


def test_pairs_go_before_metadata(index: Built, tmp_path: Path) -> None:
    clipdb.label(index.path, labeller="evidence")
    moved = sorted(range(60), key=lambda n: index.vectors[MODEL, 2, 0][n, 0])
    lines = [f"{moved[n]}.png,{moved[-1 - n]}.png,taste,a,b" for n in range(10)]
    lines += [f"{moved[20 + n]}.png,{moved[31 + n]}.png,smell,a,b" for n in range(8)]
    (tmp_path / "pairs.csv").write_text("image_a,image_b,attribute,value_a,value_b\n" + "\n".join(lines))
    clipdb.ingest_pairs(index.path, tmp_path / "pairs.csv")
    done("label", "--labeller", "evidence", "-i", index.path)
    newest = SHARES + "'L2.H0' qualify rank() over (order by run desc) = 1"
    assert dict(rows(index.path, newest)).keys() == {"taste", "smell"}
    with clipdb.open(index.path) as db:
        measured = {row["attribute"]: row["share"] for row in db.rows("specificity", head="L2.H0")}
    assert dict(rows(index.path, newest)) == pytest.approx(measured)
    assert current(index)["L2.H1"][1] != "evidence" or current(index)["L2.H1"][0] in ("taste", "smell")


def test_nothing_to_compare_is_one_line(tmp_path: Path) -> None:
    bare = build(tmp_path / "bare.clipdb", seed=62)
    with catalog.changing(bare.path) as connection:
        connection.execute("""update images set metadata = '{"side": "' || label || '"}'""")
    said = refused("label", "--labeller", "evidence", "-i", bare.path)
    assert said.startswith("images of one/a have fewer than two keys of metadata that group them")
    with pytest.raises(ClipdbError, match="no images of model two/b"):
        clipdb.label(bare.path, labeller="evidence", model="two/b")


def test_names_are_shown_with_what_their_test_found(index: Built) -> None:
    def shown(**given: str) -> dict[str, tuple[object, ...]]:
        with clipdb.open(index.path) as db:
            found = db.query.tested_names(**given)
            names = [column[0] for column in found.description]
            wanted = [names.index(one) for one in ("name", "labeller", "direct", "causal", "follows", "holds", "head")]
            return {row[wanted[-1]]: tuple(row[one] for one in wanted[:-1]) for row in found.fetchall()}

    by_vote = dict(rows(index.path, "select name, property from head_labels where labeller = 'vote'"))
    assert len(by_vote) > 3
    untested = {head: (by_vote[head], "vote", None, None, None, "not tested") for head in by_vote}
    assert {head: row for head, row in shown().items() if row[0]} == untested
    assert len(shown()) == 6  # those without a name, too
    unsaid = "no name was tested: run `clipdb label --labeller evidence"
    assert unsaid in command("query", "tested-names", "-i", index.path).stderr

    clipdb.label(index.path, labeller="evidence")
    assert unsaid not in command("query", "tested-names", "-i", index.path).stderr
    with catalog.changing(index.path) as connection:
        rename(connection)
        for images, target, causal in ((20, "Colour", 0.4), (60, "Colour", 0.5), (99, "size", 0.1)):
            connection.execute(
                "insert into effects by name select ? as model_id, 'L2.H0' as ablated, ? as target, '{}' as template, "
                "'mean' as mode, 'token' as mean, 'all' as tokens, 'all' as part, '' as class_name, ? as images, "
                "0.75 as before, 0.625 as direct, ? as causal, ? - .1 as causal_low, ? + .1 as causal_high, "
                "0 as difference, 0 as controls, 0 as seed, images::text as images_sha256, 'r' as run",
                [MODEL, target, images, causal, causal, causal],
            )
    found = shown()
    assert found["L2.H0"] == ("colour.", "human:ann", 0.125, 0.25, "Colour", "yes")
    assert found["L2.H1"] == ("Colour", "human:ann", None, None, "size", "no")
    assert found["L1.H2"][1:2] + found["L1.H2"][5:] == ("vote", "not tested")  # shape, which is no key
    assert shown(holds="no").keys() == {head for head, row in found.items() if row[5] == "no"}
    assert shown(head="L2.H0") == {"L2.H0": found["L2.H0"]}


def test_what_a_model_answers_itself_is_no_truth(index: Built) -> None:
    """Without metadata the query `evidence` compares heads with the model's own answers, which test no names."""
    with catalog.changing(index.path) as connection:
        connection.execute("update images set metadata = null")
    with pytest.raises(ClipdbError, match="have fewer than two keys of metadata that group them"):
        clipdb.label(index.path, labeller="evidence")
    assert rows(index.path, "select count(*) from labels where labeller = 'evidence'") == [(0,)]


def test_it_reads_no_pool(index: Built) -> None:
    with pytest.raises(ClipdbError, match="reads pairs or metadata, not descriptions: leave the pool out"):
        clipdb.label(index.path, labeller="evidence", pool="general")
