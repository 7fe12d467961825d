"""Name heads by what was measured of them against the truth: minimal pairs, or the metadata of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from clipdb.ingest.names.share_labels import store_shares
from clipdb.ingest.names.shares import Share
from clipdb.ingest.names.unchanged import Labelled
from clipdb.ingest.store.writer import Writer

EVIDENCE = "evidence"
PAIRS, METADATA = "pairs", "metadata"
_OF = {PAIRS: "what moves it in minimal pairs", METADATA: "its variance between images by metadata"}


def label_by_evidence(
    index: Path, model_id: str | None, source: str, measured: Mapping[tuple[str, int, int], Sequence[Share]]
) -> Labelled:
    """Name each head by its largest share, as the labeller zero-shot does.

    Parameters
    ----------
    index
        Directory of the index.
    model_id
        The model that was asked for, which the run records.
    source
        `PAIRS` or `METADATA`: what the shares are from.
    measured
        By model, layer and head.
    """
    arguments = {"labeller": EVIDENCE, "model": model_id, "source": source}
    with Writer(index, "label", arguments, empty_run=False) as writer:
        return store_shares(writer, EVIDENCE, EVIDENCE, measured, _OF[source])
