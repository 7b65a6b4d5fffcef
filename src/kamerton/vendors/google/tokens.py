"""Where access tokens come from: signed here, given for a key or a login, or by the machine's metadata server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from kamerton.domain.errors import ConfigurationError, Fault, VendorError
from kamerton.domain.foreign_text import LONGEST_REMARK, shown_line
from kamerton.vendors.google.keys import TOKEN_URL, ServiceAccountKey, UserLogin
from kamerton.vendors.kept_token import AccessToken, TokenSource

if TYPE_CHECKING:
    import httpx2

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
METADATA_HOST: Final = "metadata.google.internal"
_JWT_LIFE_S: Final = 3000
"""Google allows an hour; the rest is for clocks that differ."""
_JWT_BACKDATED_S: Final = 30
_LONGEST_LIFE_S: Final = 3600.0
_SHORTEST_LIFE_S: Final = 60.0
_LONGEST_ANSWER: Final = 65_536
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_FAULTS: Final[Mapping[int, Fault]] = {400: "unauthorised", 401: "unauthorised", 403: "unauthorised"}


class GoogleTokenSource(TokenSource, Protocol):
    """Gives tokens, and knows whose they are. Belongs to one event loop; waiting is safe to cancel."""

    async def project(self) -> str:
        """The project that the credentials belong to; empty when they name none."""
        ...


class SelfSigned:
    """Tokens that a service account's key signs by itself for one service (AIP-4111): no request at all.

    Args:
        key: of the service account.
        audience: of the service: `https://speech.googleapis.com/`.
    """

    def __init__(self, key: ServiceAccountKey, audience: str) -> None:
        self._key = key
        self._audience = audience

    async def token(self) -> AccessToken:
        """Sign one, in a thread."""
        claims = {"sub": self._key.email, "aud": self._audience}
        return AccessToken(await anyio.to_thread.run_sync(_signed, self._key, claims), _JWT_LIFE_S - _JWT_BACKDATED_S)

    async def project(self) -> str:
        """As the key says."""
        return self._key.project

    async def aclose(self) -> None:
        """Nothing to free."""


class Exchange:
    """Tokens that Google gives for a service account's key or a person's login.

    Args:
        key: what they are given for.
        url: of the exchange; by default the key's, else Google's.
        timeout_s: bound on one exchange, connecting included.
    """

    def __init__(self, key: ServiceAccountKey | UserLogin, url: str, *, timeout_s: float) -> None:
        own = key.token_url if isinstance(key, ServiceAccountKey) else ""
        self._url = url or own or TOKEN_URL
        address = urlsplit(self._url)
        if address.scheme != "https" and address.hostname not in _LOOPBACK:
            raise ConfigurationError(f"the token url {self._url} is not encrypted; use https")
        self._key = key
        self._http = _Requests(f"Google's tokens at {address.netloc}", timeout_s)

    async def token(self) -> AccessToken:
        """Ask for one."""
        key = self._key
        if isinstance(key, UserLogin):
            form = {"client_id": key.client_id, "client_secret": key.client_secret}
            form |= {"grant_type": "refresh_token", "refresh_token": key.refresh_token}
            secrets: tuple[str, ...] = (key.client_secret, key.refresh_token)
            who = "the login of gcloud; log in anew"
        else:
            claims = {"aud": self._url, "scope": SCOPE}
            signed = await anyio.to_thread.run_sync(_signed, key, claims)
            form = {"grant_type": _GRANT, "assertion": signed}
            secrets = (signed,)
            who = f"the key of {key.email}; check that it was not deleted, and this machine's clock"
        return self._http.token(await self._http.asked("POST", self._url, form=form, secrets=secrets, who=who))

    async def project(self) -> str:
        """As the key or login says."""
        return self._key.project

    async def aclose(self) -> None:
        """Close the connection."""
        await self._http.aclose()


class MetadataServer:
    """Tokens of the service account that a machine on Google Cloud runs as.

    Args:
        host: of the server, `GCE_METADATA_HOST` or Google's name for it.
        timeout_s: bound on one request.
    """

    def __init__(self, host: str, *, timeout_s: float) -> None:
        self._url = f"http://{host}/computeMetadata/v1"
        self._http = _Requests(
            f"the metadata server at {host}",
            timeout_s,
            "set accounts.google.credentials_file, unless this machine is one of Google Cloud's",
        )
        self._project = ""

    async def token(self) -> AccessToken:
        """Ask for one."""
        url = f"{self._url}/instance/service-accounts/default/token"
        return self._http.token(await self._http.asked("GET", url, who="this machine; give it a service account"))

    async def project(self) -> str:
        """The machine's."""
        if not self._project:
            answer = await self._http.asked("GET", f"{self._url}/project/project-id", who="this machine")
            self._project = shown_line(answer, 64)
        return self._project

    async def aclose(self) -> None:
        """Close the connection."""
        await self._http.aclose()


def _signed(key: ServiceAccountKey, claims: Mapping[str, str]) -> str:
    """A JWT of this key; a millisecond or two of CPU, more the first time."""
    from google.auth import crypt, jwt

    signer_type: Any = crypt.RSASigner
    encode: Any = jwt.encode
    issued = int(datetime.now(UTC).timestamp()) - _JWT_BACKDATED_S
    payload = {**claims, "iss": key.email, "iat": issued, "exp": issued + _JWT_LIFE_S}
    try:
        signer = signer_type.from_string(key.private_key, key.key_id or None)
        return bytes(encode(signer, payload)).decode("ascii")
    except (ValueError, TypeError):
        pass
    raise ConfigurationError(
        f"the private_key of {key.email} is no RSA key; download the service account's JSON key anew"
    )


class _Requests:
    """HTTP requests with a deadline, their failures in words."""

    def __init__(self, where: str, timeout_s: float, otherwise: str = "check the network and the certificates") -> None:
        self._where = where
        self._timeout_s = timeout_s
        self._otherwise = otherwise
        self._client: httpx2.AsyncClient | None = None

    async def asked(
        self, method: str, url: str, *, who: str, form: Mapping[str, str] | None = None, secrets: tuple[str, ...] = ()
    ) -> str:
        """The body of a good answer. `who` is refused when credentials are; `secrets` are not repeated."""
        import httpx2

        if self._client is None:
            timeout_s, through_proxy = self._timeout_s, url.startswith("https:")
            self._client = await anyio.to_thread.run_sync(
                lambda: httpx2.AsyncClient(timeout=timeout_s, trust_env=through_proxy)
            )
        headers = {"Metadata-Flavor": "Google"} if form is None else {}
        failure: VendorError | None = None
        try:
            with anyio.fail_after(self._timeout_s):
                async with self._client.stream(method, url, data=form, headers=headers) as response:
                    body = await _body(response)
        except (TimeoutError, httpx2.TimeoutException):
            failure = self._failed(f"did not answer within {self._timeout_s:g} s; {self._otherwise}", "timeout")
        except (httpx2.HTTPError, ValueError) as error:
            why = shown_line(str(error) or type(error).__name__, LONGEST_REMARK)
            failure = self._failed(f"cannot be reached ({why}); {self._otherwise}", "connection")
        if failure is not None:
            # Not from within, for the library's error would stay with it: it holds the request and its secrets.
            raise failure
        if response.status_code != 200:
            for secret in secrets:
                body = body.replace(secret, "…")
            raise self._refused(response.status_code, response.headers, shown_line(body, LONGEST_REMARK), who)
        return body

    def token(self, body: str) -> AccessToken:
        """The token in an answer."""
        token = _token_in(body)
        if token is None:
            raise self._failed("answered with something that is no token; try again later", "broken")
        return token

    async def aclose(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _refused(self, status: int, headers: Mapping[str, str], said: str, who: str) -> VendorError:
        if status == 429:
            wait = headers.get("retry-after", "")
            return self._failed(
                f"is asked too often ({said}); try again later",
                "rate_limited",
                float(wait) if wait.isdecimal() else None,
            )
        fault = _FAULTS.get(status) or ("failed" if status >= 500 else "rejected")
        if fault == "unauthorised" or status == 404:
            return self._failed(f"refused {who} (status {status}: {said})", "unauthorised")
        return self._failed(f"answered with status {status} ({said}); try again later", fault)

    def _failed(self, what: str, fault: Fault, retry_after_s: float | None = None) -> VendorError:
        return VendorError(f"{self._where} {what}", fault, retry_after_s=retry_after_s)


def _token_in(body: str) -> AccessToken | None:
    try:
        fields: Any = json.loads(body)
        value, life_s = fields["access_token"], float(fields.get("expires_in") or _LONGEST_LIFE_S)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
        return None
    return AccessToken(value, min(max(life_s, _SHORTEST_LIFE_S), _LONGEST_LIFE_S))


async def _body(response: httpx2.Response) -> str:
    """The answer's text, of bounded size."""
    parts, size = [], 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > _LONGEST_ANSWER:
            raise ValueError("the answer does not end")
        parts.append(part)
    return b"".join(parts).decode("utf-8", "replace")
