"""Who may talk to the web server, and what its pages may do: host and origin checks, security headers."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

_MAX_PORT = 65535
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "media-src 'self' blob:",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


_HOST = re.compile(
    r"(?P<name>[a-z0-9_](?:[a-z0-9_.-]{0,253})|\[[0-9a-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?",
    re.IGNORECASE | re.ASCII,
)
"""A name or an address, and a port: of all that a URL's authority may hold, what browsers put into a Host header."""


def host_name(host: str) -> str:
    """The name in a Host header, without its port, in lower case; IPv6 addresses keep their brackets.

    Nothing for what is no host, such as one with a user before it: whoever reads that differently than the rule for
    names must not decide where a request came from.
    """
    match = _HOST.fullmatch(host)
    if match is None or int(match["port"] or 0) > _MAX_PORT:
        return ""
    return match["name"].lower()


def origin_allowed(origin: str | None, host: str, allowed_origins: Sequence[str]) -> bool:
    """Whether a WebSocket may be opened from a page of `origin`.

    A client that is no browser sends no origin and is let in: only browsers carry out other sites' requests.
    """
    if origin is None:
        return True
    if origin.lower() in {allowed.lower().rstrip("/") for allowed in allowed_origins}:
        return True
    scheme, separator, place = origin.lower().partition("://")
    return bool(separator) and scheme in ("http", "https") and host_name(host) != "" and place == host.lower()


class SiteGuard:
    """ASGI middleware: refuses unknown host names and foreign pages' WebSockets; adds the security headers."""

    def __init__(self, app: ASGIApp, *, allowed_hosts: Sequence[str], allowed_origins: Sequence[str]) -> None:
        self._app = app
        self._any_host = "*" in allowed_hosts
        self._hosts = frozenset(host.lower() for host in allowed_hosts)
        self._origins = tuple(allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge one request or WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        name = host_name(host)
        if (host and not name) or not (self._any_host or name in self._hosts):
            logger.warning("a request for an unknown host name is refused", extra={"host": host[:100]})
            advice = "This server does not know the host name you used; add it to the web server's allowed_hosts.\n"
            await PlainTextResponse(advice, 400)(scope, receive, send)
            return
        if scope["type"] == "websocket":
            origin = headers.get("origin")
            if not origin_allowed(origin, host, self._origins):
                logger.warning("a page of another site tried to call", extra={"origin": (origin or "")[:100]})
                await PlainTextResponse("Pages of other sites may not call.\n", 403)(scope, receive, send)
                return
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                response_headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    response_headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_guarded)
