"""A server that speaks the Hub's protocol, for the files of one folder, and fails as a test says."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CHUNK = 1 << 20

REFUSALS = {
    401: {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to this model is restricted."},
    404: {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"},
    429: {"Retry-After": "0", "X-Error-Message": "Too many requests"},
    500: {},
}


@dataclass
class Hub:
    """What is served, how it fails, and what it was asked.

    Attributes
    ----------
    folder
        Holds ``ORG/NAME/FILE``.
    refuses
        A status that every request gets.
    cuts
        How many downloads end in their middle.
    asked
        Method, path and Range header of each request.
    authorized
        The Authorization header of each request that had one.
    """

    folder: Path
    refuses: int | None = None
    cuts: int = 0
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    authorized: list[str] = field(default_factory=list)
    url: str = ""
    elsewhere: str = ""

    def downloads(self) -> list[str | None]:
        """List the Range headers of the requests for content."""
        return [span for method, path, span in self.asked if method == "GET" and path.startswith("/cdn/")]


@cache
def _etag(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        """Be silent."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub = self.hub
        hub.asked.append((self.command, self.path, self.headers.get("Range")))
        if token := self.headers.get("Authorization"):
            hub.authorized.append(token)
        if hub.refuses is not None:
            self._head(hub.refuses, REFUSALS[hub.refuses])
        elif self.path.startswith("/cdn/"):
            self._content(hub.folder / self.path.removeprefix("/cdn/"))
        else:
            self._location()

    def _location(self) -> None:
        """Answer as the Hub does for a large file: it is somewhere else."""
        repo, _, rest = self.path.lstrip("/").partition("/resolve/")
        _, _, name = rest.partition("/")
        path = self.hub.folder / repo / name
        commit = {"X-Repo-Commit": COMMIT}
        if not path.is_file():
            self._head(404, commit | {"X-Error-Code": "EntryNotFound"})
            return
        linked = {"X-Linked-Etag": f'"{_etag(path)}"', "X-Linked-Size": str(path.stat().st_size)}
        self._head(302, commit | linked | {"Location": f"{self.hub.elsewhere}/cdn/{repo}/{name}"})

    def _content(self, path: Path) -> None:
        size = path.stat().st_size
        span = self.headers.get("Range")
        start = int(span.removeprefix("bytes=").partition("-")[0]) if span else 0
        ranged = {"Content-Range": f"bytes {start}-{size - 1}/{size}"} if span else {}
        self._head(206 if span else 200, ranged | {"ETag": f'"{_etag(path)}"', "Accept-Ranges": "bytes"}, size - start)
        if self.command == "HEAD":
            return
        end = size
        if self.hub.cuts:
            self.hub.cuts -= 1
            end = start + (size - start) // 2
            self.close_connection = True
        with path.open("rb") as file:
            file.seek(start)
            while file.tell() < end:
                self.wfile.write(file.read(min(CHUNK, end - file.tell())))

    def _head(self, status: int, headers: dict[str, str], length: int = 0) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()


@contextmanager
def hub_server(folder: Path) -> Iterator[Hub]:
    """Serve a folder on a port of this machine."""
    hub = Hub(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url, hub.elsewhere = (f"http://{host}:{server.server_port}" for host in ("127.0.0.1", "localhost"))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
