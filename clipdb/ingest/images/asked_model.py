"""Check the model that an ingest asks for, without importing open_clip, which takes seconds."""

from __future__ import annotations

from pathlib import Path

from clipdb.ingest.store.writer import Reader
from clipdb.models.model_name import LOCAL_DIR, check_name
from clipdb.schema import catalog


def check_asked(index: Path, model: str | None, config: Path | None) -> None:
    """Check the name of a model that is asked for, as `check_name`, unless it is one of the user's own.

    Parameters
    ----------
    index
        Directory of the index, which may know the model's configuration.
    model, config
        What was given.
    """
    if model is None or config is not None or model.startswith(LOCAL_DIR):
        return
    own = "select 1 from models where model_id = ? and config is not null"
    if not (catalog.exists(index) and Reader(index).read(own, model)):
        check_name(model)
