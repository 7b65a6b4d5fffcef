"""An access token that many requests share: fetched once for all who wait, renewed in time, exchanged when refused."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import anyio

from kamerton.domain.errors import VendorError

log = logging.getLogger(__name__)

_JUST_RENEWED_S: Final = 10.0
"""A token that is refused so soon after it came is not what is wrong."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token as it comes."""

    value: str = field(repr=False)
    life_s: float
    """From now on; infinite for one that does not die by itself."""


class TokenSource(Protocol):
    """Where tokens come from."""

    async def token(self) -> AccessToken:
        """The token as it is now; bounds its own time.

        Raises:
            VendorError: none could be got.
            ConfigurationError: a key or a file cannot be used.
        """
        ...

    async def aclose(self) -> None:
        """Free what it holds."""
        ...


@dataclass(frozen=True, slots=True)
class Renewal:
    """When another token is fetched."""

    after_s: Callable[[float], float]
    """Age at which a token is renewed while it is still good, from its life."""
    last_s: float
    """A token that has less than this to live is not used any more."""
    again_s: float
    """After a renewal that failed the old token is used so long before the next one is tried."""


@dataclass(slots=True)
class _Held:
    """A token in use. Instants are of the loop's clock."""

    value: str = field(repr=False)
    since_s: float
    renew_s: float
    dies_s: float


class KeptToken:
    """The token of an engine. Belongs to one event loop; waiting is safe to cancel.

    Of requests that come together one fetches the token, the others wait for it; while the old one is good nobody
    waits longer than for the one renewal.

    Args:
        source: closed with it; None when `first` is all there is.
        renewal: when another one is fetched.
        first: a token that is known already; it is good until it is refused.
    """

    def __init__(self, source: TokenSource | None, renewal: Renewal, first: str | None = None) -> None:
        self._source = source
        self._renewal = renewal
        self._held = None if first is None else _Held(first, -math.inf, math.inf, math.inf)
        self._lock = anyio.Lock()
        self._failure: VendorError | None = None

    async def current(self) -> str:
        """The token to be sent.

        Raises:
            VendorError: none could be got.
            ConfigurationError: as of the source.
        """
        held, now_s = self._held, anyio.current_time()
        if held is None or now_s >= held.dies_s:
            return (await self._renewed(held)).value
        if now_s < held.renew_s or self._lock.statistics().locked:
            return held.value
        try:
            return (await self._renewed(held)).value
        except VendorError as error:
            held.renew_s = now_s + self._renewal.again_s
            log.warning("an access token could not be renewed; the old one is used", extra={"reason": str(error)})
            return held.value

    async def another(self, refused: str) -> bool:
        """Whether there is another token than the one that was refused; fetches one when that makes sense.

        Raises:
            VendorError: there may be one, but it could not be got.
            ConfigurationError: as of the source.
        """
        held = self._held
        if held is not None and refused != held.value:
            return True
        if self._source is None or (held is not None and anyio.current_time() < held.since_s + _JUST_RENEWED_S):
            return False
        return refused != (await self._renewed(held)).value

    async def aclose(self) -> None:
        """Free what the source holds."""
        if self._source is not None:
            await self._source.aclose()

    async def _renewed(self, old: _Held | None) -> _Held:
        """A newer token than this one; a failure is shared by all who waited for the same attempt."""
        known = self._failure
        async with self._lock:
            if self._held is not None and self._held is not old:
                return self._held
            if self._failure is not None and self._failure is not known:
                failure = self._failure
                raise VendorError(str(failure), failure.fault, retry_after_s=failure.retry_after_s)
            assert self._source is not None, "a fixed token never dies"
            try:
                token = await self._source.token()
            except VendorError as error:
                self._failure = error
                raise
            self._held = self._taken(token, old)
            return self._held

    def _taken(self, token: AccessToken, old: _Held | None) -> _Held:
        now_s = anyio.current_time()
        since_s = old.since_s if old is not None and old.value == token.value else now_s
        if math.isinf(token.life_s):
            return _Held(token.value, since_s, math.inf, math.inf)
        dies_s = now_s + max(token.life_s - self._renewal.last_s, token.life_s / 2)
        return _Held(token.value, since_s, min(now_s + self._renewal.after_s(token.life_s), dies_s), dies_s)
