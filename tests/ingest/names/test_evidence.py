"""The labeller evidence: names from metadata, then from minimal pairs, and what is shown of other names."""

from __future__ import annotations

from pathlib import Path

import pytest
from built_index import Built, build
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


def test_a_persons_name_is_shown_as_tested(index: Built) -> None:
    clipdb.label(index.path, labeller="evidence")
    with catalog.changing(index.path) as connection:
        for head, name in ((0, "colour."), (1, "Colour")):
            connection.execute(
                "insert into labels by name select * replace ('human:ann' as labeller, 'human' as run, ? as property) "
                "from labels where labeller = 'evidence' and layer = 2 and head = ?",
                [name, head],
            )
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
