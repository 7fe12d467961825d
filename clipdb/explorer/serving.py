"""`clipdb.serve`: run the explorer."""

from __future__ import annotations

import socket
import threading
import time
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clipdb.errors import ClipdbError, require

if TYPE_CHECKING:
    import uvicorn

PORT = 7860
_START_SECONDS = 20.0
_STOP_SECONDS = 2


class Explorer:
    """An explorer that runs on a thread of its own; what `serve` gives with ``block=False``.

    In a notebook it shows itself as a frame.

    Attributes
    ----------
    url
        Its address.
    """

    def __init__(self, server: uvicorn.Server, listening: socket.socket, url: str) -> None:
        self.url = url
        self._server = server
        self._thread = threading.Thread(target=server.run, args=([listening],), name="clipdb-explorer", daemon=True)
        self._thread.start()
        end = time.monotonic() + _START_SECONDS
        while not server.started:
            if not self._thread.is_alive() or time.monotonic() > end:
                raise ClipdbError(f"the explorer could not be started at {url}", kind="busy")
            time.sleep(0.01)

    def __enter__(self) -> Explorer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"clipdb explorer at {self.url}"

    def _repr_html_(self) -> str:
        return f'<iframe src="{self.url}" width="100%" height="720" title="clipdb explorer"></iframe>'

    def close(self) -> None:
        """Stop it."""
        self._server.should_exit = True
        self._thread.join(_START_SECONDS)


def _listen(host: str, port: int) -> socket.socket:
    """Take the port.

    Raises
    ------
    ClipdbError
        If another program has it, or the host has no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
        taken.listen()  # from now on requests wait, rather than fail until the server is ready
    except (OSError, OverflowError) as error:
        taken.close()
        reason = getattr(error, "strerror", None) or error
        raise ClipdbError(
            f"can't listen at {host}, port {port}: {reason}; choose another with --port", kind="busy"
        ) from error
    return taken


def serve(
    path: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    allow_hosts: Sequence[str] = (),
    public: bool = False,
    allow: Sequence[str] = (),
    reviewer: str | None = None,
    queries: Sequence[str | Path] = (),
    device: str = "auto",
    checkpoint: str | Path | None = None,
    block: bool = True,
    ready: Callable[[str], None] | None = None,
) -> Explorer | None:
    """Show an index as pages in a browser, until Ctrl-C.

    Parameters
    ----------
    path
        The directory of an index or of an export, or the export's URL.
    host, port
        Where to listen; port 0 takes a free one. Whoever reaches it may read all of the index and run its models.
    allow_hosts
        Names, besides ``host`` and those of the loopback, under which browsers may reach it.
    public
        Whether anybody may come: SQL, pictures of visitors' own and decisions are refused then, and the folders of
        files hidden.
    allow
        What visitors of a public explorer may do all the same: ``sql``, ``uploads``, ``review``.
    reviewer
        Who decides on names of heads, on the page ``/review``; nobody does without one.
    queries
        Folders of named queries of your own; each gets a page.
    device, checkpoint
        Where models run, and from which weights: see `open`.
    block
        Say False to go on while it runs; what is returned stops it, and is a frame in a notebook.
    ready
        Called with the address when pages can be asked for.

    Raises
    ------
    ClipdbError
        If there is no index, it can't be opened, nobody could review it, or the port is taken.
    MissingExtra
        If the packages of the extra ``ui`` are not installed.

    Examples
    --------
    >>> with clipdb.serve("mine.clipdb", port=0, block=False) as explorer:
    ...     explorer.url.startswith("http://127.0.0.1:")
    True
    """
    for module in ("starlette", "uvicorn", "jinja2", "python_multipart", "PIL"):
        require(module, "ui")
    import uvicorn

    from clipdb.explorer.access import Access
    from clipdb.explorer.app import create_app
    from clipdb.explorer.site import Site

    access = Access(public, allow)
    listening = _listen(host, port)
    try:
        site = Site(path, queries, device, checkpoint, access=access, reviewer=reviewer)
    except BaseException:
        listening.close()
        raise
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    url = f"http://{f'[{shown}]' if ':' in shown else shown}:{listening.getsockname()[1]}/"

    def started() -> None:
        if ready is not None:
            ready(url)

    # A public explorer may be part of another page, where it only shows: a hidden one could be made to decide.
    framed = not block or (public and reviewer is None)
    app = create_app(site, {host, *allow_hosts}, framed=framed, started=started)
    config = uvicorn.Config(
        app, log_level="error", access_log=False, server_header=False, timeout_graceful_shutdown=_STOP_SECONDS
    )
    server = uvicorn.Server(config)
    if not block:
        return Explorer(server, listening, url)
    try:
        server.run(sockets=[listening])
    finally:
        listening.close()
    return None


def open_in_browser(url: str) -> None:
    """Open an address in the user's browser, if there is one."""
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
