"""The one place that calls transformers to read files: from a folder, without the Hub and without anybody's code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LOADING_ERRORS = (OSError, RuntimeError, ValueError, TypeError, AttributeError, KeyError, ImportError)
"""What transformers raises of files that are missing or don't hold together."""


def from_folder(class_name: str, folder: Path, **options: Any) -> Any:
    """Call ``from_pretrained`` of a class of transformers; what it raises on bad files is its own.

    Parameters
    ----------
    class_name
        Name of the class.
    folder
        Where the files are.
    options
        What else the method takes.
    """
    import transformers

    with _quiet():
        return getattr(transformers, class_name).from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, **options
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from printing what clipdb says itself."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
