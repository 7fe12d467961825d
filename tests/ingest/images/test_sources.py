"""Folders, file lists and what a person may type for SRC."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clipdb._util import notes
from clipdb._util.installing import pip_install
from clipdb.errors import ClipdbError
from clipdb.ingest.images.sources import SourceItem, item, open_sources


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"bytes of {path.name}".encode())


def names(*sources: str) -> list[str]:
    return [Path(one.uri).name for one in open_sources(sources)]


def failures(items: list[SourceItem]) -> dict[str, str]:
    found = {}
    for one in items:
        try:
            one.read()
        except (OSError, ClipdbError) as error:
            found[Path(one.uri).name] = str(error)
    return found


def test_a_folder_gives_its_images_sorted_and_absolute(here: Path) -> None:
    write(here, "p/b.JPG", "p/a.png", "p/sub/deep/z.webp", "p/sub/y.jpeg", "p/notes.txt", "p/c.tar")
    sources = open_sources(["p"])
    found = list(sources)
    assert [one.uri for one in found] == [
        str(here / "p" / name) for name in ("a.png", "b.JPG", "sub/y.jpeg", "sub/deep/z.webp")
    ]
    assert sources.total == 4
    assert [one.read() for one in found][:2] == [b"bytes of a.png", b"bytes of b.JPG"]
    assert [one.parent for one in found] == ["p", "p", "sub", "deep"]
    assert [one.uri for one in sources] == [one.uri for one in found]


@pytest.mark.parametrize("suffix", item.IMAGES)
def test_every_image_suffix_counts_in_any_case(here: Path, suffix: str) -> None:
    write(here, f"p/x{suffix}", f"p/y{suffix.upper()}")
    assert names("p") == [f"x{suffix}", f"y{suffix.upper()}"]


def test_hidden_files_and_folders_are_left_out(here: Path) -> None:
    write(here, "p/a.jpg", "p/._a.jpg", "p/.cache/b.jpg", "p/.jpg")
    assert names("p") == ["a.jpg"]


def test_link_loops_end_and_broken_links_fail(here: Path) -> None:
    write(here, "p/a.jpg", "p/q/b.jpg", "elsewhere/c.jpg")
    (here / "p/q/up").symlink_to(here / "p")
    (here / "p/again").symlink_to(here / "p/q")
    (here / "p/out").symlink_to(here / "elsewhere")
    (here / "p/gone.jpg").symlink_to(here / "nowhere.jpg")
    sources = open_sources(["p"])
    found = list(sources)
    assert sorted(Path(one.uri).name for one in found) == ["a.jpg", "b.jpg", "c.jpg", "gone.jpg"]
    assert sources.total == 4
    assert list(failures(found)) == ["gone.jpg"]


def test_pipes_do_not_block(here: Path) -> None:
    write(here, "p/a.jpg")
    os.mkfifo(here / "p/pipe.jpg")
    assert names("p") == ["a.jpg"]
    (here / "list.txt").write_text("p/pipe.jpg\n")
    assert failures(list(open_sources(["list.txt"]))) == {"pipe.jpg": "not a regular file"}
    with pytest.raises(ClipdbError, match="no regular file"):
        open_sources(["p/pipe.jpg"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_may_not_be_read_is_a_failure(here: Path) -> None:
    write(here, "p/a.jpg", "p/locked/b.jpg")
    (here / "p/locked").chmod(0)
    try:
        found = list(open_sources(["p"]))
    finally:
        (here / "p/locked").chmod(0o700)
    assert failures(found) == {"locked": "the folder cannot be read: Permission denied"}


def test_names_that_are_not_utf8_can_be_stored(here: Path) -> None:
    (here / "p").mkdir()
    Path(os.fsdecode(os.fsencode(here / "p") + b"/caf\xe9.jpg")).write_bytes(b"x")
    (one,) = open_sources(["p"])
    assert one.uri.encode().endswith(rb"/caf\xe9.jpg")
    assert one.read() == b"x"


def test_splits_are_read_off_the_folders(here: Path) -> None:
    write(here, "p/train/cat/a.jpg", "p/val/cat/b.jpg", "p/test/c.jpg", "p/other/train/d.jpg", "p/e.jpg")
    assert [(Path(o.uri).name, o.split, o.parent) for o in open_sources(["p"])] == [
        ("e.jpg", None, "p"),
        ("d.jpg", None, "train"),
        ("c.jpg", "test", "test"),
        ("a.jpg", "train", "cat"),
        ("b.jpg", "validation", "cat"),
    ]
    assert [one.split for one in open_sources(["p/train"])] == ["train"]


def test_single_images_and_globs(here: Path) -> None:
    write(here, "p/a1.jpg", "p/a2.jpg", "p/b1.jpg", "p/[x].jpg")
    assert names("p/a2.jpg", "p/a1.jpg") == ["a2.jpg", "a1.jpg"]
    assert names("p/a*.jpg") == ["a1.jpg", "a2.jpg"]
    assert names("p/{b,a}1.jpg") == ["b1.jpg", "a1.jpg"]
    assert names("p/a{1..2}.jpg") == ["a1.jpg", "a2.jpg"]
    assert names("p/[x].jpg") == ["[x].jpg"]
    assert names((here / "p/a1.jpg").as_uri()) == ["a1.jpg"]


def test_a_file_list(here: Path) -> None:
    write(here, "p/a.jpg", "p/with space.jpg", "p/#1.jpg", "q.jpg", "p/no-suffix")
    absolute, uri = here / "q.jpg", (here / "p/with space.jpg").as_uri()
    (here / "p/list.txt").write_text(
        f"\ufeffa.jpg\n\n# a comment\n  ../q.jpg  \r\n{absolute}\n{uri}\n./#1.jpg\nno-suffix\nmissing.jpg\n"
    )
    sources = open_sources(["p/list.txt"])
    found = list(sources)
    assert [str(Path(one.uri).relative_to(here)) for one in found] == [
        "p/a.jpg", "q.jpg", "q.jpg", "p/with space.jpg", "p/#1.jpg", "p/no-suffix", "p/missing.jpg",
    ]  # fmt: skip
    assert sources.total == 7
    assert list(failures(found)) == ["missing.jpg"]


def test_standard_input_is_a_file_list(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(here, "a.jpg", "p/b.jpg")
    monkeypatch.setattr(sys, "stdin", io.StringIO("a.jpg\np/b.jpg\n"))
    sources = open_sources(["-"])
    assert [one.read() for one in sources] == [b"bytes of a.jpg", b"bytes of b.jpg"]
    assert len(list(sources)) == sources.total == 2


def test_a_pipe_is_a_file_list(here: Path) -> None:
    write(here, "a.jpg", "b.jpg")
    ends = os.pipe()
    os.write(ends[1], b"a.jpg\nb.jpg\n")
    os.close(ends[1])
    assert names(f"/dev/fd/{ends[0]}") == ["a.jpg", "b.jpg"]  # what a shell makes of <(find ...)
    os.close(ends[0])


def test_several_sources_keep_their_order(here: Path) -> None:
    write(here, "z/a.jpg", "b.jpg", "c/c.jpg")
    (here / "list.txt").write_text("b.jpg\n")
    sources = open_sources(["z", "list.txt", "c"])
    assert [Path(one.uri).name for one in sources] == ["a.jpg", "b.jpg", "c.jpg"]
    assert sources.total == 3


def test_a_large_file_is_not_read(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (here / "huge.png").open("wb") as file:
        file.truncate(item.MAX_BYTES + 1)  # sparse: no disk is used
    (message,) = failures(list(open_sources(["huge.png"]))).values()
    assert message == "the file has 536,870,913 bytes: more than 536,870,912 are not read"


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([], "no images were named"),
        (["nowhere"], "no such file or folder: nowhere"),
        (["nowhere/*.jpg"], "nothing matches nowhere/"),
        (["shard-{00..02}.tar"], "no such file or folder: shard-01.tar"),
        (["empty"], r"no images in .*empty: no \.avif"),
        (["empty.txt"], "names no images"),
        (["urls.txt"], "line 2: https://x.org/a.jpg is not on this machine: download it first"),
        (["https://x.org/a.jpg"], "not on this machine: download it first"),
        (["hf://datasets/o/photos"], "hf download"),
        (["binary.dat"], "no known kind"),
        (["-", "-"], "give `-` once"),
        (["text.parquet"], "not a readable Parquet file"),
        (["/dev/null"], "names no images"),
        (["broken"], "no such file or folder: broken"),
        (["x" * 5000], "no such file or folder: xxx"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(here: Path, sources: list[str], message: str) -> None:
    (here / "empty").mkdir()
    (here / "broken").symlink_to("nowhere")
    write(here, "a.jpg", "shard-00.tar", "shard-02.tar", "text.parquet")
    (here / "empty.txt").write_text("# nothing\n\n")
    (here / "urls.txt").write_text("a.jpg\nhttps://x.org/a.jpg\n")
    (here / "binary.dat").write_bytes(bytes(64))
    with pytest.raises(ClipdbError, match=message) as error:
        open_sources(sources)
    assert "\n" not in str(error.value)


def test_pictures_of_other_kinds_are_counted(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a person with a photo folder wants to know of, and not what lies beside photos anyway."""
    monkeypatch.setattr(notes, "_on_stderr", True)  # as the command line has it
    write(here, "p/a.jpg", "p/x.CR2", "p/sub/y.cr2", "p/z.cr2", "p/film.mp4", "p/film2.MP4", "p/drawing.svg", "p/b.jp2")
    write(here, "p/Thumbs.db", "p/a.json", "p/a.xmp", "p/notes.txt", "p/no_suffix", "p/.hidden.psd", "p/.cache/x.psd")
    assert names("p") == ["a.jpg", "b.jp2"]
    note = capsys.readouterr().err
    assert note == (
        f"note: left out of {here / 'p'}: 3 .cr2, 2 .mp4, 1 .svg "
        "(save pictures of kinds that clipdb doesn't read as JPEG or PNG)\n"
    )
    assert names("p/sub/../b.jp2") == ["b.jp2"] and capsys.readouterr().err == ""


def test_a_folder_of_nothing_but_other_kinds_says_so(here: Path) -> None:
    write(here, "p/x.psd", "p/y.psd", "p/readme.txt")
    with pytest.raises(ClipdbError, match=r"no tar or Parquet shard; it has 2 \.psd \(save pictures of kinds"):
        open_sources(["p"])


def test_heic_is_read_where_its_extra_is_installed(here: Path) -> None:
    pytest.importorskip("pillow_heif")
    write(here, "p/a.heic", "p/b.HEIF", "p/c.hif")
    assert names("p") == ["a.heic", "b.HEIF", "c.hif"] and names("p/a.heic") == ["a.heic"]


WITHOUT_HEIF = """
import sys
sys.modules["pillow_heif"] = None
from clipdb.errors import ClipdbError
from clipdb.models.preprocess import Undecodable, decode_whole
from clipdb.ingest.images.sources import open_sources
print([one.uri.rpartition("/")[2] for one in open_sources(["p"])])
for attempt in (lambda: open_sources(["p/a.heic"]), lambda: decode_whole(open("p/a.heic", "rb").read())):
    try:
        attempt()
    except (ClipdbError, Undecodable) as error:
        print(error)
"""


def test_without_its_extra_heic_is_counted_and_the_extra_named(here: Path) -> None:
    write(here, "p/b.jpg", "p/c.HEIC", "p/d.mov")
    (here / "p/a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    ran = subprocess.run([sys.executable, "-c", WITHOUT_HEIF], capture_output=True, text=True, check=True)
    hint = f"`{pip_install('heic')}` reads HEIC"
    assert ran.stdout.splitlines() == [
        "['b.jpg']",
        f"{here / 'p/a.heic'} is a HEIC image: {hint}",
        f"a HEIC image: {hint}",
    ]
    assert ran.stderr == (
        f"note: left out of {here / 'p'}: 2 .heic, 1 .mov "
        f"({hint}; save pictures of kinds that clipdb doesn't read as JPEG or PNG)\n"
    )
