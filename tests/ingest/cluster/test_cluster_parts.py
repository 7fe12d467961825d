"""What an ingest on a cluster decides before anything runs: options, how many actors, shards, and what nodes lack."""

from __future__ import annotations

import re
import shlex
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import refused

from clipdb import demo
from clipdb.errors import ClipdbError
from clipdb.ingest.images.cluster import connection, nodes
from clipdb.ingest.images.cluster.protocol import Look
from clipdb.ingest.images.cluster.ray_options import Plan, RayOptions, plan, ray_options
from clipdb.ingest.images.cluster.shards import Shards, Window
from clipdb.ingest.images.sources import Sources, open_sources, source

MACHINE = {"CPU": 8.0, "memory": 1e9}
WITH_CARDS = {"CPU": 16.0, "GPU": 4.0}


@pytest.fixture(scope="module")
def sources(pictures: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """Every kind of source in a row."""
    folder = tmp_path_factory.mktemp("sources")
    files = pictures[:12]
    (folder / "list.txt").write_text("".join(f"{file}\n" for file in files))
    (folder / "table.csv").write_text("path,label\n" + "".join(f"{file},scene\n" for file in files))
    with tarfile.open(folder / "shard.tar", "w") as archive:
        for file in files:
            archive.add(file, file.name)
    contents = [file.read_bytes() for file in files]
    pq.write_table(pa.table({"image": contents, "label": range(12)}), folder / "rows.parquet", row_group_size=5)
    (folder / "more").mkdir()
    (folder / "more" / "a.tar").write_bytes((folder / "shard.tar").read_bytes())
    named = ["list.txt", "table.csv", "shard.tar", "rows.parquet", "more"]
    return open_sources([*(str(folder / one) for one in named), *map(str, files), str(files[0].parent)])


def test_shards_have_the_items_of_their_sources_on_other_machines(
    sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray import cloudpickle

    monkeypatch.setattr(source, "SLICE", 5)
    sent = [cloudpickle.loads(cloudpickle.dumps(shard)) for shard in sources.shards()]
    assert len(sent) == 5 + 1 + 3 + 1 + 63  # two lists, a tar, three row groups, a folder of one, 312 files
    theirs = [(item.uri, item.label, item.read()) for shard in sent for item in shard]
    assert theirs == [(item.uri, item.label, item.read()) for item in sources]
    assert len(theirs) == 5 * 12 + 12 + 300


def test_a_shard_is_handed_out_again_from_where_it_was_dealt_with_and_given_up_in_the_end(sources: Sources) -> None:
    shards = Shards(Sources(sources.parts[2:3]))
    shard = shards.next(alone=True)
    assert shard is not None and shards.next(alone=True) is None and not shards.finished
    shards.died(shard)
    assert shards.next(alone=False) is None  # only somebody who does nothing else may try
    assert shards.next(alone=True) is shard
    assert not shards.dealt_with(Window(shard, 0, Look(["a", None], last=False, left_out=0)))
    assert (shard.done, shard.deaths) == (2, 0)
    for _ in range(3):
        assert not shards.finished
        shards.died(shard)
        shards.next(alone=True)
    assert shards.given_up == [shard] and shards.finished


def test_an_actor_for_each_card_or_else_for_each_core() -> None:
    assert plan([MACHINE, MACHINE], RayOptions(), "auto") == Plan(16, 0, 1)
    assert plan([MACHINE, WITH_CARDS], RayOptions(), "auto") == Plan(4, 1, 6)
    assert plan([WITH_CARDS], RayOptions(gpus_per_actor=0.5), "cuda") == Plan(8, 0.5, 2)
    assert plan([MACHINE, WITH_CARDS], RayOptions(actors=2), "cpu") == Plan(2, 0, 12)
    with pytest.raises(ClipdbError, match="takes, 1 CPU and 1 GPU: they have 8 CPU, 0 GPU"):
        plan([MACHINE], RayOptions(gpus_per_actor=1), "auto")


def test_what_contradicts_itself_is_refused() -> None:
    assert ray_options(None, None, None, "auto") is None
    assert ray_options(True, 2, None, "auto") == RayOptions(None, 2, None)
    assert ray_options("10.0.0.1:6379", None, 0.5, "cuda") == RayOptions("10.0.0.1:6379", None, 0.5)
    assert ray_options(False, None, None, "cuda:0,cuda:2") == RayOptions(cards=(0, 2))
    for asked, words in [
        ((False, 2, None, "auto"), "add --ray"),
        ((False, None, None, "cuda:0,cuda:0"), "isn't a list of different cards: write them as cuda:0,cuda:1"),
        ((True, None, None, "cuda:0,cpu"), "isn't a list of different cards"),
        (("10.0.0.1:6379", None, None, "cuda:0,cuda:1"), "leave out 10.0.0.1:6379"),
        (("photos/", None, None, "auto"), "--ray photos/ is no address"),
        ((True, 0, None, "auto"), "give 1 or more"),
        ((True, None, -1.0, "auto"), "give 0 or more"),
        ((True, None, None, "cuda:1"), "give --device cuda"),
    ]:
        with pytest.raises(ClipdbError, match=words):
            ray_options(*asked)


def test_cards_are_named_as_cuda_sees_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert connection.visible((1, 0), 2) == "1,0"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")  # of four, of which two are hidden
    assert connection.visible((1, 0), 2) == "1,3"
    with pytest.raises(ClipdbError, match="cuda:2 can't be used: torch sees 2 cards here"):
        connection.visible((0, 2), 2)


def test_cards_that_are_not_there_leave_nothing_behind(tmp_path: Path) -> None:
    demo.write_scenes(tmp_path / "scenes", 1, 1)
    given = ("--model", "clipdb-tiny/scenes", "--device", "cuda:0,cuda:1", "-i", tmp_path / "x.clipdb")
    assert "cuda:1 can't be used: torch sees 0 cards here" in refused("ingest", "images", tmp_path / "scenes", *given)
    assert not (tmp_path / "x.clipdb").exists()


def test_more_actors_than_cores_would_never_begin(tmp_path: Path) -> None:
    demo.write_scenes(tmp_path / "scenes", 1, 1)
    given = ("--model", "clipdb-tiny/scenes", "--ray", "--actors", 999, "-i", tmp_path / "x.clipdb")
    line = refused("ingest", "images", tmp_path / "scenes", *given)
    assert line.startswith("--actors 999 are more than this machine's ") and line.endswith(("core", "cores"))
    assert not (tmp_path / "x.clipdb").exists()


def test_the_cluster_that_auto_stands_for_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    demo.write_scenes(tmp_path / "scenes", 1, 1)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    given = ("--model", "clipdb-tiny/scenes", "--ray", "auto", "-i", tmp_path / "x.clipdb")
    line = refused("ingest", "images", tmp_path / "scenes", *given)
    assert line.startswith("no Ray cluster at ") and ":1 (Connection refused): start one with" in line
    assert not (tmp_path / "x.clipdb").exists()


def test_a_node_that_lacks_clipdb_or_has_another_is_named_with_both_versions() -> None:
    ours = {"clipdb": "0.2", "pylance": "14.0"}
    nodes.require_same("one", dict(ours), ours)
    with pytest.raises(ClipdbError, match=r"one has clipdb 0.1, and this machine has 0.2"):
        nodes.require_same("one", {"clipdb": "0.1", "pylance": "14.0"}, ours)
    with pytest.raises(ClipdbError, match=r"one doesn't have clipdb, and this machine has 0.2"):
        nodes.require_same("one", {"clipdb": None, "pylance": None}, ours)


def test_a_node_that_doesnt_see_the_index_or_a_source_is_named(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "_SEEN_SECONDS", 0.0)
    with nodes.marked(tmp_path) as marker:
        nodes.require_seen("one", marker, nodes.to_be_seen(sources))
        with pytest.raises(ClipdbError, match=r"doesn.t see /gone\.tar: put it"):
            nodes.require_seen("one", marker, ["/gone.tar"])
    assert not list(tmp_path.iterdir())
    with pytest.raises(ClipdbError, match=f"the node one doesn't see the index {tmp_path}: put it"):
        nodes.require_seen("one", marker, [])


def test_the_commands_of_the_page_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[3] / "docs" / "cluster.md").read_text(encoding="utf-8")
    commands = re.findall(r"^\$ clipdb (.+)$", page, re.MULTILINE)
    assert len(commands) == 4
    monkeypatch.chdir(tmp_path)
    for command in commands:  # as far as they go without shards and without an index
        said = r"no index at index\.clipdb.*|no such file or folder: (/data/)?shards/"
        assert re.fullmatch(said, refused(*shlex.split(command)))


def test_only_spans_over_images_take_a_cluster(tmp_path: Path) -> None:
    index = tmp_path / "i.clipdb"
    said = refused("span", "--from", "weights", "--model", "clipdb-tiny/scenes", "--ray", "-i", index)
    assert "--ray takes the moments of spans over images: leave it out" in said and not index.exists()
    assert "are for a cluster: add --ray" in refused("span", "--actors", 2, "-i", index)
