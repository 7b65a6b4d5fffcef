"""Reading files from the Hugging Face hub, or a mirror of it: what a file is, and its bytes from any place on.

What is relied on (the hub's own client does the same): `HEAD /REPOSITORY/resolve/REVISION/FILE` answers with
`X-Repo-Commit`; with `X-Linked-ETag` (sha256) and `X-Linked-Size` and a redirect to a content host where the file is
large; with `ETag` (SHA-1 of the Git blob) and its length where it is small, after a redirect within the hub. The
content host has tags of its own.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

import anyio

from kamerton.domain.errors import ModelError
from kamerton.models.digests import digest_of_etag
from kamerton.models.settings import ModelsSettings

MOST_REDIRECTS: Final = 5
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_NO_HEAD: Final = frozenset({405, 501})


class TransferBroken(Exception):
    """A request failed in a way that may go away by itself.

    Args:
        reason: what happened.
        retry_after_s: how long the server asks to be left alone.
    """

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """What a host tells of a file."""

    url: str
    size: int | None
    digest: str
    """`sha256:…` or `git:…`; empty when its tag is no hash."""
    etag: str
    commit: str
    """The commit that the revision is; empty when it does not tell."""


@dataclass(frozen=True, slots=True)
class Body:
    """The answer to a request for a file's bytes."""

    offset: int
    """Where its first byte belongs: what was asked for, or 0 when the host sends the whole file."""
    total: int | None
    """Size of the whole file."""
    etag: str
    """Of the host that sends it."""
    pieces: AsyncGenerator[bytes]


class Hub:
    """A host of models. Make it with `open_hub`. Every wait on the network has a deadline of the settings."""

    def __init__(self, client: Any, settings: ModelsSettings) -> None:
        self._client = client
        self._settings = settings

    async def look_up(self, repository: str, revision: str, path: str) -> RemoteFile:
        """What the host tells of a file.

        Raises:
            ModelError: it has no such file, or wants to know who asks.
            TransferBroken: it could not be asked; may be tried again.
        """
        url = f"{self._settings.base_url}/{repository}/resolve/{quote(revision, safe='')}/{quote(path)}"
        response = await self._head(url)
        linked = response.headers.get("x-linked-etag") or response.headers.get("etag", "")
        size = response.headers.get("x-linked-size")
        if size is None and response.status_code == 200:
            size = response.headers.get("content-length")
        return RemoteFile(
            url=url,
            size=int(size) if size is not None and size.isdecimal() else None,
            digest=digest_of_etag(linked),
            etag=linked,
            commit=response.headers.get("x-repo-commit", ""),
        )

    async def _head(self, url: str) -> Any:
        """The answer that tells of the file itself: redirects within the host are followed, others are not."""
        for _ in range(MOST_REDIRECTS):
            async with self._request("HEAD", url, {}) as response:
                target = _target(url, response)
                if target is None or urlsplit(target).netloc != urlsplit(url).netloc:
                    if target is None and response.status_code not in _NO_HEAD:
                        _judge(response.status_code, url, response.headers)
                    return response
                url = target
        raise ModelError(f"{url}: redirected more than {MOST_REDIRECTS} times; check models.mirror")

    @asynccontextmanager
    async def read(self, url: str, offset: int, etag: str) -> AsyncIterator[Body]:
        """A file's bytes from `offset` on, if it still has this tag; else all of it.

        Args:
            url: as `look_up` gave it.
            offset: bytes that are there already.
            etag: of the host that sent them (`Body.etag`): the rest comes only while it has that tag. Without one it
                comes in any case, and the whole file's hash has to show whether it fits.

        Raises:
            ModelError: the host has no such file, or wants to know who asks.
            TransferBroken: it could not be asked, or does not send what was asked for.
        """
        headers = {"range": f"bytes={offset}-"} if offset else {}
        if offset and etag:
            headers["if-range"] = etag
        for _ in range(MOST_REDIRECTS):
            async with self._request("GET", url, headers) as response:
                target = _target(url, response)
                if target is not None:
                    url = target
                    continue
                # 416: what is there is no part of the file any more.
                if headers and response.status_code == 416:
                    headers = {}
                    continue
                _judge(response.status_code, url, response.headers)
                async with aclosing(self._pieces(url, response)) as pieces:
                    yield _body(url, response, int(headers["range"][6:-1]) if headers else 0, pieces)
                return
        raise ModelError(f"{url}: redirected more than {MOST_REDIRECTS} times; check models.mirror")

    @asynccontextmanager
    async def _request(self, method: str, url: str, headers: Mapping[str, str]) -> AsyncIterator[Any]:
        """One request up to its answer's head; what goes wrong in between is `TransferBroken`."""
        import httpx2

        request = self._client.build_request(method, url, headers={"accept-encoding": "identity", **headers})
        try:
            with anyio.fail_after(self._settings.connect_s + self._settings.stall_s):
                response = await self._client.send(request, stream=True)
        except (TimeoutError, httpx2.TimeoutException):
            raise TransferBroken(f"{_host(url)} did not answer in time") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, OSError) as fault:
            if "CERTIFICATE_VERIFY_FAILED" in str(fault):
                raise ModelError(
                    f"the certificate of {_host(url)} is not trusted ({fault}): if that host is yours, or a proxy "
                    "opens TLS here, give its root certificate as SSL_CERT_FILE"
                ) from fault
            raise TransferBroken(f"{_host(url)} cannot be reached: {_told(fault)}") from fault
        try:
            yield response
        finally:
            with anyio.CancelScope(shield=True):
                await response.aclose()

    async def _pieces(self, url: str, response: Any) -> AsyncGenerator[bytes]:
        """The body as it comes; a host that stalls or trickles is given up."""
        import httpx2

        settings = self._settings
        pieces = response.aiter_raw()
        since_s, fresh = anyio.current_time(), 0
        while True:
            try:
                with anyio.fail_after(settings.stall_s):
                    piece: bytes | None = await anext(pieces, None)
            except (TimeoutError, httpx2.TimeoutException):
                raise TransferBroken(f"{_host(url)} sent nothing for {settings.stall_s:g} s") from None
            except (httpx2.HTTPError, ssl.SSLError, OSError) as fault:
                raise TransferBroken(f"the connection to {_host(url)} broke: {_told(fault)}") from fault
            if piece is None:
                return
            fresh += len(piece)
            passed_s = anyio.current_time() - since_s
            if passed_s >= settings.stall_s:
                if fresh < settings.least_bytes_per_s * passed_s:
                    raise TransferBroken(f"{_host(url)} sends only {fresh / passed_s:.0f} bytes a second")
                since_s, fresh = anyio.current_time(), 0
            yield piece


@asynccontextmanager
async def open_hub(settings: ModelsSettings) -> AsyncIterator[Hub]:
    """Connections to the host of models while the context is open. Proxies and certificates as the environment says."""
    import httpx2

    timeout = httpx2.Timeout(settings.stall_s, connect=settings.connect_s)
    headers = {"user-agent": "kamerton"}
    async with httpx2.AsyncClient(timeout=timeout, headers=headers, follow_redirects=False) as client:
        yield Hub(client, settings)


def _target(url: str, response: Any) -> str | None:
    """Where a redirect leads; never from TLS to plain HTTP."""
    location = response.headers.get("location", "")
    if response.status_code not in _MOVED or not location:
        return None
    target: str = urljoin(url, location)
    if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
        raise ModelError(f"{_host(url)} redirects to an address without TLS ({_host(target)}): nothing is fetched")
    return target


def _judge(status: int, url: str, headers: Mapping[str, str]) -> None:
    """Let a good answer through."""
    if status in (200, 206):
        return
    if status in (404, 410):
        raise ModelError(
            f"{_host(url)} has no {urlsplit(url).path}: the catalogue of this version may be out of date; update "
            "Kamerton, or give another host with --base-url"
        )
    if status in (401, 403):
        raise ModelError(
            f"{_host(url)} refuses {urlsplit(url).path} (HTTP {status}): give another host with --base-url, "
            "or copy the files by hand (docs/models.md)"
        )
    if status == 429 or status >= 500:
        what = "asks for patience" if status == 429 else "has a fault"
        raise TransferBroken(f"{_host(url)} {what} (HTTP {status})", _seconds(headers.get("retry-after", "")))
    raise ModelError(f"{_host(url)} answers {urlsplit(url).path} with HTTP {status}: check models.mirror or --base-url")


def _body(url: str, response: Any, asked: int, pieces: AsyncGenerator[bytes]) -> Body:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise TransferBroken(f"{_host(url)} sends compressed what must come as it is; a proxy may be in the way")
    etag = response.headers.get("etag", "")
    strong = "" if etag.startswith("W/") else etag
    if response.status_code == 200:
        length = response.headers.get("content-length", "")
        return Body(0, int(length) if length.isdecimal() else None, strong, pieces)
    unit, _, span = response.headers.get("content-range", "").partition(" ")
    bounds, _, total = span.partition("/")
    first = bounds.partition("-")[0]
    if unit != "bytes" or not first.isdecimal() or int(first) != asked:
        raise TransferBroken(f"{_host(url)} was asked for bytes from {asked} on and sends '{unit} {span}'")
    return Body(asked, int(total) if total.isdecimal() else None, strong, pieces)


def _seconds(retry_after: str) -> float | None:
    """A wait in seconds; the date form is not worth a clock."""
    return float(retry_after) if retry_after.isdecimal() else None


def _host(url: str) -> str:
    """Scheme and host: the addresses of content hosts carry signatures, which belong in no message."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _told(fault: BaseException) -> str:
    return str(fault) or type(fault).__name__
