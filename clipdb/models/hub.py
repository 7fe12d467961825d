"""Where the weights of a model are: a file of the user's, the packaged one, the hub's cache or the hub."""

from __future__ import annotations

import socket
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import open_clip
from huggingface_hub import constants

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
    if not constants.HF_HUB_OFFLINE and not _hub_answers():
        constants.HF_HUB_OFFLINE = True  # the cache is asked at once, where the hub's client would retry for a minute
    try:
        return Path(open_clip.download_pretrained(known))
    except Exception as error:  # the hub's client raises its own, its transport's and OS errors
        offline = "the hub can't be reached, and they are not in the cache"
        reason = offline if constants.HF_HUB_OFFLINE else first_line(error)
        raise ClipdbError(
            f"can't get the weights of {model_id}: {reason}: connect once, or give a local file with "
            f"--checkpoint FILE; `clipdb demo` needs no network",
            kind="absent",
        ) from error


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
