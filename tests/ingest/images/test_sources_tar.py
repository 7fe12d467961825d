"""Tar shards: WebDataset's conventions, compression and damage."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from PIL import Image
from support import clipdb, refused, rows

from clipdb.errors import ClipdbError
from clipdb.ingest.images.sources import SourceItem, open_sources
from clipdb.ingest.images.sources.kinds import tar_shards


def shard(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def read(path: Path) -> list[SourceItem]:
    return list(open_sources([str(path)]))


MANY = {f"{i:03}.jpg": bytes([i]) * 3000 for i in range(20)}


@pytest.mark.parametrize(("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tgz", "w:gz"), ("a.TAR", "w")])
def test_images_come_in_the_archives_order(tmp_path: Path, name: str, mode: str) -> None:
    path = shard(tmp_path / name, MANY, mode)
    sources = open_sources([str(path)])
    found = list(sources)
    assert [one.uri for one in found] == [f"{path}#{member}" for member in MANY]
    assert [one.read() for one in found] == list(MANY.values())
    assert sources.total is None
    assert [one.uri for one in sources] == [one.uri for one in found]


def test_side_files_of_a_key_are_labels_and_metadata(tmp_path: Path) -> None:
    path = shard(
        tmp_path / "train-000.tar",
        {
            "a/0.cls": b"tabby\n",
            "a/0.jpg": b"0",
            "a/0.json": b'{"url": "x", "score": NaN}',
            "a/0.txt": b"a cat",
            "b/1.left.png": b"1l",
            "b/1.right.png": b"1r",
            "b/1.json": b"[1, 2]",
            "2.jpg": b"2",
            "3.jpg": b"3",
            "3.json": b"{broken",
            "4.txt": b"no image",
        },
    )
    found = read(path)
    assert [(one.uri.partition("#")[2], one.read(), one.label, one.metadata, one.parent) for one in found] == [
        ("a/0.jpg", b"0", "tabby", {"url": "x", "score": None, "text": "a cat"}, "a"),
        ("b/1.left.png", b"1l", None, {"json": [1, 2]}, "b"),
        ("b/1.right.png", b"1r", None, {"json": [1, 2]}, "b"),
        ("2.jpg", b"2", None, None, None),
        ("3.jpg", b"3", None, {"json": "{broken"}, None),
    ]
    assert {one.split for one in found} == {"train"}


def test_a_key_in_two_folders_is_two_keys(tmp_path: Path) -> None:
    found = read(shard(tmp_path / "a.tar", {"x/0.jpg": b"x", "x/0.cls": b"one", "y/0.jpg": b"y"}))
    assert [one.label for one in found] == ["one", None]


def test_one_endless_key_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_shards, "_HELD", 5)
    path = shard(tmp_path / "a.tar", {f"IMG.{i:04}.jpg": b"x" for i in range(100)})
    path.write_bytes(path.read_bytes()[: 1024 * 50])
    first = next(iter(open_sources([str(path)])))  # before the break is seen
    assert first.uri.endswith("#IMG.0000.jpg")
    assert [one.uri.partition("#")[2] for one in read(path)] == [f"IMG.{i:04}.jpg" for i in range(50)] + [""]


def test_hidden_members_links_and_folders_are_left_out(tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", {"._a.jpg": b"", "a.jpg": b"a"})
    with tarfile.open(path, "a") as archive:
        for name, kind in (("dir.jpg", tarfile.DIRTYPE), ("link.jpg", tarfile.SYMTYPE), ("hard.jpg", tarfile.LNKTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "a.jpg"
            archive.addfile(member)
    sources = open_sources([str(path)])
    for _ in range(2):
        assert [one.uri.partition("#")[2] for one in sources] == ["a.jpg"] and sources.left_out == 2


def test_json_that_no_database_takes_is_kept_as_text(tmp_path: Path, model: tuple[object, ...]) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (80, 60), "red").save(picture, "PNG")
    cases = {
        b'{"a": "\\ud800"}': {"json": '{"a": "\\ud800"}'},
        b'{"\\udfff": 1}': {"json": '{"\\udfff": 1}'},
        b'{"a": 1e999, "b": [-1e999, 1e3]}': {"a": None, "b": [None, 1000.0]},
        b'{"a": "\\ud83d\\ude00"}': {"a": "\U0001f600"},
    }
    members = {}
    for number, sidecar in enumerate(cases):
        members |= {f"{number}.png": picture.getvalue() + bytes([number]), f"{number}.json": sidecar}
    path, index = shard(tmp_path / "a.tar", members), tmp_path / "i.clipdb"
    assert clipdb("ingest", "images", path, *model, "--workers", 0, "-i", index).exit_code == 0
    stored = [json.loads(one) for (one,) in rows(index, "select metadata from images order by uri")]
    assert stored == list(cases.values())


def test_links_and_pipes_are_counted_and_alone_are_no_images(tmp_path: Path, model: tuple[object, ...]) -> None:
    index, whole, links = tmp_path / "i.clipdb", tmp_path / "whole.tar", tmp_path / "links.tar"
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)
    for path in (whole, links):
        with tarfile.open(path, "w") as archive:
            for number, kind in enumerate(kinds):
                member = tarfile.TarInfo(f"{number}.jpg")
                member.type, member.linkname = kind, "/etc/hostname"
                archive.addfile(member)
    picture = io.BytesIO()
    Image.new("RGB", (80, 60), "red").save(picture, "PNG")
    shard(whole, {"a.png": picture.getvalue()}, "a")
    command = ("ingest", "images", *model, "--workers", 0, "-i", index)
    for kept in (False, True):
        assert refused(*command, links) == (
            f"no images in {links}, but 4 links, pipes or devices: give files, or archives and tables of them"
        )
        assert refused(*command, shard(tmp_path / "none.tar", {"a.txt": b"a"})).startswith(f"no images in {tmp_path}")
        assert index.exists() == kept
        result = clipdb(*command, whole)
        assert result.exit_code == 0 and f"added {1 - kept}, skipped {int(kept)}, failed 0" in result.stdout
        assert "note: left out 4 links, pipes or devices in tar shards: only files are read\n" in result.stderr


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("keep", [0.1, 0.35, 0.5, 0.8])
def test_a_truncated_shard_keeps_what_is_before_the_break(tmp_path: Path, mode: str, keep: float) -> None:
    path = shard(tmp_path / ("a.tar" if mode == "w" else "a.tgz"), MANY, mode)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    *good, last = read(path)
    assert [one.read() for one in good] == list(MANY.values())[: len(good)]
    if mode == "w":
        assert len(good) == int(len(whole) * keep) // (512 + 3072)
    assert last.uri == str(path)
    with pytest.raises(ClipdbError, match="the archive cannot be read to its end"):
        last.read()


@pytest.mark.parametrize("cut", ["between members", "in a header", "damaged header"])
def test_breaks_that_tarfile_takes_for_the_end_are_reported(tmp_path: Path, cut: str) -> None:
    path = shard(tmp_path / "a.tar", MANY)
    data, border = bytearray(path.read_bytes()), 5 * (512 + 3072)
    if cut == "damaged header":
        data[border : border + 8] = b"\xff" * 8
    path.write_bytes(data if cut == "damaged header" else data[: border + (100 if cut == "in a header" else 0)])
    *good, last = read(path)
    assert len(good) == 5
    with pytest.raises(ClipdbError, match="no end mark"):
        last.read()


@pytest.mark.parametrize("data", [b"", b"Dear diary, today " * 99], ids=["empty", "text"])
def test_what_is_no_archive_is_a_failure_of_that_shard(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "bad.tar").write_bytes(data)
    shard(tmp_path / "good.tar", {"a.jpg": b"a"})
    bad, good = open_sources([str(tmp_path / "{bad,good}.tar")])
    assert good.read() == b"a"
    with pytest.raises(ClipdbError, match="the archive cannot be read"):
        bad.read()


def test_a_large_member_is_a_failure_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_shards, "MAX_BYTES", 1000)
    found = read(shard(tmp_path / "a.tar", {"a.jpg": b"a", "b.jpg": bytes(1001), "c.jpg": b"c"}))
    by_name = {one.uri.partition("#")[2]: one for one in found}
    assert sorted(by_name) == ["a.jpg", "b.jpg", "c.jpg"]
    with pytest.raises(ClipdbError, match=r"1,001 bytes"):
        by_name["b.jpg"].read()
    assert by_name["c.jpg"].read() == b"c"


def test_braces_and_folders_of_shards(tmp_path: Path) -> None:
    for i in range(8, 12):
        shard(tmp_path / f"shard-{i:03}.tar", {f"{i}.jpg": b"x"})
        (tmp_path / f"shard-{i:03}.parquet").write_bytes(b"captions beside the images: not read")

    def members(source: str) -> list[str]:
        return [one.uri.partition("#")[2] for one in open_sources([source])]

    assert members(str(tmp_path / "shard-{009..011}.tar")) == ["9.jpg", "10.jpg", "11.jpg"]
    assert members(str(tmp_path / "shard-*.tar")) == members(str(tmp_path)) == ["8.jpg", "9.jpg", "10.jpg", "11.jpg"]
