"""A small OpenAI-compatible server that behaves as a test says, well or badly, and remembers what it was asked."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from support import rows

KEY = "sk-test-no-real-key-7Yq2mVt9Lw4Xz8Rb"


@dataclass(frozen=True)
class Asked:
    """A request: its JSON, its headers, what the last message says, and how often that was asked about before."""

    body: dict[str, Any]
    headers: dict[str, str]
    data: dict[str, Any]
    before: int
    at: float

    @property
    def head(self) -> str:
        return str(self.data["head"])

    @property
    def system(self) -> str:
        return str(self.body["messages"][0]["content"])

    @property
    def schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = self.body["response_format"]["json_schema"]["schema"]
        return schema


@dataclass(frozen=True)
class Sent:
    """A response; it may be late, slow, or cut off before its end (``cut`` bytes, of which headers are some)."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drip: float = 0.0
    cut: int | None = None


Behaviour = Callable[[Asked], Sent]


def chat(content: str | None, finish: str = "stop", **message: Any) -> Sent:
    """Give a whole chat completion."""
    answer = {"role": "assistant", "content": content} | message
    whole = {
        "id": "one",
        "object": "chat.completion",
        "created": 0,
        "model": "small",
        "choices": [{"index": 0, "finish_reason": finish, "message": answer}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
    return Sent(json.dumps(whole).encode())


def named(asked: Asked, **change: Any) -> Sent:
    """Answer well, or with some fields changed."""
    answer = {"head": asked.head, "rationale": "They differ in hue.", "property": "colour", "confidence": 85}
    return chat(json.dumps(answer | change))


def failed(status: int, message: str = "broken", headers: dict[str, str] | None = None, **more: Any) -> Sent:
    """Give an error as OpenAI's API words it."""
    return Sent(json.dumps({"error": {"message": message} | more}).encode(), status, headers or {})


def chunked(body: bytes, size: int = 2**16) -> Sent:
    """Send a body whose length is not said beforehand."""
    parts = (body[start : start + size] for start in range(0, len(body), size))
    framed = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return Sent(framed + b"0\r\n\r\n", headers={"Transfer-Encoding": "chunked"})


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let whoever asked leave as he likes."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Server:
    """The running server.

    Attributes
    ----------
    asked
        Requests so far, in order.
    most
        How many were under way at once at most.
    """

    def __init__(self, behaviour: Behaviour, port: int = 0) -> None:
        self.behaviour = behaviour
        self.asked: list[Asked] = []
        self.most = self._now = 0
        self._lock = threading.Lock()
        self._http = _Http(("127.0.0.1", port), self._handler())
        self.port: int = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def heads(self) -> Counter[str]:
        """Count how often each head was asked about."""
        return Counter(one.head for one in self.asked)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _take(self, body: dict[str, Any], headers: dict[str, str]) -> Asked:
        data = json.loads(body["messages"][-1]["content"])
        with self._lock:
            before = sum(one.data == data for one in self.asked)
            asked = Asked(body, headers, data, before, time.monotonic())
            self.asked.append(asked)
            self._now += 1
            self.most = max(self.most, self._now)
        return asked

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                try:
                    data = self.rfile.read(length)
                except OSError:
                    data = b""
                if len(data) < length:
                    self.close_connection = True  # whoever asked has left
                    return
                body = json.loads(data)
                if self.path != "/v1/chat/completions":
                    self._send(failed(404, f"no {self.path} here"))
                    return
                asked = server._take(body, {name.lower(): value for name, value in self.headers.items()})
                try:
                    sent = server.behaviour(asked)
                    time.sleep(sent.delay)
                finally:
                    with server._lock:
                        server._now -= 1
                self._send(sent)

            def _send(self, sent: Sent) -> None:
                length = {} if "Transfer-Encoding" in sent.headers else {"Content-Length": str(len(sent.body))}
                headers = {"Content-Type": "application/json"} | length | sent.headers
                lines = [f"HTTP/1.1 {sent.status} It", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
                head = "\r\n".join(lines).encode("latin-1")
                try:
                    if sent.drip:
                        self.wfile.write(head)
                        for byte in sent.body:
                            self.wfile.write(bytes([byte]))
                            time.sleep(sent.drip)
                    else:
                        self.wfile.write((head + sent.body)[: sent.cut])
                    if sent.cut is not None:
                        self.connection.shutdown(socket.SHUT_RDWR)
                        self.close_connection = True
                except OSError:
                    self.close_connection = True  # whoever asked has left

            def log_message(self, format: str, *values: object) -> None:
                pass

        return Handler


@contextmanager
def serving(behaviour: Behaviour = named, port: int = 0) -> Iterator[Server]:
    """Run a server for a while."""
    server = Server(behaviour, port)
    try:
        yield server
    finally:
        server.close()


def asking(verb: str, index: Path, url: str, *more: object) -> tuple[object, ...]:
    """Arguments of `clipdb label` or `clipdb judge` that ask a server about spans of the pool ``plain``, once each."""
    who = ("--labeller" if verb == "label" else "--judge", "llm", "--llm-model", "small", "--retries", 0)
    return (verb, *who, "--base-url", url, "--pool", "plain", "-i", index, *more)


def free_port() -> int:
    """Find a port where nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def assert_no_key(index: Path, *texts: str) -> None:
    """Look for any eight characters of the key in all files of the index, and in what was said."""
    parts = [KEY[start : start + 8] for start in range(len(KEY) - 7)]
    for content in [*texts, *(path.read_bytes().decode("latin-1") for path in index.rglob("*") if path.is_file())]:
        assert not [part for part in parts if part in content]
    values = rows(index, "select columns(*)::text from labels union all by name select columns(*)::text from runs")
    assert not [part for part in parts if part in repr(values)]
