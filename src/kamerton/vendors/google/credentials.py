"""What lets a request in at Google Cloud: an access token, renewed in time and shared by all requests of an engine."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Final

import anyio
import anyio.to_thread

from kamerton.domain.errors import ConfigurationError
from kamerton.vendors.accounts.google import GoogleAccount
from kamerton.vendors.google.keys import Key, ServiceAccountKey, UserLogin, find_key
from kamerton.vendors.google.tokens import METADATA_HOST, Exchange, GoogleTokenSource, MetadataServer, SelfSigned
from kamerton.vendors.kept_token import KeptToken, Renewal

log = logging.getLogger(__name__)

_RENEWAL: Final = Renewal(after_s=lambda life_s: 0.75 * life_s, last_s=30.0, again_s=30.0)

Metadata = tuple[tuple[str, str], ...]


class GoogleCredentials:
    """Makes requests' authorization. Belongs to one event loop; waiting is safe to cancel.

    Make it with `open_credentials`.

    Args:
        source: of tokens; closed with it.
        project: that was set; empty: the source's.
        charges: whether requests name the project that pays, as a person's login has to.
    """

    def __init__(self, source: GoogleTokenSource, project: str, *, charges: bool = False) -> None:
        self._source = source
        self._project = project
        self._charges = charges
        self._token = KeptToken(source, _RENEWAL)

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
        authorization = ("authorization", f"Bearer {await self._token.current()}")
        return (authorization, ("x-goog-user-project", await self.project())) if self._charges else (authorization,)

    async def refused(self, used: Metadata) -> bool:
        """The service did not accept these: whether it makes sense to ask for others and try once more.

        Raises:
            VendorError: there may be others, but they could not be got.
            ConfigurationError: as of `metadata`.
        """
        return await self._token.another(secret_of(used))

    async def aclose(self) -> None:
        """Free the connection to where tokens come from."""
        await self._token.aclose()


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


def _source(key: Key | None, account: GoogleAccount, service: str, variables: Mapping[str, str]) -> GoogleTokenSource:
    if key is None:
        host = variables.get("GCE_METADATA_HOST") or METADATA_HOST
        return MetadataServer(host, timeout_s=account.token_timeout_s)
    if isinstance(key, ServiceAccountKey) and account.token == "self_signed":
        return SelfSigned(key, f"https://{service}/")
    return Exchange(key, account.token_url, timeout_s=account.token_timeout_s)


def secret_of(metadata: Sequence[tuple[str, str]]) -> str:
    """The token in a request's metadata, to keep it out of messages."""
    return dict(metadata).get("authorization", "").partition(" ")[2]
