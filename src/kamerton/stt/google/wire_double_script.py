"""What the stand-in for Google Speech does and has seen, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Misdeed:
    """What befalls a stream."""

    kind: Literal["refuse", "hang", "half_close", "garbage", "break_off"]
    """`refuse`, `break_off`: end with a status. `hang`: take everything and answer nothing more. `half_close`: end as
    if all were well. `garbage`: answer with bytes that are no message."""
    after_messages: int = 0
    """Audio that is taken before."""
    status: str = "UNAVAILABLE"
    details: str = "Socket closed"
    retry_after_s: float | None = None
    """Told as Google does, in the rich status."""
    streams: int = 1
    """How many streams it befalls, one after another."""


@dataclass(slots=True)
class SpeechScript:
    """How the stand-in behaves; may be changed while it runs."""

    words: tuple[str, ...] = ()
    """Those that it knows; `spoken` makes audio of them."""
    token: str | None = None
    """The only one that lets in; None: any."""
    served: Mapping[str, tuple[str, ...]] | None = None
    """Languages by `MODEL@LOCATION`; None: everything."""
    takes_several_languages: bool = True
    takes_phrases: bool = True
    misdeeds: list[Misdeed] = field(default_factory=list)
    skew_ms: float = 0.0
    """Added to every offset that it tells."""
    repeats_finals: bool = False
    own_ends_after_ms: float | None = 600.0
    """Silence after which it ends an utterance by itself; None: never."""
    confidence: float = 0.9
    limit_s: float = 300.0
    idle_s: float = 10.0
    final_delay_s: float = 0.0


@dataclass(slots=True)
class SeenStream:
    """A stream as the stand-in saw it."""

    recognizer: str = ""
    model: str = ""
    codes: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    rate_hz: int = 0
    authorization: str = ""
    messages: list[int] = field(default_factory=list)
    """Bytes of audio in each."""
    half_closed: bool = False
    ended: Literal["", "well", "status", "cancelled"] = ""
    status: str = ""

    @property
    def location(self) -> str:
        """Where it was asked for."""
        return self.recognizer.split("/")[3] if self.recognizer.count("/") == 5 else ""
