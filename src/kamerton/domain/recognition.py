"""Speech to text: what the orchestrator asks of a recogniser and what a recogniser tells it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from kamerton.domain.audio import AudioFormat, AudioFrame


@dataclass(frozen=True, slots=True)
class RecognitionHint:
    """What the state of the dialogue lets the recogniser expect of the next turn."""

    language: str = "ru"
    phrases: tuple[str, ...] = ()
    """Typical answers, in the spelling that is wanted back («сто пятьдесят»)."""


@dataclass(frozen=True, slots=True)
class Partial:
    """A hypothesis for the turn so far. `stable` marks one that the engine does not expect to change."""

    turn: int
    text: str
    stable: bool = False
    alternatives: tuple[str, ...] = ()
    covers_ms: float | None = None
    """How much of the turn's audio it speaks of, counted from the first frame of the turn (its look-back included).
    None: all that had been pushed, as with engines that decode whole turns at pauses."""


@dataclass(frozen=True, slots=True)
class UtteranceEnded:
    """The engine itself takes the turn to be over: evidence for endpointing, not a decision. No `Final` is implied."""

    turn: int
    covers_ms: float | None = None
    """As in `Partial`: where in the turn it heard the end."""


@dataclass(frozen=True, slots=True)
class SttReconnected:
    """The connection to the engine broke and stands again; the audio that was not final was sent anew."""

    turn: int
    """The turn that was open, or the last one."""
    lost_ms: float
    """Audio that could not be sent anew; 0 when nothing was lost."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Final:
    """The transcript of an ended turn, best reading first in `text`; other readings in `alternatives`.

    `text` is empty when the engine heard no words in it.
    """

    turn: int
    text: str
    alternatives: tuple[str, ...] = ()
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class SttFailed:
    """The engine could not transcribe a turn. `retryable` says whether a next turn may succeed."""

    turn: int
    reason: str
    retryable: bool = True


SttEvent = Partial | Final | SttFailed | UtteranceEnded | SttReconnected


@dataclass(frozen=True, slots=True)
class SttCapabilities:
    """What a recogniser can do, checked once at wiring."""

    languages: tuple[str, ...]
    partials_while_speaking: bool
    """True when hypotheses arrive during speech, not only at pauses."""
    continuous: bool = False
    """True for an engine that wants the audio between turns as well: every frame of the call is pushed, in order."""
    lag_ms: float = 0.0
    """How far hypotheses usually trail the audio; endpointing waits in proportion for the words of the last stretch.
    0 for engines that decode at a pause everything up to it."""


@dataclass(frozen=True, slots=True)
class RecognizerState:
    """How a recogniser fares, for admission, readiness and metrics. Counts are since the start."""

    trouble: str = ""
    """What is wrong with it as a whole and what happens next; empty when it is well."""
    max_calls: int | None = None
    """Calls at the same time that it can serve in time; None when nothing is known to bound it."""
    waiting: int = 0
    """Turns that wait to be decoded."""
    expected_wait_s: float = 0.0
    """How long an ended turn that came now would wait before its decode begins."""
    decoded: int = 0
    failed: int = 0
    refused: int = 0
    """Requests that were not begun: too many waited, or the engine was in trouble."""
    hung: int = 0
    """Decodes that did not come back in time and were left behind."""


class TurnAudio(Protocol):
    """What takes the audio of a call's turns. Its methods never block and never raise for overload.

    A turn goes `begin_turn`, then `push`, `pause` and `resume` in any number, then `end_of_turn` or
    `abandon_turn`. Exactly one `Final` or `SttFailed` follows each `end_of_turn`; none follows `abandon_turn`.
    Events of earlier turns may still arrive and carry their own turn number.
    """

    def begin_turn(self, turn: int, hint: RecognitionHint, look_back: Sequence[AudioFrame] = ()) -> None:
        """Start a turn; `turn` grows by one or more each time.

        `look_back` is the audio from before this moment that belongs to the turn, its first frame first. A continuous
        engine has heard it already, and learns from it where in its stream the turn began.
        """

    def push(self, frame: AudioFrame) -> None:
        """Add 20 ms of the caller's audio: to the turn, or for a continuous engine between turns as well.

        Frames that the line lost arrive here as silence, so that gaps keep their length.
        """

    def pause(self) -> None:
        """The caller paused: a good moment for a stable partial, decoded ahead in case the turn ends here."""

    def resume(self) -> None:
        """The caller goes on: what was decoded ahead no longer covers the turn."""

    def end_of_turn(self) -> None:
        """The turn is over: deliver its `Final` (at once when `pause` already decoded everything)."""

    def abandon_turn(self) -> None:
        """It was no turn after all (noise): forget it."""


class SttStream(TurnAudio, Protocol):
    """One call's recogniser. Under overload audio is dropped oldest first.

    The iteration ends only when the stream is closed or its engine is lost for good: a call that did not close it opens
    another one.
    """

    def __aiter__(self) -> AsyncIterator[SttEvent]:
        """Iterate events until the stream closes. One consumer."""
        ...

    @property
    def dropped_ms(self) -> float:
        """Audio dropped so far because the engine could not keep up."""
        ...


class SpeechToText(Protocol):
    """A recogniser shared by all calls."""

    @property
    def name(self) -> str:
        """Name for logs and metrics."""
        ...

    @property
    def capabilities(self) -> SttCapabilities:
        """What it can do."""
        ...

    def open(self, audio_format: AudioFormat) -> AbstractAsyncContextManager[SttStream]:
        """Open one call's stream; leaving the context frees everything it holds, also when cancelled."""
        ...

    async def aclose(self) -> None:
        """Free models, workers and connections."""


@runtime_checkable
class Watched(Protocol):
    """A recogniser that keeps account of itself."""

    @property
    def state(self) -> RecognizerState:
        """How it fares now."""
        ...
