"""What the service tells, without the vendor's message types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SpeechEvent = Literal["", "began", "ended"]


@dataclass(frozen=True, slots=True)
class Result:
    """A stretch of what was said; offsets count from the beginning of the stream's audio."""

    text: str
    final: bool
    end_ms: float
    """How far it reaches; 0 when the service does not say."""
    alternatives: tuple[str, ...] = ()
    confidence: float = 0.0
    """0 when the service does not say."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer."""

    results: tuple[Result, ...] = ()
    speech: SpeechEvent = ""
    at_ms: float = 0.0
    """Where the speech began or ended."""
