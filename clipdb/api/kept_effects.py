"""The relation effects: what `clipdb ablate` found is kept there set by set, and needn't be computed again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipdb._util.notes import note
from clipdb.api.ablation_sets import COLUMNS
from clipdb.errors import ClipdbError
from clipdb.ingest.store.rows import put
from clipdb.ingest.store.writer import Writer
from clipdb.schema import catalog

if TYPE_CHECKING:
    from clipdb.api.ablation_sets import Row
    from clipdb.queries.index import Index

_STORED = {"heads": "ablated", "name": "class_name"}
_COLUMNS = [_STORED.get(name, name) for name in COLUMNS]
_TASK = ("model_id", "target", "template", "mode", "mean", "tokens")

# Rows that are older than the model's images may stand on other means of the heads' contributions.
_KNOWN = f"""
select {", ".join(_COLUMNS)} from effects
where ({", ".join(_TASK)}, seed, images_sha256) = ({", ".join("?" * (len(_TASK) + 2))})
    and controls = coalesce(?, controls)
    and run > (select coalesce(max(run), '') from batches where kind = 'images' and batches.model_id = effects.model_id)
order by ablated, list_position(['all', 'class', 'group', 'worst group'], part), class_name
"""
_LARGER = f"""
select ablated from effects
where ({", ".join(_TASK)}) = ({", ".join("?" * len(_TASK))}) and part = 'all' and images > ?
    and run > (select coalesce(max(run), '') from batches where kind = 'images' and batches.model_id = effects.model_id)
"""
_REPLACED = f"delete from effects where ablated = ? and ({', '.join(_TASK)}) = ({', '.join('?' * len(_TASK))})"


@contextmanager
def keeping(index: Index, arguments: Mapping[str, Any]) -> Iterator[Writer | None]:
    """Hold an index for writing, or say why nothing will be kept and give None."""
    with ExitStack() as held:
        writer = None
        if not isinstance(index.path, Path) or catalog.is_artefact(index.path):
            note(f"nothing will be kept: {index.path} is an export; import it to keep what is computed")
        else:
            try:
                writer = held.enter_context(Writer(index.path, "ablate", arguments, empty_run=False))
            except ClipdbError as error:
                note(f"nothing will be kept: {error}")
        yield writer


class KeptEffects:
    """What an index holds of one task.

    Parameters
    ----------
    writer
        Holds the index.
    about
        Values of the columns that all rows of this task share.
    """

    def __init__(self, writer: Writer, about: Mapping[str, Any]) -> None:
        self._writer, self._about = writer, dict(about)

    def known(self, controls: int | None) -> dict[str, list[Row]]:
        """Read the rows that hold today, by set: those with so many random sets, with any if None."""
        asked = [self._about[name] for name in (*_TASK, "seed", "images_sha256")]
        found: dict[str, list[Row]] = {}
        for heads, part, name, *figures in self._writer.read(_KNOWN, *asked, controls):
            found.setdefault(heads, []).append((heads, part, name or None, *figures))
        return found

    def measured_over_more(self, images: int) -> set[str]:
        """Return the sets that rows which hold today are of, over more images than these."""
        asked = [self._about[name] for name in _TASK]
        return {heads for (heads,) in self._writer.read(_LARGER, *asked, images)}

    def keep(self, rows: Sequence[Row], controls: int) -> None:
        """Put one set's rows in the place of older ones.

        Raises
        ------
        ClipdbError
            If the disk is full; the sets that were kept before stay.
        """
        more = self._about | {"controls": controls, "run": self._writer.run}
        stored = [dict(zip(_COLUMNS, row, strict=True)) | more for row in rows]
        for row in stored:
            row["class_name"] = row["class_name"] or ""
        self._writer.added += 1
        with self._writer.transaction() as connection:
            connection.execute(_REPLACED, [rows[0][0], *(self._about[name] for name in _TASK)])
            put(connection, "effects", stored, new=True)
