"""What every request and every answer has to meet before a page sees it, or a browser."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

MOST_BYTES = 20 * 2**20
"""Of a request's body."""

POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("img", "style", "script", "connect")),
        "form-action 'self'",
        "base-uri 'none'",
    )
)
"""What a page may load: nothing from elsewhere, and no style or script within itself."""

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Refuses requests under other names, posts from other sites and bodies that are too large; adds headers.

    A page on the network may give its own name the address of this machine (DNS rebinding), so a request's ``Host``
    has to be a name that was allowed.

    Parameters
    ----------
    app
        What answers the requests that pass.
    hosts
        Names that requests may come under, without ports.
    framed
        Whether pages of this machine may show these in a frame, as notebooks do.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], framed: bool = False) -> None:
        self._app = app
        self._hosts = {host.lower().strip("[]") for host in hosts}
        ancestors = "http://localhost:* http://127.0.0.1:* https:" if framed else "'none'"
        self._headers = {**_ALWAYS, "Content-Security-Policy": f"{POLICY}; frame-ancestors {ancestors}"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        if refusal := self._refused(scope["method"], headers):
            status, reason = refusal
            await PlainTextResponse(f"{reason}\n", status)(scope, receive, send_with_headers)
            return
        await self._app(scope, _limited(receive), send_with_headers)

    def _refused(self, method: str, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if _name(f"//{host}") not in self._hosts:
            return 421, f"this server is not called {host!r}: `clipdb serve --allow-host NAME` allows a name"
        if method in ("GET", "HEAD"):
            return None
        if not _from_here(headers, host):
            return 403, "this was sent from another site"
        size = headers.get("content-length", "0")
        if not size.isdecimal() or int(size) > MOST_BYTES:
            return 413, f"the file is larger than {MOST_BYTES // 2**20} MB"
        return None


def _from_here(headers: Headers, host: str) -> bool:
    """Return whether a post comes from a page of this server, or from no page at all."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:  # browsers that send this hide the origin of pages without referrer
        return site in ("same-origin", "none")
    return origin is None or urlsplit(origin).netloc.lower() == host.lower()


def _name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


class TooLarge(Exception):
    """A body is longer than it said, or didn't say."""


def _limited(receive: Receive) -> Receive:
    left = MOST_BYTES

    async def receive_some() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise TooLarge
        return message

    return receive_some
