"""What the stand-in for SpeechKit's synthesis is to do, and what it saw: plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import anyio

TroubleKind = Literal["refuse", "hang", "short", "garbage", "wav", "flood", "drip", "talk", "no_end"]

RUSSIAN_VOICES: Mapping[str, tuple[str, ...]] = {
    "marina": ("neutral", "whisper", "friendly"),
    "filipp": (),
    "jane": ("neutral", "good", "evil"),
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """One fault, used up by the first requests.

    `refuse` ends the request with `status`; `hang` sends nothing more; `short` ends it as if all were said; `garbage`
    sends bytes that are no message; `wav` sends a file instead of samples; `flood` never stops to send audio; `drip`
    sends a sample every 20 ms; `talk` sends text without audio every 20 ms; `no_end` sends all, and then nothing.
    """

    kind: TroubleKind
    after: int = 0
    """Messages with audio that the request gets before."""
    times: int = 1
    status: str = "INTERNAL"
    """Name of the gRPC status of a `refuse`."""
    message: str = "something went wrong"
    retry_after_s: int | None = None
    retry_told: Literal["details", "header"] = "details"
    """How that is told: as `RetryInfo` in the rich status, or as a header."""


@dataclass(frozen=True, slots=True)
class SpeechKitScript:
    """How the stand-in behaves."""

    authorizations: tuple[str, ...] = ("Api-Key AQVN-test-key",)
    """Values of `authorization` that are let in."""
    voices: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: RUSSIAN_VOICES)
    """Their roles."""
    models: tuple[str, ...] = ("", "general", "livetts")
    troubles: tuple[Trouble, ...] = ()
    first_audio_s: float = 0.0
    piece_s: float = 0.0
    """Wait before each further message with audio."""
    ms_per_character: int = 60
    characters_in_piece: int = 24
    times: Literal["right", "none", "backwards", "beyond", "from_piece", "early"] = "right"
    """How the times of words are told; `from_piece`: from the start of their message, `early`: seconds before it."""
    odd_bytes: bool = False
    """Cut audio in the middle of samples."""
    doubled: bool = False
    """Tell the text and the times of each message twice, the second time without audio."""
    stubborn: bool = False
    """Go on with a request that the client has cancelled."""


@dataclass(slots=True)
class SeenSynthesis:
    """A request as the server knew it."""

    metadata: dict[str, str]
    text: str
    hints: dict[str, str | float]
    rate_hz: int
    """0: raw samples were not asked for."""
    loudness: str
    model: str
    unsafe_mode: bool
    pieces: int = 0
    """Messages with audio that were sent."""
    ended: bool = False
    given_up: bool = False
    """The client cancelled it before its end."""


@dataclass(slots=True)
class Seen:
    """All that the server saw; `until` waits for a state of it."""

    requests: list[SeenSynthesis] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    """Rules that the client broke."""
    _changed: anyio.Event = field(default_factory=anyio.Event)

    @property
    def open(self) -> int:
        """Requests under way."""
        return sum(not request.ended for request in self.requests)

    def note(self) -> None:
        """Something changed."""
        self._changed.set()
        self._changed = anyio.Event()

    async def until(self, reached: Callable[[Seen], bool]) -> None:
        """Wait until a state is reached; give it a deadline."""
        while not reached(self):
            await self._changed.wait()
