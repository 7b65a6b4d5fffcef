"""What lets a request in at Yandex Cloud: an API key, or an IAM token that is renewed in time.

One object serves every request of an engine; each asks for `metadata()` (gRPC) or `headers()` (HTTP), and asks with
`refused()` whether to try again when the service did not accept them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import anyio
import anyio.to_thread

from kamerton.domain.errors import ConfigurationError, VendorError
from kamerton.vendors.accounts.yandex import YandexAccount
from kamerton.vendors.secrets import read_secret
from kamerton.vendors.yandex.iam import IamExchange, IamToken, ServiceAccountKey

log = logging.getLogger(__name__)

IAM_TIMEOUT_S: Final = 5.0
"""Bound on an exchange of the key for a token."""
RENEW_AFTER_S: Final = 3600.0
"""A token is renewed when it is so old, as Yandex advises; it lives for twelve hours."""
_LAST_S: Final = 60.0
"""A token that has less than this to live is not used any more."""
_AGAIN_AFTER_S: Final = 60.0
"""After a renewal that failed the old token is used so long before the next one is tried."""
_JUST_RENEWED_S: Final = 10.0
"""A token that is refused so soon after it came is not what is wrong."""

Metadata = tuple[tuple[str, str], ...]


class _Source(Protocol):
    """Where the secret comes from."""

    async def token(self) -> IamToken:
        """The secret as it is now."""
        ...

    async def aclose(self) -> None:
        """Free what it holds."""
        ...


@dataclass(frozen=True, slots=True)
class _SecretFile:
    """A secret that something else may renew in its file."""

    file: Path
    what: str

    async def token(self) -> IamToken:
        secret = await anyio.to_thread.run_sync(read_secret, None, self.file, self.what)
        return IamToken(_sendable(secret or "", self.what), math.inf)

    async def aclose(self) -> None:
        """Nothing to free."""


@dataclass(slots=True)
class _Held:
    """A secret in use. Instants are of the loop's clock."""

    value: str = field(repr=False)
    since_s: float
    renew_s: float
    dies_s: float


class YandexCredentials:
    """Makes requests' authorization. Belongs to one event loop; waiting is safe to cancel.

    Of requests that come together one fetches the token, the others wait for it; while the old token is good they do
    not even wait. Make it with `open_credentials`.
    """

    def __init__(self, scheme: str, folder: str, secret: str | None, source: _Source | None) -> None:
        self._scheme = scheme
        self._folder = folder
        self._source = source
        self._held = None if secret is None else _Held(secret, -math.inf, math.inf, math.inf)
        self._lock = anyio.Lock()
        self._failure: VendorError | None = None

    def __repr__(self) -> str:
        return f"YandexCredentials({self._scheme})"

    @property
    def folder(self) -> str:
        """Folder id; empty when the service is to take the service account's."""
        return self._folder

    async def metadata(self) -> Metadata:
        """Of a gRPC request, with keys in lower case.

        Raises:
            VendorError: no token could be got.
            ConfigurationError: the file of the secret cannot be read.
        """
        held = await self._current()
        authorization = ("authorization", f"{self._scheme} {held.value}")
        return (authorization, ("x-folder-id", self._folder)) if self._folder else (authorization,)

    async def headers(self) -> dict[str, str]:
        """Of an HTTP request; otherwise as `metadata`."""
        return dict(await self.metadata())

    async def refused(self, used: Metadata | dict[str, str]) -> bool:
        """The service did not accept these: whether it makes sense to ask for others and try once more.

        Raises:
            VendorError: there may be others, but they could not be got.
            ConfigurationError: as of `metadata`.
        """
        sent = dict(used).get("authorization", "")
        held = self._held
        if held is not None and sent != f"{self._scheme} {held.value}":
            return True
        if self._source is None or (held is not None and anyio.current_time() < held.since_s + _JUST_RENEWED_S):
            return False
        return sent != f"{self._scheme} {(await self._renewed(held)).value}"

    async def aclose(self) -> None:
        """Free the connection to IAM."""
        if self._source is not None:
            await self._source.aclose()

    async def _current(self) -> _Held:
        held, now_s = self._held, anyio.current_time()
        if held is None or now_s >= held.dies_s:
            return await self._renewed(held)
        if now_s < held.renew_s or self._lock.statistics().locked:
            return held
        try:
            return await self._renewed(held)
        except VendorError as error:
            held.renew_s = now_s + _AGAIN_AFTER_S
            log.warning("an IAM token could not be renewed; the old one is used", extra={"reason": str(error)})
            return held

    async def _renewed(self, old: _Held | None) -> _Held:
        """A newer secret than this one; a failure is shared by all who waited for the same attempt."""
        known = self._failure
        async with self._lock:
            if self._held is not None and self._held is not old:
                return self._held
            if self._failure is not None and self._failure is not known:
                failure = self._failure
                raise VendorError(str(failure), failure.fault, retry_after_s=failure.retry_after_s)
            assert self._source is not None, "a fixed secret never dies"
            try:
                token = await self._source.token()
            except VendorError as error:
                self._failure = error
                raise
            held = _held(token, anyio.current_time())
            if old is not None and old.value == held.value:
                held.since_s = old.since_s
            self._held = held
            return held


async def open_credentials(account: YandexAccount, *, iam_timeout_s: float = IAM_TIMEOUT_S) -> YandexCredentials:
    """The credentials of an account: what of it is set first, in the order of its fields. Sends nothing.

    Raises:
        ConfigurationError: none is set, or a file cannot be read or holds something else.
    """
    return await anyio.to_thread.run_sync(_opened, account, iam_timeout_s)


def _opened(account: YandexAccount, iam_timeout_s: float) -> YandexCredentials:
    what = "accounts.yandex.api_key"
    if api_key := read_secret(account.api_key, account.api_key_file, what):
        return YandexCredentials("Api-Key", account.folder, _sendable(api_key, what), None)
    if account.service_account_key_file is not None:
        key = ServiceAccountKey.read(account.service_account_key_file)
        exchange = IamExchange(key, account.iam_url, timeout_s=iam_timeout_s)
        return YandexCredentials("Bearer", account.folder, None, exchange)
    what = "accounts.yandex.iam_token"
    if token := read_secret(account.iam_token, account.iam_token_file, what):
        source = None if account.iam_token_file is None else _SecretFile(account.iam_token_file, what)
        return YandexCredentials("Bearer", account.folder, _sendable(token, what), source)
    raise ConfigurationError(
        "no credentials for Yandex Cloud; set KAMERTON_ACCOUNTS__YANDEX__API_KEY (or its _FILE), or "
        "KAMERTON_ACCOUNTS__YANDEX__SERVICE_ACCOUNT_KEY_FILE, or KAMERTON_ACCOUNTS__YANDEX__IAM_TOKEN"
    )


def _sendable(secret: str, what: str) -> str:
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        raise ConfigurationError(f"{what} has characters that no key has; copy it anew, without line breaks")
    return secret


def _held(token: IamToken, now_s: float) -> _Held:
    if token.life_s == math.inf:
        return _Held(token.value, now_s, math.inf, math.inf)
    renew_s = now_s + min(RENEW_AFTER_S, token.life_s / 2)
    return _Held(token.value, now_s, renew_s, now_s + max(token.life_s - _LAST_S, token.life_s / 2))


def secrets_of(metadata: Sequence[tuple[str, str]]) -> str:
    """The secret in a request's metadata, to keep it out of messages."""
    return dict(metadata).get("authorization", "").partition(" ")[2]
