"""Storage that processes may share: values and audio under keys, with a time to live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from kamerton.domain.audio import AudioFormat, Clip


class Store(Protocol):
    """Bytes under keys. Keys are `part:part:…`, values are opaque.

    A store that is away raises; who must go on without it wraps it.
    """

    @property
    def name(self) -> str:
        """What kind of store it is, for logs: `memory`, `redis`."""
        ...

    async def get(self, key: str) -> bytes | None:
        """The value, or None when there is none or it has expired.

        Raises:
            EngineError: the store is away. So do all other methods.
        """
        ...

    async def put(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        """Keep a value, for ever or for a time; replaces what was there, a list too."""
        ...

    async def get_chunks(self, key: str) -> tuple[bytes, ...] | None:
        """A list kept with `put_chunks`, whole and in order, or None."""
        ...

    async def put_chunks(self, key: str, chunks: Sequence[bytes], ttl_s: float | None = None) -> None:
        """Keep a list in one step: nobody ever reads half of it. An empty list removes the key."""
        ...

    async def delete(self, *keys: str) -> int:
        """Remove keys; returns how many there were."""
        ...

    async def keys(self, prefix: str) -> tuple[str, ...]:
        """Living keys that begin with `prefix`, sorted."""
        ...

    async def aclose(self) -> None:
        """Free connections."""


class SharedClips(Protocol):
    """Rendered audio that several processes share; never raises: a cache that is away only has nothing."""

    async def load(self, key: str, audio_format: AudioFormat) -> Clip | None:
        """The clip, or None when it is missing, broken or the cache is away."""
        ...

    async def save(self, key: str, clip: Clip) -> None:
        """Keep a clip, if the cache can."""
        ...
