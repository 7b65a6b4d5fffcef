"""The settings of the recogniser, `recognizer.google`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kamerton.domain.audio import FRAME_MS
from kamerton.domain.errors import ConfigurationError
from kamerton.vendors.google.endpoints import GLOBAL, address_of
from kamerton.vendors.rpc.endpoint import Endpoint

CODES: Final = {
    "ru": "ru-RU",
    "uk": "uk-UA",
    "en": "en-US",
    "kk": "kk-KZ",
    "pl": "pl-PL",
    "de": "de-DE",
    "fr": "fr-FR",
    "es": "es-ES",
    "it": "it-IT",
    "pt": "pt-BR",
    "tr": "tr-TR",
    "ro": "ro-RO",
    "cs": "cs-CZ",
    "bg": "bg-BG",
}
"""Languages that can be asked for; whether a model serves one where it runs, only the service knows."""

SERVICE: Final = "speech.googleapis.com"
STREAM_LIMIT_S: Final = 300.0
"""Length of one stream, by the vendor's quotas."""
MESSAGE_BYTES: Final = 15_000
"""Audio in one message: the package says 15 KB, the page of quotas 25."""
_CANDIDATE: Final = re.compile(r"[a-z0-9_-]+@[a-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model where it runs."""

    model: str
    location: str

    def __str__(self) -> str:
        return f"{self.model}@{self.location}"


@dataclass(frozen=True, slots=True)
class GoogleSttOptions:
    """How Google Cloud Speech (API v2) recognises."""

    models: tuple[str, ...] = ("chirp_3@eu", "long@global", "latest_long@global")
    """Models as `MODEL@LOCATION`, best first: one that the service refuses for the language is passed over."""
    also: tuple[str, ...] = ("ru",)
    """Languages recognised beside the turn's own, where the model takes several."""
    endpoint: str = ""
    """`host:port` for all locations; by default each location's own at Google."""
    ca_file: Path | None = None
    """Root certificates (PEM) for a server of one's own; gRPC's when None."""
    tls: bool = True
    """Off only for a server on the same machine: the token would travel in the open."""
    hints: bool = True
    """Tell the service the phrases that the dialogue expects."""
    boost: float = 10.0
    """How much more likely these phrases are made, 0 to 20."""
    punctuation: bool = False
    """Capitals and punctuation."""
    profanity_filter: bool = False
    """Hide swear-words."""
    max_alternatives: int = 3
    """Readings of a final, 1 to 10."""
    chunk_ms: int = 100
    """Audio in one message, 20 to 400. What is left is sent at once at a pause and at the end of a turn."""
    lag_ms: float = 400.0
    """How far hypotheses usually trail the audio; endpointing waits in proportion. Not measured against the service."""
    warm_s: float = 8.0
    """The next turn's stream is opened ahead and kept so long; 0: opened when the turn begins. After 10 s without audio
    the service ends it."""
    renew_after_s: float = 240.0
    """A stream of this age is replaced at the next place between words; 30 to 270."""
    open_s: float = 3.0
    """Longest wait for a stream to stand, a token included, and for the service to take a message."""
    first_answer_s: float = 5.0
    """A stream that answers nothing to so much audio is replaced, once in a turn: it may hang, or hear no speech."""
    final_s: float = 1.5
    """Longest wait for a turn's final in one stream; then the last hypothesis counts if it covers what was said, else
    the turn is sent anew."""
    turn_s: float = 4.0
    """Longest wait for a turn's final altogether; then the turn has failed."""
    attempts: int = 3
    """Streams in a row that may fail before the recogniser is given up for the call."""
    streams_per_connection: int = 50
    """Streams that share one connection."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigurationError: an option is out of its range, or contradicts another.
        """
        if not self.models:
            raise ConfigurationError("recognizer.google.models is empty; name one as long@global")
        for name in self.models:
            if not _CANDIDATE.fullmatch(name):
                raise ConfigurationError(f"recognizer.google.models: '{name}' is no MODEL@LOCATION such as long@global")
        for language in self.also:
            if language not in CODES:
                raise ConfigurationError(f"recognizer.google.also: '{language}' is none of {', '.join(CODES)}")
        if self.chunk_ms % FRAME_MS:
            raise ConfigurationError(f"recognizer.google.chunk_ms must be a multiple of {FRAME_MS}")
        for option, low, high in _RANGES:
            value = getattr(self, option)
            if not low <= value <= high:
                raise ConfigurationError(
                    f"recognizer.google.{option} is {value:g}; it must be between {low:g} and {high:g}"
                )
        if self.turn_s < self.final_s:
            raise ConfigurationError("recognizer.google.turn_s must not be less than final_s")
        _ = self.endpoint_of(GLOBAL)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """`models`, taken apart."""
        return tuple(Candidate(*name.split("@")) for name in self.models)

    def endpoint_of(self, location: str) -> Endpoint:
        """Where a location's models are asked."""
        return Endpoint(self.endpoint or address_of(SERVICE, location), self.ca_file, self.tls)

    def codes_of(self, language: str) -> tuple[str, ...]:
        """Google's codes for a turn in this language, its own first."""
        return tuple(dict.fromkeys(CODES[one] for one in _distinct((language, *self.also))))


def _distinct(languages: Iterable[str]) -> list[str]:
    """Each once; the service takes three at most."""
    return list(dict.fromkeys(languages))[:3]


_RANGES: Final = (
    ("boost", 0, 20),
    ("max_alternatives", 1, 10),
    ("chunk_ms", FRAME_MS, 400),
    ("lag_ms", 0, 5000),
    ("warm_s", 0, 9.5),
    ("renew_after_s", 30, 270),
    ("open_s", 0.1, 60),
    ("first_answer_s", 0.1, 60),
    ("final_s", 0.1, 60),
    ("turn_s", 0.1, 60),
    ("attempts", 1, 10),
    ("streams_per_connection", 1, 1000),
)
