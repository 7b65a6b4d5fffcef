"""A call's ears: the listener, and the recogniser's stream, which is opened, and opened again when it is lost."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Final

import anyio

from kamerton.domain.audio import AudioFormat, AudioFrame
from kamerton.domain.recognition import RecognitionHint
from kamerton.listening.listener import Listener
from kamerton.orchestrator.call_events import CallEvent, StreamLost
from kamerton.orchestrator.services import CallServices
from kamerton.orchestrator.turn_events import RecogniserGone
from kamerton.stt.turn_keeper import TurnKeeper

log = logging.getLogger(__name__)

OPENING_S: Final = 5.0
"""Longest wait for the recogniser's stream; what is said meanwhile is kept."""
MOST_TRIES: Final = 3
"""Streams in a row that could not be opened, or were lost before they told anything."""
_PAUSE_S: Final = 0.25
"""Before the second stream; doubled before each further one."""


class Ears:
    """Hears one call. `run`, which must be running, keeps a recogniser; everything else is a plain call."""

    def __init__(
        self,
        services: CallServices,
        audio_format: AudioFormat,
        clock: Callable[[], float],
        post: Callable[[CallEvent], None],
        hint: Callable[[], RecognitionHint],
    ) -> None:
        self._stt = services.stt
        self._format = audio_format
        self._post = post
        self._hint = hint
        self._streaming = anyio.CancelScope()
        self._tries = 0
        self._continuous = services.stt.capabilities.continuous
        self._recogniser = TurnKeeper(clock, self._stream_broke)
        self._listener = Listener(
            audio_format,
            services.vad,
            self._recogniser,
            services.listening,
            clock,
            post,
            continuous=self._continuous,
        )
        # What happens for every frame goes straight to the listener.
        self.hear: Callable[[AudioFrame], None] = self._listener.hear
        """A frame of the caller arrived."""
        self.said: Callable[[bytes, float], None] = self._listener.said
        """A frame of our own voice left, at an instant."""
        self.tick: Callable[[float], None] = self._listener.tick
        """A frame time passed, now."""

    @property
    def echo_known(self) -> bool:
        """The line is known to return our voice."""
        return self._listener.echo is not None

    @property
    def filled_ms(self) -> float:
        """Audio that the line did not bring, and that was silence instead."""
        return self._listener.filled_ms

    def open_turn(self, turn: int, onset_s: float) -> float:
        """A turn began: the recogniser hears it from the instant on that is returned."""
        self._listener.open_turn(turn, onset_s, self._hint())
        return self._recogniser.audio_from_s

    def pause_turn(self) -> None:
        """The caller paused."""
        self._listener.pause_turn()

    def resume_turn(self) -> None:
        """The caller goes on."""
        self._listener.resume_turn()

    def end_turn(self) -> None:
        """The turn is over: its transcript will follow."""
        self._listener.end_turn()

    def abandon_turn(self) -> None:
        """It was no turn."""
        self._listener.abandon_turn()

    def close(self) -> None:
        """Hear nothing more."""
        self._listener.close()

    async def run(self) -> None:
        """Keep a recogniser's stream open until cancelled, or until `RecogniserGone` was posted."""
        while True:
            reason = await self._stream()
            self._tries += 1
            log.warning("the recogniser's stream was lost", extra={"reason": reason, "tries": self._tries})
            self._post(StreamLost(reason))
            if self._tries >= MOST_TRIES:
                self._post(RecogniserGone())
                return
            await anyio.sleep(_PAUSE_S * 2 ** (self._tries - 1))

    async def _stream(self) -> str:
        """Open a stream and take what it tells until it is lost; returns why it was."""
        reason = "its stream ended"
        try:
            with anyio.CancelScope(deadline=anyio.current_time() + OPENING_S) as scope:
                self._streaming = scope
                async with self._stt.open(self._format) as stream:
                    scope.deadline = math.inf
                    self._recogniser.attach(stream, continuous=self._continuous)
                    async for event in stream:
                        self._tries = 0
                        self._recogniser.told(event)
                        self._post(event)
            if scope.cancelled_caught:
                reason = f"it did not open within {OPENING_S:g} s, or broke; check its engine or its network"
        except Exception as error:  # the boundary to an engine: its fault costs its stream
            reason = f"{type(error).__name__}: {error}"
        finally:
            self._recogniser.detach()
        return reason

    def _stream_broke(self, reason: str) -> None:
        self._streaming.cancel()
