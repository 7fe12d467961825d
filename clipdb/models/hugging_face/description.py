"""What an index keeps of a model of transformers: ``{"transformers": config.json, "commit": ...}``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from clipdb.errors import ClipdbError
from clipdb.models.hugging_face.kinds import kind_of_model
from clipdb.models.hugging_face.repository import config_in, refuse_adapter

_KEY = "transformers"


def described(folder: Path, commit: str | None = None) -> dict[str, Any]:
    """Describe the model in a folder.

    Parameters
    ----------
    folder
        Where its files are.
    commit
        The commit of the repository that they are from.

    Raises
    ------
    ClipdbError
        If clipdb can't read it.
    """
    refuse_adapter(folder, str(folder))
    config = config_in(folder)
    kind_of_model(config, str(folder))
    return {_KEY: config} | ({} if commit is None else {"commit": commit})


def is_description(config: Any) -> bool:
    """Return whether a configuration that an index keeps is of a model of transformers."""
    return isinstance(config, dict) and _KEY in config


def checked(description: dict[str, Any], where: str) -> dict[str, Any]:
    """Check a description, which a stranger may have written.

    Raises
    ------
    ClipdbError
        If it describes no model that clipdb reads.
    """
    config, commit = description[_KEY], description.get("commit")
    if not isinstance(config, dict) or not (commit is None or is_commit(commit)):
        raise ClipdbError(f"{where} is not a description of a model of transformers: take another export")
    kind_of_model(config, where)
    return {_KEY: config} | ({} if commit is None else {"commit": commit})


def is_commit(text: Any) -> bool:
    """Return whether something is the hash of a commit."""
    return isinstance(text, str) and re.fullmatch("[0-9a-f]{40}", text) is not None
