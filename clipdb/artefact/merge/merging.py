"""Import an artefact into an index: all of it in one transaction, or nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from clipdb.artefact.format import VectorKind
from clipdb.artefact.merge.checked_vectors import their_vectors
from clipdb.artefact.merge.conflicts import Decided, Merged, Prefer, find_conflicts, merge_relations
from clipdb.artefact.merge.new_index import whole
from clipdb.artefact.merge.row_positions import stage_ids
from clipdb.artefact.merge.row_values import check_values
from clipdb.artefact.merge.same_models import Rotations, check_bases, check_models, merge_models, take_statistics
from clipdb.artefact.merge.staged_relations import stage
from clipdb.artefact.merge.staged_table import StagedTable, table_moments
from clipdb.artefact.merge.vector_merge import VectorMerge, one_sided_bases
from clipdb.artefact.merge.verified_files import Artefact, open_artefact
from clipdb.ingest.store.heads import store_statistics
from clipdb.ingest.store.moments import Moments
from clipdb.ingest.store.writer import Writer
from clipdb.schema.connections import closing
from clipdb.schema.names import Head

COMMAND = "import artefact"
_KINDS: tuple[VectorKind, ...] = ("images", "texts")


@dataclass(frozen=True)
class Imported:
    """What an import did.

    Attributes
    ----------
    rows, vectors
        Counts of rows of relations and of vectors: added, already there, and put in the place of others.
    notes
        What a person should know.
    """

    rows: Merged
    vectors: Merged
    notes: list[str]


@dataclass(frozen=True)
class Progress:
    """Where an import tells how it goes: how many rows of vectors it will pass over, and each batch that it has."""

    total: Callable[[int], None] = lambda rows: None
    done: Callable[[int], None] = lambda rows: None


def import_artefact(
    index: Path, directory: Path, prefer: Prefer | None = None, progress: Progress | None = None
) -> Imported:
    """Bring an artefact into an index; the same call after a kill finishes what the first began.

    Everything is checked before anything is written. New vectors are appended first, and become part of the index with
    the one transaction that writes the relations; a new index is built beside its place and renamed.

    Parameters
    ----------
    index
        Directory of the index; made if it doesn't exist.
    directory
        The artefact.
    prefer
        Whose rows to take where ours and theirs differ; without it they are an error.
    progress
        Whom to tell.

    Raises
    ------
    ClipdbError
        One line that says what is wrong and what to do; the index is as it was.
    """
    progress = progress or Progress()
    artefact = open_artefact(directory)
    arguments = {"artefact": str(directory.absolute()), "manifest": artefact.digest, "prefer": prefer}
    with whole(index, artefact.digest) as place, Writer(place, COMMAND, arguments, create=True) as writer:
        try:
            return _Session(writer, index, artefact, prefer, progress).run()
        except Exception:
            artefact.require_unchanged()  # which says more than what a changed file did to a reader
            raise


class _Session:
    """One import."""

    decided: Decided

    def __init__(
        self, writer: Writer, index: Path, artefact: Artefact, prefer: Prefer | None, progress: Progress
    ) -> None:
        self.writer, self.index, self.artefact = writer, index, artefact
        self.prefer, self.progress = prefer, progress
        self.merges: list[VectorMerge] = []
        self.bases: dict[str, dict[Head, np.ndarray]] = {}
        self.rotations: Rotations = {}
        self.nameless = 0  # images of which the artefact has vectors and the catalog would have no row

    def run(self) -> Imported:
        with closing(self.writer.connect()) as connection:
            self._check(connection)
            unfinished = _count(connection, _UNFINISHED, self.artefact.digest)
        for merge in self.merges:
            self._write(merge)
        moments = {
            merge.theirs.model_id: table_moments(merge.table)
            for merge in self._of_images
            if merge.table is not None and not merge.as_theirs
        }
        with self.writer.transaction() as connection:
            rows = self._record(connection, moments)
        for merge in self.merges:
            if merge.table is not None:
                merge.table.compact()
            elif unfinished:
                StagedTable(self.writer, merge.theirs.model_id, merge.theirs.kind, self.writer.run).compact()
        return Imported(rows, self._vectors, list(self._notes()))

    @property
    def _of_images(self) -> list[VectorMerge]:
        return [merge for merge in self.merges if merge.theirs.kind == "images"]

    @property
    def _vectors(self) -> Merged:
        added, replaced = (sum(getattr(merge, name) for merge in self.merges) for name in ("added", "changed"))
        return Merged(added, sum(merge.theirs.count for merge in self.merges) - added - replaced, replaced)

    def _check(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Look at all that will be written, with the catalog open for reading only."""
        artefact, entries = self.artefact, self.artefact.manifest.models
        stage(connection, artefact)
        check_values(connection, artefact)
        check_models(connection, artefact, self.index)
        self.rotations = check_bases(connection, artefact, self.index)
        for entry, kind in itertools.product(entries, _KINDS):
            theirs = their_vectors(connection, artefact, entry.model_id, kind)
            if theirs.files:
                merge = VectorMerge(connection, self.writer.index, theirs, self.rotations.get(entry.model_id, {}))
                self.merges.append(merge)
                if kind == "images":
                    self.nameless += _count(connection, _NAMELESS)
        self.decided = self._find_conflicts(connection)
        # What is built beside its place can be deleted: so it is checked as it is written, and read once.
        once = [merge for merge in self.merges if self.writer.index != self.index and merge.ours is None]
        self.progress.total(sum(merge.theirs.count * (1 if merge in once else 2) for merge in self.merges))
        for merge in self.merges:
            if merge not in once:
                merge.check(self.prefer, self.progress.done)
            if merge.theirs.kind == "texts":
                self.bases[merge.theirs.model_id] = one_sided_bases(connection, merge)

    def _find_conflicts(self, connection: duckdb.DuckDBPyConnection) -> Decided:
        other = {merge.theirs.model_id for merge in self._of_images if merge.differs_in_ids}
        return find_conflicts(connection, self.artefact, self.index, self.prefer, other)

    def _write(self, merge: VectorMerge) -> None:
        entry = next(one for one in self.artefact.manifest.models if one.model_id == merge.theirs.model_id)
        # Where images and spans are just the artefact's, spans are as old or new as they were there.
        known = entry.images_run if merge.theirs.kind == "images" and self._spans_are_theirs(merge) else None
        merge.write(self.writer, known or self.writer.run, self.bases.get(entry.model_id, {}), self.progress.done)

    def _spans_are_theirs(self, merge: VectorMerge) -> bool:
        """Whether the index will have just the artefact's images, and no spans that it found over fewer."""
        return merge.same_ids and (merge.ours is None or merge.theirs.model_id not in self.decided.own_spans)

    def _record(self, connection: duckdb.DuckDBPyConnection, moments: Mapping[str, Mapping[Head, Moments]]) -> Merged:
        stage(connection, self.artefact)
        self._find_conflicts(connection)
        merge_models(connection, self.prefer == "theirs")
        rows = merge_relations(connection, self.artefact)
        for merge in self.merges:
            if self.nameless and merge.theirs.kind == "images":
                stage_ids(connection, merge.theirs)
                connection.execute(
                    "insert into images (image_id, uri) "
                    "select id, '' from their_ids anti join images on their_ids.id = images.image_id"
                )
            if merge.table is not None:
                merge.table.record(connection)
                if merge.theirs.kind == "images" and merge.as_theirs:
                    take_statistics(connection, merge.theirs.model_id)
        for model, found in moments.items():
            store_statistics(connection, model, found)
        # What is committed is written into the file at once, not first to the log and then, on closing, into the file.
        connection.execute("set checkpoint_threshold = '1B'")
        self.artefact.require_unchanged()
        self.writer.added = rows.added + self._vectors.added
        self.writer.skipped = rows.skipped + self._vectors.skipped
        return rows

    def _notes(self) -> Iterator[str]:
        """Return what a person should know."""
        if others := self.artefact.others:
            named = ", ".join((*others[:3], *["..."] * (len(others) > 3)))
            yield f"files that the manifest does not name were left alone ({len(others)}): {named}"
        if self.artefact.manifest.of("thumbnails"):
            yield "an index holds no thumbnails: those of the artefact were left alone"
        for model, turned in self.rotations.items():
            yield f"{model}: {len(turned)} heads have another basis of the same space; vectors were turned into ours"
        if self.nameless:
            yield f"{self.nameless} images are known by their ids alone: import an artefact with relations to know more"
        if self.decided.moved:
            yield f"{self.decided.moved} images have another path in the artefact than in {self.index}: ours were kept"
        if self.decided.spans_left_out:
            yield (
                f"spans of {self.decided.spans_left_out} heads were found over other images, and are not those of "
                f"{self.index}: its own were kept"
            )
        for merge in self._of_images:
            model = merge.theirs.model_id
            yield from merge.notes()
            if merge.added and model in self.decided.spanned and not self._spans_are_theirs(merge):
                yield f"{model}: {merge.added} more images than its spans and labels were found over: run `clipdb span`"
            if not merge.same_ids and not merge.added and (taken := self.decided.spans_taken.get(model)):
                yield (
                    f"{model}: spans of {taken} heads are now the artefact's, which were found over fewer images than "
                    f"{self.index} has: run `clipdb span`"
                )


_NAMELESS = """
select count(*) from their_ids
where id not in (select image_id from images) and id not in (select image_id from their_images)
"""


# Whether the last import of this artefact was killed between its commit and its end.
_UNFINISHED = f"""
select coalesce(max_by(finished_at is null, run), false)::integer from runs
where command = '{COMMAND}' and (arguments->>'$.manifest') = $1
"""


def _count(connection: duckdb.DuckDBPyConnection, query: str, *values: str) -> int:
    return int(connection.execute(query, list(values)).fetchall()[0][0])
