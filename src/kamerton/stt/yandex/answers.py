"""What is said to SpeechKit in a session and what it answers, without the vendor's message types. Times are in ms."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Audio:
    """16-bit PCM at the session's rate."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class Silence:
    """So much silence, which costs no bytes."""

    duration_ms: int


@dataclass(frozen=True, slots=True)
class EndUtterance:
    """What was sent up to here is one utterance: give its final."""


Request = Audio | Silence | EndUtterance


@dataclass(frozen=True, slots=True)
class Cursors:
    """How far the service is, in the time of the session's audio."""

    partial_ms: int = 0
    """So much is covered by hypotheses."""
    final_ms: int = 0
    """So much will not change any more."""
    final_index: int = 0


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Words between `final_ms` and `partial_ms`, as it seems now."""

    cursors: Cursors
    text: str


@dataclass(frozen=True, slots=True)
class FinalPart:
    """Words up to `final_ms` for good; an utterance may have several."""

    cursors: Cursors
    text: str


@dataclass(frozen=True, slots=True)
class Refinement:
    """The normalised words of an earlier `FinalPart`."""

    cursors: Cursors
    final_index: int
    text: str


@dataclass(frozen=True, slots=True)
class UtteranceOver:
    """All finals of an utterance have come; with an end that we set, `time_ms` is where it reached the service."""

    cursors: Cursors
    time_ms: int


@dataclass(frozen=True, slots=True)
class Alive:
    """Anything else: a sign of life that may move the cursors."""

    cursors: Cursors


Answer = Hypothesis | FinalPart | Refinement | UtteranceOver | Alive
