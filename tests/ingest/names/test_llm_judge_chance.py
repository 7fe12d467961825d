"""A language model is asked about other heads' names, too: what is asked, once, and what the answers count for."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hostile_server import Asked, Sent, asking, failed, serving
from judge_answers import NAMES, give_names, judged
from span_index import HEADS, span_index
from support import asking as connected
from support import change, clipdb, done, refused, rows

import clipdb as package

pytestmark = pytest.mark.usefixtures("key")

KEYS = {"colour", "animals", "season"}
PAIRS = {(head, name) for head in HEADS for name in KEYS}
UNTOUCHED = ("source_ccs", "head_verdicts", "ratings", "rank_agreement")


@pytest.fixture
def index(own_named_spans: Path) -> Path:
    return own_named_spans


def pairs(asked: list[Asked]) -> list[tuple[str, str]]:
    """Which heads were asked about by which names, as names are compared."""
    return sorted((one.head, str(one.data["property"]).lower()) for one in asked)


def test_every_head_is_asked_about_every_name_once(index: Path) -> None:
    with serving(judged) as server:
        dry = done(*asking("judge", index, server.url, "--chance", "--dry-run")).splitlines()[-1]
        assert f"18 calls of llm:small at {server.url}, 0 pairs of a head and a name skipped" in dry
        assert server.asked == []
        done(*asking("judge", index, server.url))
        own = [one.body["messages"] for one in server.asked]
        line = done(*asking("judge", index, server.url, "--chance"))
        assert line == (
            f"{index}: 12 pairs of a head and a name judged by llm:small (60 verdicts), 6 skipped, 0 failed\n"
        )
        assert pairs(server.asked) == sorted(PAIRS)
        again = done(*asking("judge", index, server.url, "--chance"))
        assert "0 pairs of a head and a name judged by llm:small (0 verdicts), 18 skipped" in again
        assert len(server.asked) == 18
    # The same task and the same spans, whoever carries the name.
    spans = {one.head: one.data["descriptions"] for one in server.asked}
    assert all(one.data["descriptions"] == spans[one.head] for one in server.asked)
    assert {one.system for one in server.asked} == {own[0][0]["content"]}
    ((arguments,),) = rows(index, "select arguments from runs where (arguments->>'$.chance') = 'true'")
    assert json.loads(arguments)["top"] == 5
    assert rows(index, "select count(*), count(distinct property_key) from chance_verdicts") == [(60, 3)]


def test_what_failed_is_asked_again_and_nothing_else(index: Path) -> None:
    def once(asked: Asked) -> Sent:
        poor = (asked.head, asked.data["property"]) == ("L10.H0", "animals") and not asked.before
        return failed(400) if poor else judged(asked)

    chance = "select chance from association"
    with serving(once) as server:
        line = done(*asking("judge", index, server.url, "--chance"))
        assert "17 pairs of a head and a name judged by llm:small (85 verdicts), 0 skipped, 1 failed" in line
        assert rows(index, chance) == [(None,)]
        line = done(*asking("judge", index, server.url, "--chance"))
        assert "1 pair of a head and a name judged by llm:small (5 verdicts), 17 skipped, 0 failed" in line
        assert len(server.asked) == 19 and rows(index, chance) == [(0.0,)]  # yes no unsure yes no: 2 of 5 fit


def test_in_python_heads_own_names_come_first(index: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    with serving(judged) as server:
        llm = package.Server("small", base_url=server.url)
        options: dict[str, Any] = {"judge": "llm", "server": llm, "chance": True, "concurrency": 1}
        assert package.judge(index, dry_run=True, **options).count == 18
        outcome = package.judge(index, progress=lambda *done: seen.append(done[:3]), **options)
    assert (outcome.answered, outcome.rows) == (18, 90)
    assert seen[-1] == ("pairs of a head and a name", 18, 18)
    assert [(one.head, one.data["property"]) for one in server.asked[:6]] == list(zip(HEADS, NAMES, strict=True))


def test_names_are_those_of_the_same_source_model_and_partition(tmp_path: Path) -> None:
    index = span_index(tmp_path / "i.clipdb", heads=3, models=("a/x", "b/y"))
    names = {
        ("a/x", "llm:s"): ("colour", "shape", "place"),
        ("a/x", "human:ada"): ("texture",),
        ("b/y", "llm:s"): ("season", "Season.", "colour"),
    }
    given = [(*source, head, name) for source, of in names.items() for head, name in enumerate(of)]
    insert = "insert into labels by name select *, 10 as layer, 'plain' as pool, '1' as run, 'ok' as status, "
    insert += "now() as created_at from (values {}) as given (model_id, labeller, head, property);"
    # The third head is the pooling's.
    tables = ("head_statistics", "spans", "labels")
    pooling = [f"update {one} set layer = -1, head = 0 where head = 2;" for one in tables]
    change(index, insert.format(", ".join(map(str, given))) + " ".join(pooling))
    with serving(judged) as server:
        done(*asking("judge", index, server.url, "--chance", "--labeller", "llm:s", "--model", "a/x"))
        assert pairs(server.asked) == sorted(
            [("L10.H0", "colour"), ("L10.H0", "shape"), ("L10.H1", "colour"), ("L10.H1", "shape"), ("L-1.H0", "place")]
        )
        server.asked.clear()
        done(*asking("judge", index, server.url, "--chance", "--model", "a/x"))
        assert pairs(server.asked) == [("L10.H0", "texture"), ("L10.H1", "texture")]
        server.asked.clear()
        # One question for a name in two spellings.
        done(*asking("judge", index, server.url, "--chance", "--model", "b/y"))
        assert pairs(server.asked) == [("L-1.H0", "colour"), ("L10.H0", "season"), ("L10.H1", "season.")]


def test_current_names_from_two_pools_are_shuffled_over_all_heads(index: Path) -> None:
    """Each pool's heads are asked about with its spans, and about names from the other as well."""
    other = "update spans set pool = 'other' where layer = 11; update labels set pool = 'other' where layer = 11;"
    change(index, f"{other} update labels set property = 'place' where layer = 11 and head = 0")
    with serving(judged) as server:
        done(*asking("judge", index, server.url, "--chance"))
        assert {head for head, name in pairs(server.asked) if name == "place"} == set(HEADS[:4])
        figures = "select chance, judged_heads from association"
        assert rows(index, figures) == [(0.0, 4)]
        done("judge", "--judge", "llm", "--pool", "other", "--llm-model", "small", "--base-url", server.url, "--chance",
             "-i", index)  # fmt: skip
        assert len(server.asked) == 6 * 4
        assert rows(index, figures) == [(0.0, 6)]


def everything(index: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What stands on heads' own names."""
    found = {}
    with connected(index) as connection:
        for view in UNTOUCHED:
            found[view] = sorted(connection.execute(f"from {view}").fetchall(), key=repr)
        figures = "select * exclude (chance, chance_low, chance_high, excess, undecided_pairs) from source_association"
        found["association"] = sorted(connection.execute(figures).fetchall(), key=repr)
    return found


def test_nothing_that_is_said_of_own_names_changes(index: Path) -> None:
    give_names(index, "human:ada", dict(zip(HEADS, NAMES, strict=True)))
    change(index, "update labels set confidence = head / 4 where labeller = 'human:ada'")
    give_names(index, "vote", {"L10.H0": "animals"})  # a name, too, if not the current one
    with serving(lambda asked: judged(asked, span_3="yes")) as server:
        for model, labeller in itertools.product(("small", "other"), ("current", "vote")):
            done(*asking("judge", index, server.url, "--llm-model", model, "--labeller", labeller))
        before = everything(index)
        assert all(before.values())
        server.behaviour = judged  # 2 of 5 fit, not 3
        for model in ("small", "other"):
            done(*asking("judge", index, server.url, "--llm-model", model, "--chance"))
    assert rows(index, "select count(*) from chance_verdicts") == [(2 * 11 * 5,)]
    assert everything(index) == before
    said = done("info", "-i", index, "-f", "json")
    assert "55 of them on names of other heads, for chance" in said and "not judged" not in said
    # Of 36 pairs of a head and a head's name 12 fit as own names, and 2 as what the vote calls L10.H0.
    by = "select judge, chance from association order by judge"
    assert rows(index, by) == [(one, pytest.approx(14 / 36)) for one in ("llm:other", "llm:small", "majority")]
    # A head that comes to carry a name by which it was judged for chance has these verdicts.
    give_names(index, "human:ada", {"L11.H1": "colour"})
    assert rows(index, "select count(*) from chance_verdicts") == [(2 * 10 * 5,)]
    assert rows(index, "select judged, ccs from ccs where judge = 'llm:small' and (layer, head) = (11, 1)") == [(4, 2)]


def test_other_judges_are_not_asked_for_chance(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rows(index, "from runs")
    assert refused("judge", "--chance", "-i", index) == (
        f"chance of the judge vote is known without it: see `clipdb query association -i {index}`"
    )
    with pytest.raises(package.ClipdbError, match="the judge mine judges heads' own names alone: for chance ask"):
        package.judge(index, judge="mine", chance=True)
    result = clipdb("judge", "--judge", "llm", "--chance", "-i", index)
    assert result.exit_code == 2 and "--judge llm needs a model: add --llm-model NAME" in result.stderr
    assert rows(index, "from runs") == before and rows(index, "from judgements") == []
