"""A folder over HTTP, on this machine, that counts what is read of it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from mimetypes import guess_type
from pathlib import Path

_CHUNK = 1 << 20


class Served:
    """A folder at a URL.

    Attributes
    ----------
    url
        Of the folder, without a slash at its end.
    sent
        Bytes sent of each file, by its path in the folder; headers are not counted.
    requests
        Method and path of each request, in order.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.sent: Counter[str] = Counter()
        self.requests: list[tuple[str, str]] = []

    def bytes_of(self, prefix: str) -> int:
        """Sum what was sent of the files whose paths begin so."""
        return sum(count for path, count in self.sent.items() if path.startswith(prefix))

    def forget(self) -> None:
        """Count from nothing again."""
        self.sent.clear()
        self.requests.clear()


@contextmanager
def serve(folder: Path) -> Iterator[Served]:
    """Serve a folder with HEAD, GET and ranges, as a static host does, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            path = self.path.partition("?")[0].lstrip("/")
            served.requests.append((self.command, path))
            file = folder / path
            if not file.is_file():
                self.send_error(404)
                return
            size = file.stat().st_size
            start, stop = self._range(size)
            self.send_response(206 if "Range" in self.headers else 200)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Type", guess_type(path)[0] or "application/octet-stream")
            self.send_header("ETag", f'"{file.stat().st_mtime_ns:x}"')
            self.send_header("Content-Length", str(stop - start))
            if "Range" in self.headers:
                self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
            self.end_headers()
            if not body:
                return
            served.sent[path] += stop - start
            with file.open("rb") as stream:
                stream.seek(start)
                while start < stop:
                    start += self.wfile.write(stream.read(min(_CHUNK, stop - start)))

        def _range(self, size: int) -> tuple[int, int]:
            first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
            if not first:
                return max(0, size - int(last)), size
            return int(first), min(int(last) + 1, size) if last else size

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = Served(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
