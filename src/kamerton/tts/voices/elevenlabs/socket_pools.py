"""The voice's WebSockets: a pool for each voice, language and rate, which are fixed for a WebSocket."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Mapping

from anyio.abc import TaskGroup

from kamerton.domain.audio import SAMPLE_BYTES
from kamerton.tts.voices.elevenlabs import protocol
from kamerton.tts.voices.elevenlabs.context import Context
from kamerton.tts.voices.elevenlabs.engine import ElevenLabsVoiceOptions
from kamerton.tts.voices.elevenlabs.models import takes_language
from kamerton.tts.voices.elevenlabs.socket import SocketCounts, SocketSettings
from kamerton.tts.voices.elevenlabs.socket_opening import SocketOpener
from kamerton.vendors.pool_plan import PoolSettings
from kamerton.vendors.warm_pool import WarmPool

_RENEWED_AFTER = 0.8
"""Of the vendor's own time-out, so that it never closes a WebSocket that a speech is about to take."""


class SocketPools:
    """Makes pools as they are needed and has them run while the voice is.

    Args:
        options: as configured.
        sockets: settings of every WebSocket.
        tls: what is trusted.
    """

    def __init__(self, options: ElevenLabsVoiceOptions, sockets: SocketSettings, tls: ssl.SSLContext) -> None:
        self._options = options
        self._sockets = sockets
        self._tls = tls
        self._pools: dict[tuple[str, str, int], WarmPool[Context]] = {}
        self._counts = SocketCounts()
        self._group: TaskGroup | None = None
        self._speeches = 0

    @property
    def figures(self) -> Mapping[str, int]:
        """The sum of the pools' figures, and `late`: messages that nobody listened to any more."""
        total: Counter[str] = Counter()
        for pool in self._pools.values():
            total.update(pool.figures)
        total["late"] = self._counts.late + self._counts.unknown
        return total

    def run_in(self, group: TaskGroup | None) -> None:
        """Run the pools in a task group from now on; None: it has ended."""
        self._group = group
        if group is not None:
            for pool in self._pools.values():
                group.start_soon(pool.run)

    def expect(self, calls: int, language: str) -> None:
        """Have room for so many calls, at the rates that are kept warm and those that were used so far."""
        self._speeches = min(calls, self._options.concurrency)
        for rate_hz in self._options.warm_rates_hz:
            self.of(language, rate_hz)
        for pool in self._pools.values():
            pool.expect(self._speeches)

    def of(self, language: str, rate_hz: int) -> WarmPool[Context]:
        """The pool of a language and a rate."""
        options = self._options
        told = language if takes_language(options.model) else ""
        key = (options.voice_for(language), told, rate_hz)
        pool = self._pools.get(key)
        if pool is None:
            settings = PoolSettings(
                most=options.sockets,
                users=protocol.MAX_CONTEXTS,
                open_s=options.connect_s,
                idle_s=options.idle_s,
                renew_s=_RENEWED_AFTER * options.inactivity_s,
            )
            pool = self._pools[key] = WarmPool(self._opener(*key).open, settings, self._sockets.where)
            pool.expect(self._speeches)
            if self._group is not None:
                self._group.start_soon(pool.run)
        return pool

    def _opener(self, voice: str, language: str, rate_hz: int) -> SocketOpener:
        options = self._options
        query = {
            "model_id": options.model,
            "output_format": f"pcm_{rate_hz}",
            "inactivity_timeout": str(options.inactivity_s),
            "sync_alignment": "true",
        }
        if language:
            query["language_code"] = language
        longest = int(self._sockets.longest_audio_s * rate_hz * SAMPLE_BYTES)
        url = protocol.websocket_url(options.url, voice, query)
        return SocketOpener(url, self._sockets, self._tls, self._counts, longest)
