"""The commands that are killed, and what each begins with."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import duckdb
from forking import FORKED
from older_index import make_older, without_snapshots
from support import MODEL, Process, random_weights

from clipdb.demo import write_scenes

Arguments = tuple[object, ...]
"""Of a command; ``{place}`` in them is the folder where it works, which has the index ``x.clipdb``."""

ON = ("-i", "{place}/x.clipdb")
OF_SCENES = ("--pool", "scenes", *ON)
SPAN = ("span", *OF_SCENES)
VOTE = ("label", "--labeller", "vote", *OF_SCENES)


@dataclass(frozen=True)
class Verb:
    """A command.

    Attributes
    ----------
    begin
        The folder as it is before; None if it is empty.
    whole
        Whether readers see all that the command writes, or nothing of it; else it commits more than once.
    read
        Whether the index can be read before the command, without waiting for it.
    """

    begin: Path | None
    arguments: Arguments
    whole: bool = True
    read: bool = True


def lay_out(begin: Path | None, place: Path) -> Path:
    """Make a folder as it is before a command."""
    if begin is None:
        place.mkdir()
    else:
        shutil.copytree(begin, place, symlinks=True)
    return place


def at(place: Path, arguments: Arguments) -> list[str]:
    return [str(one).replace("{place}", str(place)) for one in arguments]


class Made:
    """Pictures, files and folders to begin with; folders are made when they are asked for."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        write_scenes(folder / "scenes", 24, seed=7)
        self.pictures = sorted((folder / "scenes").glob("*.png"))
        weights = folder / "random.safetensors"
        made = FORKED.Process(target=random_weights, args=(weights, 3))
        made.start()
        made.join()
        self.model = ("--model", MODEL, "--checkpoint", weights, "--device", "cpu", "--workers", 0, "--batch-size", 1)
        self.llm = ("label", "--labeller", "llm", "--llm-model", "small", "--base-url", url, *OF_SCENES)

    def file(self, name: str, content: str) -> Path:
        (self.folder / name).write_text(content)
        return self.folder / name

    def ingest(self, first: int, last: int, *more: object) -> Arguments:
        return ("ingest", "images", *self.pictures[first:last], *self.model, *more, *ON)

    def texts(self, pool: str) -> Arguments:
        return ("ingest", "texts", self.file("texts.txt", "a heron\na boat\na red door\n"), "--pool", pool, *ON)

    def published(self, kind: str, column: str, source: str = "web") -> Arguments:
        """Import spans or labels of a few heads."""
        rows = "".join(f"{layer},{head},1,word {head}\n" for layer in (2, 3) for head in range(3))
        file = self.file(f"{kind}.csv", f"layer,head,rank,{column}\n{rows}")
        return ("import", kind, file, "--source", source, "--model", MODEL, *ON)

    def after(self, name: str, begin: Path | None, *commands: Arguments) -> Path:
        """Make a folder by commands."""
        place = lay_out(begin, self.folder / name)
        for one in commands:
            process = Process(place.with_suffix(".log"), *at(place, one))
            assert process.wait(600) == 0, process.log.read_text()
        return place

    @cached_property
    def pictured(self) -> Path:
        return self.after("pictured", None, self.ingest(0, 6))

    @cached_property
    def spanned(self) -> Path:
        return self.after("spanned", self.pictured, SPAN)

    @cached_property
    def labelled(self) -> Path:
        return self.after("labelled", self.spanned, VOTE)

    @cached_property
    def shared(self) -> Path:
        """An export of other images."""
        return self.after("other", None, self.ingest(4, 12), ("export", "{place}/out", *ON)) / "out"

    @cached_property
    def exported(self) -> Path:
        """An index beside an export that is older."""
        return self.after("exported", self.spanned, ("export", "{place}/out", *ON), VOTE)

    @cached_property
    def older(self) -> Path:
        place = lay_out(self.labelled, self.folder / "older")
        make_older(place / "x.clipdb")
        return place

    @cached_property
    def moving(self) -> Path:
        """An index of the layout without snapshots."""
        place = lay_out(self.spanned, self.folder / "moving")
        without_snapshots(place / "x.clipdb")
        return place

    @cached_property
    def unpublished(self) -> Path:
        """An index whose writer was killed between its commit and the publication."""
        place = lay_out(self.spanned, self.folder / "unpublished")
        with duckdb.connect(str(place / "x.clipdb" / "work.duckdb")) as connection:
            connection.execute("update pools set licence = 'somebody''s'")
        return place


VERBS: dict[str, Callable[[Made], Verb]] = {
    "ingest into a new index": lambda made: Verb(None, made.ingest(0, 24), whole=False),
    "import into a new index": lambda made: Verb(None, ("import", made.shared, *ON)),
    "merge": lambda made: Verb(made.pictured, ("import", made.shared, *ON)),
    "export --replace": lambda made: Verb(made.exported, ("export", "{place}/out", "--replace", *ON)),
    "publication": lambda made: Verb(made.unpublished, ("upgrade", *ON)),
    "ingest of more images": lambda made: Verb(made.pictured, made.ingest(3, 24), whole=False),
    "layers added": lambda made: Verb(made.pictured, made.ingest(0, 6, "--layers", "all"), whole=False),
    "ingest of texts": lambda made: Verb(made.pictured, made.texts("mine"), whole=False),
    "texts replaced": lambda made: Verb(made.labelled, made.texts("scenes"), whole=False),
    "span": lambda made: Verb(made.pictured, SPAN, whole=False),
    "span of fewer": lambda made: Verb(made.labelled, (*SPAN, "--count", 5)),
    "label zero-shot": lambda made: Verb(made.spanned, ("label", *OF_SCENES)),
    "label by vote": lambda made: Verb(made.spanned, VOTE),
    "label by a language model": lambda made: Verb(made.spanned, made.llm, whole=False),
    "judge": lambda made: Verb(made.labelled, ("judge", *OF_SCENES)),
    "import spans": lambda made: Verb(made.pictured, made.published("spans", "text")),
    "import labels": lambda made: Verb(made.labelled, made.published("labels", "property")),
    "export": lambda made: Verb(made.labelled, ("export", "{place}/out", *ON)),
    "upgrade": lambda made: Verb(made.older, ("upgrade", *ON), read=False),
    "first change of an index without snapshots": lambda made: Verb(made.moving, VOTE, read=False),
}
