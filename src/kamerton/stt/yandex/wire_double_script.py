"""What the stand-in for SpeechKit does and has seen, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Trouble:
    """What befalls a session.

    `refuse` ends it with `status`; `hang` takes everything and answers nothing more; `half_close` ends it as if all
    were well; `garbage` answers with bytes that are no message; `deaf` stops reading.
    """

    kind: Literal["refuse", "hang", "half_close", "garbage", "deaf"]
    after: int = 0
    """Messages of audio or silence that it takes before."""
    sessions: int = 1
    """How many it befalls, one after another."""
    status: str = "UNAVAILABLE"
    details: str = "Socket closed"
    retry_after_s: float | None = None
    retry_in: Literal["header", "rich"] = "rich"
    """Where the wait is told: in trailing metadata, or in gRPC's rich status."""


@dataclass(slots=True)
class SpeechKitScript:
    """How the stand-in behaves; may be changed while it runs."""

    words: tuple[str, ...] = ()
    """Those that it knows; `spoken` makes audio of them."""
    accepted: tuple[str, ...] | None = None
    """Values of `authorization` that let in; None: any."""
    troubles: list[Trouble] = field(default_factory=list)
    skew_ms: int = 0
    """Added to every time and cursor that it tells."""
    repeats: bool = False
    """Finals, refinements and ends of utterances come twice."""
    repeats_late: bool = False
    """All that an end of an utterance gave comes once more, into the next one."""
    orphan_refinements: bool = False
    """Before a final comes a refinement of a final that nobody got."""
    finals_each: int = 0
    """A final for each so many words of an utterance; 0: one for all."""
    refines: bool = True
    """Whether refinements follow, when they are asked for."""
    confirms_silence: bool = True
    """Whether the end of an utterance without words is answered."""
    confirms: bool = True
    """Whether any end of an utterance is answered; hypotheses come as before."""
    own_ends_after_ms: float | None = None
    """Silence after which it ends an utterance by itself, although it was asked not to; None: never."""
    limit_ms: float = 300_000.0
    """Audio of a session."""
    limit_bytes: int = 10_000_000
    idle_s: float = 5.0
    """Longest time without a message."""


@dataclass(slots=True)
class SeenSession:
    """A session as the stand-in saw it."""

    authorization: str = ""
    folder: str = ""
    model: str = ""
    languages: tuple[str, ...] = ()
    rate_hz: int = 0
    normalization: bool = False
    messages: list[int] = field(default_factory=list)
    """Bytes of audio of each, 0 for silence."""
    audio_ms: float = 0.0
    """Audio and silence that it took."""
    ends_asked: int = 0
    ended: Literal["", "well", "status", "cancelled"] = ""
    status: str = ""
