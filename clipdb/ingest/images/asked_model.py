"""Check the model that an ingest asks for, without importing open_clip, which takes seconds."""

from __future__ import annotations

from pathlib import Path

from clipdb.errors import ClipdbError
from clipdb.ingest.store.writer import Reader
from clipdb.models.model_name import LOCAL_DIR, check_name
from clipdb.schema import catalog
from clipdb.schema.names import model_slug


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


def check_base(model: str | None, base: str | None) -> None:
    """Check the name of the model that one was fine-tuned from; the index need not have it.

    Raises
    ------
    ClipdbError
        If it is no model's name, or that of the model itself.
    """
    if base is None:
        return
    model_slug(base)
    if base == model:
        raise ClipdbError(f"--base {base} is the model itself: give the one that it was fine-tuned from")
