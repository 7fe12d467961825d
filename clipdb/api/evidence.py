"""The labeller evidence: heads named by measurements against the truth, which the queries make and the index keeps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clipdb.errors import ClipdbError

if TYPE_CHECKING:
    from clipdb.ingest.names.shares import Share
    from clipdb.ingest.names.unchanged import Labelled
    from clipdb.queries.index import Index

EVIDENCE = "evidence"


def label_by_evidence(index: Path, model: str | None) -> Labelled:
    """Name heads by minimal pairs where the index has any, else by the metadata of images (not by their label).

    Raises
    ------
    ClipdbError
        If there are neither pairs nor keys of metadata to compare.
    """
    from clipdb.api.opening import open as open_index
    from clipdb.ingest.names.by_evidence import METADATA, PAIRS
    from clipdb.ingest.names.by_evidence import label_by_evidence as store
    from clipdb.ingest.store.writer import Reader

    measured: dict[tuple[str, int, int], list[Share]] = {}
    with open_index(index) as opened:
        source = PAIRS if opened.sql("select 1 from pairs limit 1").fetchall() else METADATA
        for name in Reader(index).models(model):
            measured |= _shares(opened, name, source == PAIRS)
    return store(index, model, source, measured)


def _shares(opened: Index, model: str, by_pairs: bool) -> dict[tuple[str, int, int], list[Share]]:
    from clipdb.ingest.names.shares import Share
    from clipdb.queries.functions.base.truths import truth_keys
    from clipdb.schema.names import parse_head

    found: dict[tuple[str, int, int], list[Share]] = {}
    # Without metadata the query would take the model's own answers for the truth.
    there = by_pairs or truth_keys(opened.context)
    for row in opened.rows("specificity" if by_pairs else EVIDENCE, model=model) if there else []:
        name = row["attribute"] if by_pairs else row["key"]
        if row["share"] is not None and (by_pairs or name != "label"):
            found.setdefault((model, *parse_head(row["head"])), []).append(Share(name, row["share"], row["chance"]))
    if len({share.property for shares in found.values() for share in shares}) < 2:
        raise ClipdbError(
            f"images of {model} have fewer than two keys of metadata that group them, so there is nothing to compare: "
            "ingest a list with more columns, or pairs with `clipdb ingest pairs FILE`",
            kind="absent",
        )
    return found
