"""One address that takes and gives JSON over HTTP, with a deadline over everything and faults told apart."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread

from kamerton.domain.errors import ConfigurationError, Fault, VendorError
from kamerton.domain.foreign_text import LONGEST_REMARK, shown_line
from kamerton.embeddings.addresses import shown_address
from kamerton.embeddings.credentials import Credentials

_LARGEST_ANSWER: Final = 64 << 20
"""Bytes: a hundred vectors of 3072 dimensions are 7 MB as text."""
_KEEPALIVE_S: Final = 55.0
"""A connection that was idle for longer is opened anew: a new one costs a turn three round trips."""
_UNTOLD_PAUSE_S: Final = 1.0
"""Between two requests after a 429 that does not say how long to wait: quotas are counted per second."""
_FAULTS: Final[Mapping[int, Fault]] = {
    401: "unauthorised",
    403: "unauthorised",
    402: "quota",
    408: "timeout",
    429: "rate_limited",
}
_FIXES: Final[Mapping[Fault, str]] = {
    "unauthorised": "check the credentials, their rights and the folder or project",
    "quota": "raise the quota or pay the bill",
    "rate_limited": "lower requests_per_s or have the quota raised",
    "timeout": "check the network, or raise the deadline",
    "connection": "check the address, the network and the TLS certificates (ca_file)",
    "rejected": "check the address and the model's name",
    "failed": "wait until the service has recovered",
    "broken": "check that the address leads to the right API",
}


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """Where a service is and how long it may take. Seconds."""

    what: str
    """In messages: `Yandex embeddings`."""
    url: str
    ca_file: Path | None
    connect_s: float
    read_s: float
    """Longest silence."""


class _Failed(Exception):
    """A fault of one request; becomes a `VendorError` outside of any handler, so that nothing is chained to it."""

    def __init__(self, fault: Fault, told: str, retry_after_s: float | None = None) -> None:
        super().__init__(told)
        self.fault: Fault = fault
        self.told = told
        self.retry_after_s = retry_after_s


class JsonEndpoint:
    """Posts JSON. Belongs to one event loop; connections stay open for the next request.

    Raises:
        ConfigurationError: the address or the certificates cannot be used.
    """

    def __init__(self, settings: EndpointSettings, credentials: Credentials) -> None:
        import httpx2  # half a second of import time, paid only where a service is configured

        self._httpx = httpx2
        self._settings = settings
        self._credentials = credentials
        self.shown_url = shown_address(settings.url)
        verify: ssl.SSLContext | bool = True
        if settings.ca_file is not None:
            try:
                verify = ssl.create_default_context(cafile=settings.ca_file)
            except (OSError, ssl.SSLError) as error:
                raise ConfigurationError(
                    f"{settings.what}: ca_file {settings.ca_file} cannot be used ({error}); name a PEM file"
                ) from None
        timeout = httpx2.Timeout(settings.read_s, connect=settings.connect_s, pool=None)
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=32, keepalive_expiry=_KEEPALIVE_S)
        self._client = httpx2.AsyncClient(verify=verify, timeout=timeout, limits=limits)

    async def post(
        self, body: Mapping[str, Any], total_s: float, *, patient: bool = False, private: Sequence[str] = ()
    ) -> Any:
        """What the service answers, parsed. Cancelling closes the connection at once.

        A refused credential is read again and tried once more; a `retry-after` that ends within the deadline is waited
        for. Nothing else is asked twice.

        Args:
            body: of the request.
            total_s: for everything, waiting included.
            patient: wait a second after a 429 that does not say how long.
            private: what of the body must not be in messages, should the service repeat it.

        Raises:
            VendorError: it did not answer, or not with JSON.
        """
        deadline_s = anyio.current_time() + total_s
        renewed = False
        while True:
            failed: _Failed | None = None
            try:
                with anyio.fail_after(deadline_s - anyio.current_time()):
                    return await self._posted(body)
            except TimeoutError:
                failed = _Failed("timeout", f"did not answer within {total_s:g} s")
            except _Failed as fault:
                failed = fault
            if failed.fault == "unauthorised" and not renewed and await self._renewed():
                renewed = True
                continue
            pause_s = failed.retry_after_s
            if pause_s is None and patient and failed.fault == "rate_limited":
                pause_s = _UNTOLD_PAUSE_S
            if pause_s is None or anyio.current_time() + pause_s >= deadline_s:
                break
            await anyio.sleep(pause_s)
        told = failed.told
        for text in filter(_is_telling, private):
            told = told.replace(text, "…")
        raise VendorError(
            f"{self._settings.what} at {self.shown_url} {told}; {_FIXES[failed.fault]}",
            failed.fault,
            retry_after_s=failed.retry_after_s,
        )

    def broken(self, why: str) -> VendorError:
        """The error for an answer that makes no sense."""
        return VendorError(
            f"{self._settings.what} at {self.shown_url} answered nonsense: {why}; {_FIXES['broken']}", "broken"
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _renewed(self) -> bool:
        try:
            return await anyio.to_thread.run_sync(self._credentials.refreshed)
        except ConfigurationError:
            return False

    async def _posted(self, body: Mapping[str, Any]) -> Any:
        content = json.dumps(body, ensure_ascii=False).encode("utf-8")
        headers = {"content-type": "application/json", "accept": "application/json", **self._credentials.headers()}
        failure: _Failed
        try:
            async with self._client.stream("POST", self._settings.url, content=content, headers=headers) as response:
                answer = await self._received(response)
                return self._read(response.status_code, response.headers, answer)
        except self._httpx.TimeoutException as error:
            failure = _Failed("timeout", f"is too slow ({type(error).__name__})")
        except (self._httpx.DecodingError, self._httpx.RemoteProtocolError) as error:
            failure = self._broke_off(error)
        except self._httpx.HTTPError as error:
            failure = _Failed("connection", f"cannot be reached or broke off ({self._shown(str(error))})")
        raise failure

    def _broke_off(self, error: Exception) -> _Failed:
        told = self._shown(str(error))
        if isinstance(error, self._httpx.DecodingError):
            return _Failed("broken", f"sent what cannot be unpacked ({told})")
        return _Failed("connection", f"broke off or speaks no HTTP ({told})")

    async def _received(self, response: Any) -> bytes:
        pieces = bytearray()
        async for piece in response.aiter_bytes():
            pieces += piece
            if len(pieces) > _LARGEST_ANSWER:
                raise _Failed("broken", f"sent more than {_LARGEST_ANSWER >> 20} MB")
        return bytes(pieces)

    def _read(self, status: int, headers: Mapping[str, str], answer: bytes) -> Any:
        if status == 200:
            try:
                return json.loads(answer)
            except (ValueError, RecursionError):
                raise _Failed("broken", f"answered what is no JSON{self._quoted(answer)}") from None
        fault = _FAULTS.get(status) or ("failed" if status >= 500 else "rejected")
        remark = self._quoted(answer)
        if fault == "rate_limited" and "insufficient_quota" in answer.decode("utf-8", "replace"):
            fault = "quota"
        pause_s = retry_after_s(headers) if status in (429, 503) and fault != "quota" else None
        raise _Failed(fault, f"refuses with status {status}{remark}", pause_s)

    def _quoted(self, answer: bytes) -> str:
        """What the service itself says is wrong."""
        text = answer[: 8 * LONGEST_REMARK].decode("utf-8", "replace")
        try:
            document = json.loads(answer)
        except (ValueError, RecursionError):
            document = None
        if isinstance(document, dict):
            error = document.get("error", document)
            text = str(error.get("message") or error) if isinstance(error, dict) else str(error)
        shown = self._shown(text)
        return f" («{shown}»)" if shown else ""

    def _shown(self, text: str) -> str:
        return shown_line(self._credentials.scrubbed(text), LONGEST_REMARK)


def _is_telling(text: str) -> bool:
    """Whether a text says anything; shorter ones would be found in every message."""
    return len(text.strip()) > 2


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """How long a service asks to be left alone, by its own clock; None when it does not say."""
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            asked_s = float(headers.get(name, "")) / scale
        except ValueError:
            continue
        return asked_s if 0 <= asked_s < float("inf") else None
    try:
        until = parsedate_to_datetime(headers.get("retry-after", ""))
        now = parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):
        return None
