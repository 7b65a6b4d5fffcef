"""The official client, told to do nothing of its own accord: no retries, no redirects, no timeouts but ours.

`anthropic` and `httpx2` are imported with this module: it is loaded when a model is opened, not when the settings are
read.
"""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast

import anthropic
import anyio
import httpx2

from kamerton.domain.errors import VendorError
from kamerton.llm.anthropic import faults
from kamerton.llm.model_errors import model_error

CLOSE_S: Final = 1.0
"""Longest wait for a connection to close; it takes well under a millisecond."""
LONGEST_DOCUMENT: Final = 1_000_000
"""Bytes of a document that a check reads."""
TRANSPORT_ERRORS: Final = (httpx2.HTTPError, httpx2.StreamError)
"""What reading a response may raise."""


class Response(Protocol):
    """What is used of the client's response."""

    @property
    def status_code(self) -> int:
        """HTTP's."""
        ...

    def iter_bytes(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes, unpacked."""
        ...

    async def close(self) -> None:
        """Drop the connection, unless the body was read to its end."""
        ...


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Where and how. Seconds."""

    url: str
    """As it is shown, too: without a login."""
    key: str = field(repr=False)
    where: str
    """Model and address, for messages."""
    connect_s: float
    connections: int


class AnthropicClient:
    """Asks the API; its connections are pooled. Deadlines are up to who calls, those of connecting aside.

    Args:
        settings: where and how.
        tls: what is trusted.
    """

    def __init__(self, settings: ClientSettings, tls: ssl.SSLContext) -> None:
        self._settings = settings
        timeout = httpx2.Timeout(None, connect=settings.connect_s, pool=settings.connect_s)
        limits = httpx2.Limits(
            max_connections=settings.connections,
            max_keepalive_connections=settings.connections,
            keepalive_expiry=60.0,
        )
        self._client = anthropic.AsyncAnthropic(
            api_key=settings.key,
            base_url=settings.url,
            max_retries=0,
            timeout=timeout,
            open_telemetry=False,
            http_client=httpx2.AsyncClient(verify=tls, timeout=timeout, limits=limits, follow_redirects=False),
        )

    @property
    def url(self) -> str:
        """The API's address."""
        return self._settings.url

    @property
    def where(self) -> str:
        """Model and address, for messages."""
        return self._settings.where

    @property
    def key(self) -> str:
        """The secret, to be kept out of messages."""
        return self._settings.key

    async def ask(self, body: Mapping[str, Any]) -> Response:
        """Ask for a streamed message; whoever has the response closes it with `closed`.

        Raises:
            VendorError: the API refuses, or is not reached.
        """
        try:
            asked = self._client.messages.with_streaming_response.create(**body)
            return cast(Response, await asked.__aenter__())
        except (anthropic.AnthropicError, *TRANSPORT_ERRORS, ValueError) as error:
            raise self._failure(error) from None

    async def look_up(self, model: str) -> tuple[int, Mapping[str, Any], VendorError | None]:
        """What the vendor tells of a model: status, document, and how it refuses, if it does.

        Raises:
            VendorError: it is not reached.
        """
        response: Response | None = None
        try:
            asked = self._client.models.with_streaming_response.retrieve(model)
            response = cast(Response, await asked.__aenter__())
            document = b""
            async for piece in response.iter_bytes():
                document += piece
                if len(document) > LONGEST_DOCUMENT:
                    break
        except anthropic.APIStatusError as error:
            return error.status_code, {}, self._failure(error)
        except (anthropic.AnthropicError, *TRANSPORT_ERRORS, ValueError) as error:
            raise self._failure(error) from None
        finally:
            if response is not None:
                with anyio.move_on_after(CLOSE_S, shield=True):
                    await response.close()
        found = document_of(document)
        return response.status_code, found if isinstance(found, Mapping) else {}, None

    async def aclose(self) -> None:
        """Close all connections. Harmless when repeated."""
        await self._client.close()

    def _failure(self, error: Exception) -> VendorError:
        """What went wrong, where, and what to do; never with the key, even when the server repeats it."""
        where = self._settings.where
        if isinstance(error, anthropic.APIStatusError):
            after = error.response.headers.get("retry-after")
            return faults.of_status(where, error.status_code, error.body, after, self._settings.key)
        if isinstance(error, (anthropic.APITimeoutError, httpx2.TimeoutException)):
            what = (
                f"accepts no connection within {self._settings.connect_s:g} s (connect_s), or all "
                f"{self._settings.connections} are busy; check the network and the server's load"
            )
            return model_error(where, what, "timeout")
        if isinstance(error, (anthropic.APIConnectionError, *TRANSPORT_ERRORS)):
            return model_error(where, _unreachable(error), "connection")
        if isinstance(error, UnicodeError):
            return model_error(
                where, "cannot be sent text with half a character in it; mend where it comes from", "rejected"
            )
        return model_error(where, f"answers what the client does not understand ({type(error).__name__})", "broken")


async def closed(response: Response, body: AsyncGenerator[bytes, None]) -> None:
    """Drop the connection, then let the client's own generators run out, so that the loop finds none to finish."""
    with anyio.move_on_after(CLOSE_S, shield=True):
        await response.close()
        with contextlib.suppress(*TRANSPORT_ERRORS, StopAsyncIteration):
            while True:
                await anext(body)


def document_of(body: bytes | str) -> object:
    """A JSON document; None when it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _unreachable(error: BaseException | None) -> str:
    """Why it is not reached: TLS is told apart, because it is mended elsewhere."""
    while error is not None:
        if isinstance(error, ssl.SSLError) or "CERTIFICATE" in str(error) or "SSL" in str(error):
            return "cannot be trusted: TLS failed; set ca_file to the certificates of your proxy, and check the clock"
        error = error.__cause__ or error.__context__
    return "cannot be reached or hangs up; check url, the network and the vendor's status page"
