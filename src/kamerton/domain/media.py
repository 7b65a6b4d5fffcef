"""The border between a transport and a call: audio and control both ways, as plain function calls.

Per-frame work is not queued (DESIGN section 7): a transport calls the sink for every frame that came in, and playout
calls `send` for every frame that goes out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from kamerton.domain.audio import AudioFormat, AudioFrame
from kamerton.domain.notices import Notice


@dataclass(frozen=True, slots=True)
class CallInfo:
    """Who calls and over what."""

    call_id: str
    transport: str
    format: AudioFormat
    """Format in which frames arrive and are to be sent."""
    peer: str = ""
    """Far address for logs."""
    user_name: str = ""


@dataclass(frozen=True, slots=True)
class MediaCapabilities:
    """What a transport can do."""

    far_buffer_ms: float
    """Audio that the far end holds unplayed in the normal case; heard = sent - this, where it cannot tell."""
    can_clear: bool
    """True when audio already sent can be recalled. Otherwise send-ahead stays within two frames."""
    dtmf: bool


@dataclass(frozen=True, slots=True)
class PlayoutPosition:
    """What has left and what of it waits unheard in the far end's buffer."""

    sent_samples: int
    far_queued_samples: int


class MediaSink(Protocol):
    """What a transport tells its call. Called on the loop; must be quick and must not raise."""

    def on_audio(self, frame: AudioFrame) -> None:
        """A frame of exactly 20 ms arrived."""

    def on_dtmf(self, digit: str) -> None:
        """A key was pressed."""

    def on_interrupt(self) -> None:
        """The caller pressed a «stop talking» control (browser `user_interrupted`)."""

    def on_hold(self, held: bool) -> None:
        """The far end put the call on hold, or took it back: somebody who cannot hear us is not asked anything."""

    def on_hang_up(self, reason: str) -> None:
        """The far end is gone or broke the protocol; called exactly once, last."""


class CallMedia(Protocol):
    """One call's connection."""

    @property
    def info(self) -> CallInfo:
        """Who calls."""
        ...

    @property
    def capabilities(self) -> MediaCapabilities:
        """What this transport can do."""
        ...

    def start(self, sink: MediaSink) -> None:
        """Deliver what arrives from now on to the sink (anything that came earlier first, bounded)."""

    def send(self, pcm: bytes) -> None:
        """Send one frame of exactly 20 ms. Never blocks; silently ignored after the far end is gone."""

    def clear(self) -> None:
        """Recall everything sent that was not heard yet, as far as the transport can."""

    def position(self) -> PlayoutPosition:
        """What has been sent and heard. Read before `clear`."""
        ...

    def notify(self, notice: Notice) -> None:
        """Pass on something that happened in the call (the browser page shows it). Never blocks."""

    async def hang_up(self, reason: str) -> None:
        """End the call from our side, politely, within the transport's own deadline. Safe to call twice."""


CallHandler = Callable[[CallMedia], Awaitable[None]]
"""Runs one call from greeting to end; returns when it is over, and never raises but for cancellation."""


class Transport(Protocol):
    """A way in for calls."""

    @property
    def name(self) -> str:
        """Name for logs and metrics."""
        ...

    async def serve(self, handler: CallHandler) -> None:
        """Accept calls until cancelled; every call runs inside this call's own task group.

        Raises:
            ConfigurationError: the address cannot be bound; the message says what to do.
        """
