"""clipdb: every attention head of a CLIP-like model is a row.

`clipdb.open(path)` opens an index for questions, `clipdb.segment` shows where in a picture its heads find a text,
`clipdb.ablate` runs the model without some of them, and `clipdb.serve` shows it all in a browser.
`clipdb.ingest_images`, `span`, `label`, `judge` and the others do what the verbs of the command line do.
`clipdb.schema` has the tables. What goes wrong is a `clipdb.ClipdbError`, whose ``kind`` says what to do about it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipdb import schema
    from clipdb.api.ablating import ablate
    from clipdb.api.aligning import align
    from clipdb.api.describing import ingest_images, ingest_texts
    from clipdb.api.exporting_embeddings import export_embeddings
    from clipdb.api.exporting_weights import export_weights
    from clipdb.api.importing import import_artefact, import_labels, import_reviews, import_spans
    from clipdb.api.index_copies import export_index
    from clipdb.api.indexing import drop_vector_indexes, index_vectors
    from clipdb.api.naming import judge, label
    from clipdb.api.opening import open
    from clipdb.api.pairing import ingest_pairs
    from clipdb.api.reviewing import export_reviews, review, review_cards
    from clipdb.api.segmentation_scores import segmentation_scores
    from clipdb.api.segmenting import segment
    from clipdb.api.sharing import export, upgrade, verify
    from clipdb.api.spanning import span
    from clipdb.errors import ClipdbError
    from clipdb.explorer.frozen.page_export import export_pages
    from clipdb.explorer.serving import serve
    from clipdb.ingest.names.llm.server import Server
    from clipdb.queries.index import Index

__version__ = "0.1.0"
__all__ = [
    "ClipdbError",
    "Index",
    "Server",
    "__version__",
    "ablate",
    "align",
    "drop_vector_indexes",
    "export",
    "export_embeddings",
    "export_index",
    "export_pages",
    "export_reviews",
    "export_weights",
    "import_artefact",
    "import_labels",
    "import_reviews",
    "import_spans",
    "index_vectors",
    "ingest_images",
    "ingest_pairs",
    "ingest_texts",
    "judge",
    "label",
    "open",
    "review",
    "review_cards",
    "schema",
    "segment",
    "segmentation_scores",
    "serve",
    "span",
    "upgrade",
    "verify",
]

_FROM = {
    "ClipdbError": "clipdb.errors",
    "Index": "clipdb.queries.index",
    "Server": "clipdb.ingest.names.llm.server",
    "ablate": "clipdb.api.ablating",
    "align": "clipdb.api.aligning",
    "export_embeddings": "clipdb.api.exporting_embeddings",
    "export_index": "clipdb.api.index_copies",
    "export_pages": "clipdb.explorer.frozen.page_export",
    "export_weights": "clipdb.api.exporting_weights",
    "ingest_pairs": "clipdb.api.pairing",
    "open": "clipdb.api.opening",
    "segment": "clipdb.api.segmenting",
    "segmentation_scores": "clipdb.api.segmentation_scores",
    "serve": "clipdb.explorer.serving",
    **dict.fromkeys(("ingest_images", "ingest_texts"), "clipdb.api.describing"),
    "span": "clipdb.api.spanning",
    **dict.fromkeys(("drop_vector_indexes", "index_vectors"), "clipdb.api.indexing"),
    **dict.fromkeys(("judge", "label"), "clipdb.api.naming"),
    **dict.fromkeys(("export_reviews", "review", "review_cards"), "clipdb.api.reviewing"),
    **dict.fromkeys(("import_artefact", "import_labels", "import_reviews", "import_spans"), "clipdb.api.importing"),
    **dict.fromkeys(("export", "upgrade", "verify"), "clipdb.api.sharing"),
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, so that importing clipdb costs nothing."""
    if name in _FROM:
        return getattr(importlib.import_module(_FROM[name]), name)
    if name == "schema":
        return importlib.import_module("clipdb.schema")
    raise AttributeError(f"module 'clipdb' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
