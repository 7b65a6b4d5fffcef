"""A service account's key, and the IAM tokens that are given for it.

A request to be let in is a JWT signed with the key (PS256, an hour at most), which IAM exchanges for a token of twelve
hours (Yandex Cloud's documentation on IAM tokens for service accounts).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from kamerton.domain.errors import ConfigurationError, Fault, VendorError
from kamerton.domain.foreign_text import LONGEST_REMARK, shown_line
from kamerton.vendors.kept_token import AccessToken

if TYPE_CHECKING:
    import httpx2

AUDIENCE: Final = "https://iam.api.cloud.yandex.net/iam/v1/tokens"
"""Whom a JWT must be meant for, wherever the exchange is reached."""
LONGEST_TOKEN_S: Final = 12 * 3600.0
"""IAM tokens live so long at most."""
_SHORTEST_TOKEN_S: Final = 120.0
"""A token whose stated end is nearer than this, or past, is still used so long: the clock here may be wrong."""
_JWT_LIFE: Final = timedelta(minutes=50)
"""The exchange allows an hour; the rest is for clocks that differ."""
_JWT_BACKDATED: Final = timedelta(seconds=30)
_LONGEST_ANSWER: Final = 65_536
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_FAULTS: Final[Mapping[int, Fault]] = {400: "unauthorised", 401: "unauthorised", 403: "unauthorised"}


@dataclass(frozen=True, slots=True)
class ServiceAccountKey:
    """What `yc iam key create` writes, as far as it is used."""

    key_id: str
    account_id: str
    private_key: str = field(repr=False)

    @classmethod
    def read(cls, file: Path) -> ServiceAccountKey:
        """Read it. Blocking.

        Raises:
            ConfigurationError: the file cannot be read, or is none of that kind.
        """
        setting = "accounts.yandex.service_account_key_file"
        try:
            fields: Any = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            kind = error.strerror if isinstance(error, OSError) else "it is no JSON"
            raise ConfigurationError(f"{setting} {file} cannot be read ({kind}); check the path and rights") from None
        named = ("id", "service_account_id", "private_key")
        if not isinstance(fields, dict) or not all(isinstance(fields.get(name), str) for name in named):
            raise ConfigurationError(
                f"{setting} {file} lacks one of {', '.join(named)}; make it with: "
                "yc iam key create --service-account-name NAME --output FILE"
            )
        return cls(fields["id"], fields["service_account_id"], fields["private_key"])

    def signed_request(self, now: datetime) -> str:
        """The JWT that asks for a token. A millisecond or two of CPU, more the first time.

        Raises:
            ConfigurationError: the private key is no key.
        """
        import jwt

        issued = now - _JWT_BACKDATED
        claims = {"iss": self.account_id, "aud": AUDIENCE, "iat": issued, "exp": issued + _JWT_LIFE}
        # The vendor's file opens with a line of warning above the PEM.
        pem = self.private_key[max(0, self.private_key.find("-----BEGIN")) :]
        try:
            return str(jwt.encode(claims, pem, algorithm="PS256", headers={"kid": self.key_id}))
        except (ValueError, TypeError, jwt.PyJWTError):
            raise ConfigurationError(
                "the private_key of accounts.yandex.service_account_key_file is no RSA key; make the file anew"
            ) from None


class IamExchange:
    """Gets tokens for a service account. Belongs to one event loop; waiting is safe to cancel.

    Args:
        key: of the service account.
        url: of the exchange.
        timeout_s: bound on one exchange, connecting included.
    """

    def __init__(self, key: ServiceAccountKey, url: str, *, timeout_s: float) -> None:
        address = urlsplit(url)
        if address.scheme != "https" and address.hostname not in _LOOPBACK:
            raise ConfigurationError(f"accounts.yandex.iam_url {url} is not encrypted; use https")
        self._key = key
        self._url = url
        self._timeout_s = timeout_s
        self._client: httpx2.AsyncClient | None = None

    async def token(self) -> AccessToken:
        """A new token.

        Raises:
            VendorError: it was not given.
            ConfigurationError: the key cannot sign.
        """
        import httpx2

        # Signing and certificates take milliseconds of CPU; both happen once an hour.
        signed = await anyio.to_thread.run_sync(self._key.signed_request, datetime.now(UTC))
        if self._client is None:
            self._client = await anyio.to_thread.run_sync(lambda: httpx2.AsyncClient(timeout=self._timeout_s))
        try:
            with anyio.fail_after(self._timeout_s):
                async with self._client.stream("POST", self._url, json={"jwt": signed}) as response:
                    body = await _body(response)
        except (TimeoutError, httpx2.TimeoutException):
            raise self._failed(f"did not answer within {self._timeout_s:g} s; check the network", "timeout") from None
        except (httpx2.HTTPError, ValueError) as error:
            raise self._failed(
                f"cannot be reached ({shown_line(str(error) or type(error).__name__, LONGEST_REMARK)}); "
                "check the network and the certificates",
                "connection",
            ) from None
        if response.status_code != 200:
            raise self._refused(response.status_code, response.headers, body.replace(signed, "…"))
        return self._read(body)

    async def aclose(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _read(self, body: str) -> AccessToken:
        try:
            fields = json.loads(body)
            value, expires = fields["iamToken"], fields.get("expiresAt")
            if not isinstance(value, str) or not value or not value.isascii():
                raise ValueError
            return AccessToken(value, _life_s(expires))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise self._failed("answered with something that is no token; try again later", "broken") from None

    def _refused(self, status: int, headers: Mapping[str, str], body: str) -> VendorError:
        said = shown_line(body, LONGEST_REMARK)
        if status == 429:
            wait = headers.get("retry-after", "")
            retry_after_s = float(wait) if wait.isdecimal() else None
            return self._failed(f"is asked too often ({said})", "rate_limited", retry_after_s)
        fault = _FAULTS.get(status) or ("failed" if status >= 500 else "rejected")
        if fault == "unauthorised":
            return self._failed(
                f"refused the key of service account {self._key.account_id} with status {status} ({said}); check "
                "accounts.yandex.service_account_key_file, that the key was not deleted, and this machine's clock",
                fault,
            )
        return self._failed(f"answered with status {status} ({said}); try again later", fault)

    def _failed(self, what: str, fault: Fault, retry_after_s: float | None = None) -> VendorError:
        where = urlsplit(self._url).netloc
        return VendorError(f"Yandex IAM at {where} {what}", fault, retry_after_s=retry_after_s)


async def _body(response: httpx2.Response) -> str:
    """The answer's text, of bounded size."""
    parts, size = [], 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > _LONGEST_ANSWER:
            raise ValueError("the answer does not end")
        parts.append(part)
    return b"".join(parts).decode("utf-8", "replace")


def _life_s(expires: object) -> float:
    """How long a token lives; by the vendor's promise when its stated end makes no sense."""
    try:
        # Nine digits of a second are more than Python reads.
        left = datetime.fromisoformat(str(expires)[:19]).replace(tzinfo=UTC) - datetime.now(UTC)
    except ValueError:
        return LONGEST_TOKEN_S
    return min(max(left.total_seconds(), _SHORTEST_TOKEN_S), LONGEST_TOKEN_S)
