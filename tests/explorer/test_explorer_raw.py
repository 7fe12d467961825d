"""Bytes that no browser sends, to a real server: each is answered or hung up on, and the next visitor is served."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support import MODEL

import clipdb

UPLOAD = f"POST /models/{MODEL}/images HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode()
ATTEMPTS = {
    "no host": b"GET /status HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
    "a host with an account": b"GET /status HTTP/1.1\r\nHost: 127.0.0.1@evil.example\r\n\r\n",
    "another server's address": b"GET http://evil.example/status HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "a tunnel": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "an old HTTP": b"GET /status\r\n\r\n",
    "a path with a null": b"GET /static/%00explorer.css HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "a path out of the folder": b"GET /static/../app.py HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "an encoded path out": b"GET /static/..%2f..%2f..%2f..%2fetc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "a huge header": b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    "a line break in a header": b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\rSet-Cookie: b\r\n\r\n",
    "a negative length": UPLOAD + b"Content-Length: -1\r\n\r\n",
    "two lengths": UPLOAD + b"Content-Length: 4\r\nContent-Length: 9\r\n\r\nabcd",
    "a length and chunks": UPLOAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /",
    "a chunk that lies": UPLOAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "a form that ends nowhere": UPLOAD
    + b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 5\r\n\r\n--b\r\n",
    "a form without a boundary": UPLOAD + b"Content-Type: multipart/form-data\r\nContent-Length: 2\r\n\r\nab",
}


@pytest.fixture(scope="module")
def url(shown_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        with clipdb.serve(shown_index, port=0, device="cpu", block=False) as explorer:  # type: ignore[union-attr]
            yield explorer.url


@pytest.mark.parametrize("sent", ATTEMPTS.values(), ids=ATTEMPTS)
def test_strange_bytes_get_nothing(url: str, sent: bytes) -> None:
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=8) as visitor:
        try:
            visitor.sendall(sent)
            visitor.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: visitor.recv(65536), b""))
        except OSError:  # it hung up before all was sent
            answer = b""
    status = int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 0
    assert status == 0 or status in range(400, 500), answer[:200]
    assert b"root:" not in answer and b"Starlette(" not in answer and b"Newest runs" not in answer
    with urllib.request.urlopen(f"{url}status", timeout=8) as page:
        assert page.status == 200
