"""A real S3 server in a process of its own, and between it and whoever asks a proxy that fails as a test says."""

from __future__ import annotations

import http.client
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

KEY, SECRET, TOKEN = "AKIATESTTESTTESTTEST", "s3cr3t/Kq8vWz+7Yq2mVt9Lw4Xz8RbAAAABBBB", "t0ken/Kq8vWz+FwoGZXIvYXdzEBYaD"
BUCKET = "heads-of-mine"
_START_SECONDS = 30

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_SESSION_TOKEN": TOKEN,
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class Fault:
    """How a request fails.

    Attributes
    ----------
    status, code
        The answer, as S3 words it; 0 for a connection that is cut in the middle of the body, or, of a PUT, when that is
        done and before the answer.
    seconds
        How long nothing comes first.
    """

    status: int
    code: str = ""
    seconds: float = 0.0


Behaviour = Callable[[str, str], Fault | None]
"""Takes method and path of a request, and says how it fails, if it does."""


@dataclass
class Store:
    """A running server.

    Attributes
    ----------
    endpoint
        Of the proxy.
    client
        boto3's, which goes to the server itself.
    behaviour
        How requests through the proxy fail.
    requests
        Method and path of each that came through it.
    credentials
        Of each: the key that signed it, if any, and its session's token.
    """

    endpoint: str
    client: Any
    behaviour: Behaviour = lambda method, path: None
    requests: list[tuple[str, str]] = field(default_factory=list)
    credentials: list[tuple[str | None, str | None]] = field(default_factory=list)

    def well(self) -> None:
        """Let requests through from now on, and forget those that came."""
        self.behaviour = lambda method, path: None
        self.requests.clear()
        self.credentials.clear()

    def names(self, prefix: str = "") -> list[str]:
        """List the objects of the bucket."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [one["Key"] for page in pages for one in page.get("Contents", ())]

    def put(self, folder: Path, prefix: str) -> None:
        """Copy a folder into the bucket."""
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.client.upload_file(str(file), BUCKET, f"{prefix}/{file.relative_to(folder)}")


def after(count: int, fault: Fault, method: str = "GET", part: str = "") -> Behaviour:
    """Let as many requests of a kind through, then fail each."""
    seen = []

    def behave(asked: str, path: str) -> Fault | None:
        if asked == method and part in path:
            seen.append(path)
            return fault if len(seen) > count else None
        return None

    return behave


def expiring(count: int, method: str = "GET", part: str = "") -> Behaviour:
    """Let as many requests of a kind through; from the next one on credentials have expired, for all requests."""
    later = after(count, Fault(403, "ExpiredToken"), method, part)
    expired = []

    def behave(asked: str, path: str) -> Fault | None:
        if fault := later(asked, path):
            expired.append(fault)
        return expired[0] if expired else None

    return behave


def first(count: int, fault: Fault, method: str = "GET", part: str = "") -> Behaviour:
    """Fail the first requests of a kind."""
    seen = []

    def behave(asked: str, path: str) -> Fault | None:
        if asked == method and part in path:
            seen.append(path)
            return fault if len(seen) <= count else None
        return None

    return behave


@contextmanager
def object_store() -> Iterator[Store]:
    """Run a server with one empty bucket until the block ends."""
    import boto3
    from botocore.config import Config

    port = free_port()
    with started([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port):
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id="admin",
            aws_secret_access_key="admin",
            region_name="us-east-1",
            config=Config(connect_timeout=5, read_timeout=10, retries={"max_attempts": 1}),
        )
        client.create_bucket(Bucket=BUCKET)
        with _proxy(port, client) as store:
            yield store


def free_port() -> int:
    """Return a port that nobody listens on."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def started(command: list[str], port: int) -> Iterator[None]:
    """Run a server that listens on a port until the block ends."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(port, server)
        yield
    finally:
        server.kill()
        server.wait(10)


def _wait(port: int, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        with closing(socket.socket()) as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"{server.args!r} doesn't start")


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let whoever asked leave as he likes."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@contextmanager
def _proxy(port: int, client: Any) -> Iterator[Store]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _pass_on(self) -> None:
            body = self._body()
            store.requests.append((self.command, self.path))
            signed = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization", ""))
            store.credentials.append((signed and signed[1], self.headers.get("x-amz-security-token")))
            fault = store.behaviour(self.command, self.path)
            if fault is not None and fault.seconds:
                time.sleep(fault.seconds)
            if fault is not None and fault.status:
                self._refuse(fault)
                return
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as behind:
                headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
                chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
                behind.request(self.command, self.path, [body] if chunked else body, headers, encode_chunked=chunked)
                answer = behind.getresponse()
                data = answer.read()
            if fault is not None and self.command == "PUT":  # it was done, and whoever asked doesn't know
                self._cut()
                return
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            self.wfile.write(data if fault is None else data[: len(data) // 2])
            if fault is not None:
                self._cut()

        def _cut(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on

        def _body(self) -> bytes:
            if self.headers.get("Expect", "").lower() == "100-continue":
                self.send_response_only(100)
                self.end_headers()
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def handle_expect_100(self) -> bool:
            return True

        def _refuse(self, fault: Fault) -> None:
            said = (
                f"<?xml version='1.0'?><Error><Code>{fault.code}</Code><Message>It failed.</Message></Error>".encode()
            )
            self.send_response_only(fault.status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(said)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with _Quiet(("127.0.0.1", 0), Handler) as server:
        store = Store(f"http://127.0.0.1:{server.server_address[1]}", client)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield store
        finally:
            server.shutdown()
            thread.join()
