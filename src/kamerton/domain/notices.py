"""What a call tells its observers: the page, the log, the metrics, a report. Values only; nobody may block the call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol

from kamerton.domain.billing import Bill


class MindState(StrEnum):
    """What the assistant is doing, as the live stand shows it (DESIGN section 9)."""

    IDLE = "IDLE"
    LISTENING = "LISTENING"
    ANALYZING_SPEECH = "ANALYZING_SPEECH"
    CHECKING_CACHE = "CHECKING_CACHE"
    ROUTING_TO_LLM = "ROUTING_TO_LLM"
    GENERATING_SPEECH = "GENERATING_SPEECH"
    SPEAKING = "SPEAKING"


TurnPath = Literal["greeting", "scenario", "cache", "faq", "llm", "tool", "fallback", "silence", "error"]
Outcome = Literal["played", "cut", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class MindStateChanged:
    """The assistant turned to something else."""

    state: MindState
    details: str = ""


@dataclass(frozen=True, slots=True)
class TranscriptUpdated:
    """Words of one side. For the bot, `text` is what is about to be said; `final` once it is settled."""

    speaker: Literal["user", "bot"]
    text: str
    final: bool
    turn: int


@dataclass(frozen=True, slots=True)
class LLMTextReceived:
    """The language model wrote a piece of the answer that is being said; `llm_text_chunk` of the live stand."""

    chunk: str


@dataclass(frozen=True, slots=True)
class SpeculationRecord:
    """What working ahead of a turn's end came to."""

    started: int = 0
    """Decisions made ahead for this turn."""
    hit: bool = False
    """The turn was answered from one of them."""
    model_started: int = 0
    """Of them, those that asked the language model."""
    model_hit: bool = False
    saved_ms: float = 0.0
    """How much earlier the work that was used began than it would have without."""


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """The record of one exchange, complete with its marks (instants on the loop clock, seconds)."""

    index: int
    path: TurnPath
    user_text: str = ""
    intent: str | None = None
    confidence: float = 0.0
    entities: Mapping[str, Any] = field(default_factory=dict)
    state_before: str = ""
    state_after: str = ""
    reply_text: str = ""
    heard_text: str = ""
    outcome: Outcome = "played"
    ended_because: str = ""
    """Why the caller's turn was taken to be over: complete, plausible, pause, ceiling, dtmf, …"""
    marks: Mapping[str, float] = field(default_factory=dict)
    response_ms: float | None = None
    spoken_from_s: float | None = None
    """Instant of the first frame of the reply (equals mark t6)."""
    spoken_to_s: float | None = None
    speculation: SpeculationRecord = SpeculationRecord()


@dataclass(frozen=True, slots=True)
class BargeInDecided:
    """The caller spoke into the bot's speech. Instants on the loop clock; `verdict` is what came of it."""

    verdict: Literal["yielded", "resumed", "ignored"]
    onset_at_s: float
    ducked_at_s: float | None = None
    silenced_at_s: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A call is up."""

    call_id: str
    assistant: str
    transport: str
    peer: str = ""


@dataclass(frozen=True, slots=True)
class CallFinished:
    """A call is over. `variables` is the scenario's final state, `bill` what it used of services until now."""

    call_id: str
    ended_by: Literal["caller", "bot", "error", "shutdown"]
    reason: str
    duration_s: float
    variables: Mapping[str, Any] = field(default_factory=dict)
    state: str = ""
    bill: Bill = field(default_factory=Bill)


ErrorPart = Literal["stt", "tts", "llm", "flow", "classifier", "vad", "transport", "store", "call"]
"""The parts of a call that fail; what metrics count failures by."""


@dataclass(frozen=True, slots=True)
class ErrorOccurred:
    """Something failed in the call; the text is fit for people."""

    message: str
    where: str = ""
    """What exactly, for a log."""
    part: ErrorPart | None = None
    """Whose failure it is; None where `where` begins with the part's name («tts», «tts: …», «stt.stream»)."""


CallCondition = Literal[
    "echo_found",
    "frames_missing",
    "line_held",
    "recognizer_failed",
    "recognizer_lost",
    "recognizer_reconnected",
    "talker_bound",
]
"""`echo_found` our own voice comes back and is measured (once per call) · `frames_missing` frames that the line lost
and that were filled · `line_held` the caller put us on hold · `recognizer_failed` a turn without words because of the
engine · `recognizer_lost`, `recognizer_reconnected` its stream ended, another one was opened · `talker_bound` a turn
ended because it went on for too long."""


@dataclass(frozen=True, slots=True)
class ConditionNoted:
    """Something about the line or an engine that the call lives with."""

    condition: CallCondition
    amount: int = 1
    """How many at once: frames, windows; 1 for what happens."""
    details: str = ""


@dataclass(frozen=True, slots=True)
class AudioCleared:
    """Audio already sent must not be played any more."""


Notice = (
    MindStateChanged
    | TranscriptUpdated
    | LLMTextReceived
    | TurnFinished
    | BargeInDecided
    | CallStarted
    | CallFinished
    | ErrorOccurred
    | ConditionNoted
    | AudioCleared
)


class CallObserver(Protocol):
    """Sees every notice of every call, in order. Called on the loop; must be quick and must not raise."""

    def observe(self, call_id: str, notice: Notice) -> None:
        """Take note."""
