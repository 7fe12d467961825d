"""HTTP with bounds on what a server may send back: a body's size and the time that it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx2
from openai import DefaultHttpxClient, OpenAIError

MOST_BYTES = 2**20
"""What an answer may weigh: those that are asked for have a few kilobytes."""


class AnswerTooLarge(OpenAIError):
    """A server sends more than any answer needs. The SDK passes errors of its own family on, and tries no more."""


class _Bounded(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream, seconds: float) -> None:
        self._stream = stream
        self._seconds = seconds

    def __iter__(self) -> Iterator[bytes]:
        size, end = 0, time.monotonic() + self._seconds
        for chunk in self._stream:
            size += len(chunk)
            if size > MOST_BYTES:
                raise AnswerTooLarge(f"the server's answer is larger than {MOST_BYTES // 2**20} MiB")
            if time.monotonic() > end:
                raise httpx2.ReadTimeout("the answer comes too slowly")
            yield chunk

    def close(self) -> None:
        self._stream.close()


def bounded_client(seconds: float, login: tuple[str, str] | None) -> httpx2.Client:
    """Make an HTTP client whose responses are bounded, errors' bodies too.

    Parameters
    ----------
    seconds
        Time that a whole body may take; HTTPX's own limit is on the wait for each part of it.
    login
        User and password, where the server is behind them. Not in the address, which HTTPX logs.
    """

    def bound(response: httpx2.Response) -> None:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            # A kilobyte may unpack to a gigabyte.
            raise AnswerTooLarge("the server's answer is compressed, which it was asked not to be")
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Bounded(response.stream, seconds)

    return DefaultHttpxClient(auth=login, headers={"Accept-Encoding": "identity"}, event_hooks={"response": [bound]})
