"""What lets a request in at Yandex Cloud: an API key, or an IAM token that is renewed in time.

One object serves every request of an engine; each asks for `metadata()` (gRPC) or `headers()` (HTTP), and asks with
`refused()` whether to try again when the service did not accept them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from kamerton.domain.errors import ConfigurationError
from kamerton.vendors.accounts.yandex import YandexAccount
from kamerton.vendors.kept_token import AccessToken, KeptToken, Renewal, TokenSource
from kamerton.vendors.secrets import read_secret
from kamerton.vendors.yandex.iam import IamExchange, ServiceAccountKey

log = logging.getLogger(__name__)

IAM_TIMEOUT_S: Final = 5.0
"""Bound on an exchange of the key for a token."""
RENEW_AFTER_S: Final = 3600.0
"""A token is renewed when it is so old, as Yandex advises; it lives for twelve hours."""
_RENEWAL: Final = Renewal(after_s=lambda life_s: min(RENEW_AFTER_S, life_s / 2), last_s=60.0, again_s=60.0)

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _SecretFile:
    """A secret that something else may renew in its file."""

    file: Path
    what: str

    async def token(self) -> AccessToken:
        secret = await anyio.to_thread.run_sync(read_secret, None, self.file, self.what)
        return AccessToken(_sendable(secret or "", self.what), math.inf)

    async def aclose(self) -> None:
        """Nothing to free."""


class YandexCredentials:
    """Makes requests' authorization. Belongs to one event loop; waiting is safe to cancel.

    Make it with `open_credentials`.
    """

    def __init__(self, scheme: str, folder: str, secret: str | None, source: TokenSource | None) -> None:
        self._scheme = scheme
        self._folder = folder
        self._secret = KeptToken(source, _RENEWAL, secret)

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
        authorization = ("authorization", f"{self._scheme} {await self._secret.current()}")
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
        return await self._secret.another(dict(used).get("authorization", "").removeprefix(f"{self._scheme} "))

    async def aclose(self) -> None:
        """Free the connection to IAM."""
        await self._secret.aclose()


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


def secrets_of(metadata: Sequence[tuple[str, str]]) -> str:
    """The secret in a request's metadata, to keep it out of messages."""
    return dict(metadata).get("authorization", "").partition(" ")[2]
