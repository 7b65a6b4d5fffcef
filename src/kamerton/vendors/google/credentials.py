"""What lets a request in at Google Cloud: an access token, renewed in time and shared by all requests of an engine."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import anyio
import anyio.to_thread

from kamerton.domain.errors import ConfigurationError, VendorError
from kamerton.vendors.accounts.google import GoogleAccount
from kamerton.vendors.google.keys import Key, ServiceAccountKey, UserLogin, find_key
from kamerton.vendors.google.tokens import METADATA_HOST, Exchange, MetadataServer, SelfSigned, TokenSource

log = logging.getLogger(__name__)

_RENEW_AT: Final = 0.75
"""Share of a token's life after which it is renewed while it is still good."""
_LAST_S: Final = 30.0
"""A token that has less than this to live is not used any more."""
_AGAIN_AFTER_S: Final = 30.0
"""After a renewal that failed the old token is used so long before the next one is tried."""
_JUST_RENEWED_S: Final = 10.0
"""A token that is refused so soon after it came is not what is wrong."""

Metadata = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Held:
    """A token in use. Instants are of the loop's clock."""

    value: str = field(repr=False)
    since_s: float
    renew_s: float
    dies_s: float


class GoogleCredentials:
    """Makes requests' authorization. Belongs to one event loop; waiting is safe to cancel.

    Of requests that come together one fetches the token, the others wait for it; while the old token is good nobody
    waits longer than for the one renewal. Make it with `open_credentials`.

    Args:
        source: of tokens; closed with it.
        project: that was set; empty: the source's.
        charges: whether requests name the project that pays, as a person's login has to.
    """

    def __init__(self, source: TokenSource, project: str, *, charges: bool = False) -> None:
        self._source = source
        self._project = project
        self._charges = charges
        self._held: _Held | None = None
        self._lock = anyio.Lock()
        self._failure: VendorError | None = None

    def __repr__(self) -> str:
        return f"GoogleCredentials({type(self._source).__name__})"

    async def project(self) -> str:
        """Id of the project.

        Raises:
            ConfigurationError: neither the settings nor the credentials name one.
            VendorError: the metadata server did not tell.
        """
        project = self._project or await self._source.project()
        if not project:
            raise ConfigurationError("the credentials name no project; set KAMERTON_ACCOUNTS__GOOGLE__PROJECT")
        self._project = project
        return project

    async def metadata(self) -> Metadata:
        """Of a gRPC request, with keys in lower case.

        Raises:
            VendorError: no token could be got.
            ConfigurationError: the key cannot sign, or the project is not known.
        """
        held = await self._current()
        authorization = ("authorization", f"Bearer {held.value}")
        return (authorization, ("x-goog-user-project", await self.project())) if self._charges else (authorization,)

    async def refused(self, used: Metadata) -> bool:
        """The service did not accept these: whether it makes sense to ask for others and try once more.

        Raises:
            VendorError: there may be others, but they could not be got.
            ConfigurationError: as of `metadata`.
        """
        held = self._held
        if held is not None and secret_of(used) != held.value:
            return True
        if held is not None and anyio.current_time() < held.since_s + _JUST_RENEWED_S:
            return False
        return (await self._renewed(held)).value != secret_of(used)

    async def aclose(self) -> None:
        """Free the connection to where tokens come from."""
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
            log.warning("an access token could not be renewed; the old one is used", extra={"reason": str(error)})
            return held

    async def _renewed(self, old: _Held | None) -> _Held:
        """A newer token than this one; a failure is shared by all who waited for the same attempt."""
        known = self._failure
        async with self._lock:
            if self._held is not None and self._held is not old:
                return self._held
            if self._failure is not None and self._failure is not known:
                failure = self._failure
                raise VendorError(str(failure), failure.fault, retry_after_s=failure.retry_after_s)
            try:
                token = await self._source.token()
            except VendorError as error:
                self._failure = error
                raise
            now_s = anyio.current_time()
            dies_s = now_s + max(token.life_s - _LAST_S, token.life_s / 2)
            renew_s = math.inf if math.isinf(token.life_s) else now_s + token.life_s * _RENEW_AT
            self._held = _Held(token.value, now_s, min(renew_s, dies_s), dies_s)
            return self._held


async def open_credentials(
    account: GoogleAccount, service: str, *, environment: Mapping[str, str] | None = None
) -> GoogleCredentials:
    """The credentials of an account for one service. Sends nothing.

    Args:
        account: of the settings.
        service: the name of the service as a token is signed for it, whatever the endpoint: `speech.googleapis.com`.
        environment: variables, by default the process's.

    Raises:
        ConfigurationError: a file cannot be read or holds something else.
    """
    variables = os.environ if environment is None else environment
    key = await anyio.to_thread.run_sync(find_key, account, variables)
    project = account.project or variables.get("GOOGLE_CLOUD_PROJECT", "")
    if isinstance(key, ServiceAccountKey) and not account.project:
        project = key.project or project
    return GoogleCredentials(_source(key, account, service, variables), project, charges=isinstance(key, UserLogin))


def _source(key: Key | None, account: GoogleAccount, service: str, variables: Mapping[str, str]) -> TokenSource:
    if key is None:
        host = variables.get("GCE_METADATA_HOST") or METADATA_HOST
        return MetadataServer(host, timeout_s=account.token_timeout_s)
    if isinstance(key, ServiceAccountKey) and account.token == "self_signed":
        return SelfSigned(key, f"https://{service}/")
    return Exchange(key, account.token_url, timeout_s=account.token_timeout_s)


def secret_of(metadata: Sequence[tuple[str, str]]) -> str:
    """The token in a request's metadata, to keep it out of messages."""
    return dict(metadata).get("authorization", "").partition(" ")[2]
