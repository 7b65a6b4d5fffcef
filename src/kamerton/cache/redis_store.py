"""The store on a Redis server, through the official asynchronous client."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import anyio

from kamerton.cache.memory_store import ttl_ms
from kamerton.domain.errors import ConfigurationError, EngineError
from kamerton.domain.foreign_text import LONGEST_REMARK, shown_line

if TYPE_CHECKING:
    from redis.asyncio import Redis

_SCAN_COUNT: Final = 500
"""Keys that Redis looks at in one step of SCAN: under a millisecond of its time."""
_WRONG_TYPE: Final = "WRONGTYPE"
"""How Redis begins its answer to a command for lists on a plain value, and the other way round."""
_SCHEMES: Final = ("redis", "rediss", "unix")


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Where the server is and how long it may take."""

    url: str = "redis://localhost:6379/0"
    """`redis://[user:password@]host:port/database`; `rediss://` with TLS."""
    prefix: str = "kamerton:"
    """Every key begins with it, so that several installations may share a server."""
    connect_deadline_s: float = 0.2
    """Until a connection is up."""
    deadline_s: float = 0.3
    """Until an operation is done, waiting for a connection and connecting included."""
    connections: int = 16
    """At once; further operations wait within their deadline."""

    def __post_init__(self) -> None:
        """Check everything at once.

        Raises:
            ConfigurationError: a value cannot work; the address is never quoted, it may hold a password.
        """
        try:
            parts = urlsplit(self.url)
            usable = parts.scheme in _SCHEMES and bool(parts.hostname or parts.path) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ConfigurationError("the address of Redis is not of the form redis://[user:password@]host:port/number")
        if not (self.connect_deadline_s > 0 and self.deadline_s > 0):
            raise ConfigurationError("the deadlines of Redis must be more than 0 s")
        if self.connections < 1:
            raise ConfigurationError("Redis needs at least 1 connection")

    @property
    def place(self) -> str:
        """Host and port, for messages: never the password."""
        parts = urlsplit(self.url)
        return parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"


class RedisStore:
    """A `Store` on a Redis server. Connects by itself when it is used; one per process.

    Cancelling an operation closes its connection, and the next one gets a new one. A replaced list is never seen
    half: it is removed, written and given its time to live in one transaction. Operations are not repeated after an
    error; whoever wants to go on without the server wraps this in a `FallbackStore`.
    """

    name = "redis"

    def __init__(self, settings: RedisSettings) -> None:
        """Prepare the client; nothing is sent yet.

        Raises:
            ConfigurationError: the client refuses the address.
        """
        self._settings = settings
        self._turns = anyio.Semaphore(settings.connections)
        self._redis = _client(settings)

    async def get(self, key: str) -> bytes | None:
        """The value, or None when there is none or something else is there.

        Raises:
            EngineError: the server is away, slow or refuses; so do all other methods.
        """
        value: bytes | None = await self._run("reading a value", lambda: self._redis.get(self._named(key)))
        return value

    async def put(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        """Keep a value, for ever or for a time."""
        lifetime_ms = ttl_ms(ttl_s)
        await self._run("writing a value", lambda: self._redis.set(self._named(key), value, px=lifetime_ms))

    async def get_chunks(self, key: str) -> tuple[bytes, ...] | None:
        """A list, whole and in order, or None when there is none or something else is there."""
        chunks = await self._run("reading a list", lambda: self._redis.lrange(self._named(key), 0, -1))
        return tuple(chunks) if chunks else None

    async def put_chunks(self, key: str, chunks: Sequence[bytes], ttl_s: float | None = None) -> None:
        """Keep a list in one transaction; an empty one removes the key."""
        lifetime_ms = ttl_ms(ttl_s)
        name = self._named(key)

        async def replace() -> None:
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.delete(name)
                if chunks:
                    pipeline.rpush(name, *chunks)
                    if lifetime_ms is not None:
                        pipeline.pexpire(name, lifetime_ms)
                await pipeline.execute()

        await self._run("writing a list", replace)

    async def delete(self, *keys: str) -> int:
        """Remove keys; returns how many there were. Redis frees their memory in the background."""
        if not keys:
            return 0
        return int(await self._run("removing keys", lambda: self._redis.unlink(*map(self._named, keys))))

    async def keys(self, prefix: str) -> tuple[str, ...]:
        """Living keys that begin with `prefix`, sorted. Walks over the whole database; each step has the deadline."""
        pattern = _literal(self._settings.prefix + prefix) + "*"
        found: set[str] = set()
        cursor = 0
        while True:
            step = partial(self._redis.scan, cursor, match=pattern, count=_SCAN_COUNT)
            cursor, names = await self._run("listing keys", step)
            found.update(map(self._own_key, names))
            if cursor == 0:
                return tuple(sorted(found))

    async def aclose(self) -> None:
        """Close the connections; operations that still run fail."""
        await self._redis.aclose()

    def _named(self, key: str) -> str:
        return self._settings.prefix + key

    def _own_key(self, name: bytes) -> str:
        return name.decode("utf-8", "replace").removeprefix(self._settings.prefix)

    async def _run(self, doing: str, operation: Callable[[], Any]) -> Any:
        """Run one operation with a connection's turn and the deadline; None where a key holds another kind of value."""
        from redis.exceptions import RedisError, ResponseError

        where = f"Redis at {self._settings.place}"
        try:
            with anyio.fail_after(self._settings.deadline_s):
                async with self._turns:
                    return await operation()
        except TimeoutError as error:
            limit = f"{self._settings.deadline_s:g} s"
            raise EngineError(f"{where}: {doing} took longer than {limit}; is it overloaded or away?") from error
        except (RedisError, OSError) as error:
            if isinstance(error, ResponseError) and str(error).startswith(_WRONG_TYPE):
                return None
            raise EngineError(
                f"{where}: {doing} failed: {shown_line(str(error), LONGEST_REMARK)}; check that it runs and lets us in"
            ) from error


def _literal(text: str) -> str:
    """A text as a pattern of SCAN that matches nothing but itself."""
    return re.sub(r"([\\*?\[\]^])", r"\\\1", text)


def _client(settings: RedisSettings) -> Redis:
    """The client: no retries of its own, because whoever waits is a caller on the phone."""
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    try:
        return Redis.from_url(
            settings.url,
            protocol=2,
            decode_responses=False,
            socket_timeout=None,
            socket_connect_timeout=settings.connect_deadline_s,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError:
        raise ConfigurationError(
            f"the address of Redis at {settings.place} is not understood; the form is redis://[user:password@]host:port/number"
        ) from None
