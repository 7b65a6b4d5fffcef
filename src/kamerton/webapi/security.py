"""Who may talk to the web server, and what its pages may do: host and origin checks, security headers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

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


def host_name(host: str) -> str:
    """The name in a Host header, without its port, in lower case; IPv6 addresses keep their brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def origin_allowed(origin: str | None, host: str, allowed_origins: Sequence[str]) -> bool:
    """Whether a WebSocket may be opened from a page of `origin`.

    A client that is no browser sends no origin and is let in: only browsers carry out other sites' requests.
    """
    if origin is None:
        return True
    if origin.lower() in {allowed.lower().rstrip("/") for allowed in allowed_origins}:
        return True
    return urlsplit(origin).netloc.lower() == host.strip().lower()


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
        if not self._any_host and host_name(host) not in self._hosts:
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
