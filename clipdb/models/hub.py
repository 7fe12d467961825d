"""Where the weights of a model are: a file of the user's, the packaged one, the hub's cache or the hub."""

from __future__ import annotations

import os
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import open_clip
from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, LocalEntryNotFoundError, RemoteEntryNotFoundError
from huggingface_hub.utils import logging
from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

from clipdb import demo
from clipdb._util.text import first_line
from clipdb.errors import ClipdbError

_CONNECT_SECONDS = 10.0  # time for two more tries where a packet is lost


def weights_file(model_id: str, known: dict[str, Any], checkpoint: Path | None) -> Path:
    """Find the file of a model's weights, and fetch it where it must be.

    Parameters
    ----------
    model_id
        ``ARCH/PRETRAINED``.
    known
        What open_clip knows of it.
    checkpoint
        A file to take instead.

    Raises
    ------
    ClipdbError
        If it can't be had.
    """
    if checkpoint is not None:
        if not checkpoint.is_file():
            raise ClipdbError(
                f"no checkpoint at {checkpoint}: give a .safetensors or torch file, --checkpoint FILE", kind="absent"
            )
        return checkpoint
    if model_id in demo.PACKAGED:
        return demo.PACKAGED[model_id]
    advice = "give a local file with --checkpoint FILE; `clipdb demo` needs no network"
    return from_hub(f"the weights of {model_id}", lambda: _download(known), advice)


def from_hub(what: str, fetch: Callable[[], Path], otherwise: str) -> Path:
    """Fetch something from the hub, or take it from the cache.

    Parameters
    ----------
    what
        How it is called in a message.
    fetch
        Asks the hub's client.
    otherwise
        What to do without the hub.

    Raises
    ------
    ClipdbError
        If it can't be had: the message says why.
    """
    if not constants.HF_HUB_OFFLINE and not _hub_answers():
        constants.HF_HUB_OFFLINE = True  # the cache is asked at once, where the hub's client would retry for a minute
    logging.disable_propagation()  # else each of its warnings would be printed twice
    try:
        return fetch()
    except ClipdbError:
        raise
    except Exception as error:  # the hub's client raises its own, its transport's and OS errors
        reason, advice = _reason(error)
        raise ClipdbError(f"can't get {what}: {reason}: {advice}, or {otherwise}", kind="absent") from error


def is_there(repository: str, name: str, revision: str | None) -> Path | None:
    """Fetch a file of a repository, if the repository has it; without the hub, if the cache has it."""
    try:
        return Path(hf_hub_download(repository, name, revision=revision))
    except EntryNotFoundError as error:
        if isinstance(error, RemoteEntryNotFoundError) or constants.HF_HUB_OFFLINE:
            return None
        raise


def _download(known: dict[str, Any]) -> Path:
    """Fetch a weights file, of safetensors if there is one; what is in the cache is not fetched again.

    open_clip would look for another kind of file after any error, and say that it lacks that one.
    """
    repository, name = os.path.split(known.get("hf_hub") or "")
    if not repository:
        return Path(open_clip.download_pretrained(known))
    named, revision = Path(name or HF_WEIGHTS_NAME), known.get("revision")
    safe = named.with_suffix(".safetensors").name if name else HF_SAFE_WEIGHTS_NAME
    return is_there(repository, safe, revision) or Path(hf_hub_download(repository, named.name, revision=revision))


def _reason(error: Exception) -> tuple[str, str]:
    """Return why there are no weights, and what to do."""
    if constants.HF_HUB_OFFLINE:
        return "the hub can't be reached, and they are not in the cache", "connect once"
    if isinstance(error, GatedRepoError):
        return "the hub gives them to those who accepted their terms", "accept them there, log in with `hf auth login`"
    if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        return first_line(error.__cause__), "try again later"  # what the hub said, and not that the cache is empty
    return first_line(error), "try again later"


def _hub_answers() -> bool:
    """Return whether the hub takes connections; a proxy would make them for us."""
    if urllib.request.getproxies():
        return True
    hub = urlsplit(constants.ENDPOINT)
    try:
        socket.create_connection(
            (hub.hostname, hub.port or (80 if hub.scheme == "http" else 443)), _CONNECT_SECONDS
        ).close()
    except OSError:
        return False
    return True
