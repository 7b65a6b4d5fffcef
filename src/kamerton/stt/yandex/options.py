"""The settings of the recogniser, `recognizer.yandex`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kamerton.domain.audio import FRAME_MS
from kamerton.domain.errors import ConfigurationError
from kamerton.vendors.rpc.endpoint import Endpoint

CODES: Final = {
    "ru": "ru-RU",
    "en": "en-US",
    "kk": "kk-KZ",
    "uz": "uz-UZ",
    "de": "de-DE",
    "fr": "fr-FR",
    "fi": "fi-FI",
    "sv": "sv-SE",
    "nl": "nl-NL",
    "pl": "pl-PL",
    "it": "it-IT",
    "es": "es-ES",
    "pt": "pt-PT",
    "tr": "tr-TR",
    "he": "he-HE",
}
"""Languages of SpeechKit's general model. Ukrainian is none of them."""

SESSION_LIMIT_S: Final = 300.0
"""Audio of one session, by the vendor's limits; its other one, 10 MB, is beyond that up to 16 kHz."""
_MOST_CHUNK_MS: Final = 400
"""The chunk of the vendor's own example."""


@dataclass(frozen=True, slots=True)
class YandexSttOptions:
    """How Yandex SpeechKit (API v3) recognises."""

    endpoint: str = "stt.api.cloud.yandex.net:443"
    """`host:port` of the service."""
    ca_file: Path | None = None
    """Root certificates (PEM) for a server of one's own; gRPC's when None."""
    tls: bool = True
    """Off only for a server on the same machine: the key would travel in the open."""
    model: str = "general"
    """`general`, `general:rc` (the next one) or `general:deprecated` (the one before)."""
    normalization: bool = False
    """Numbers as digits. Costs another answer of the service after each final; flows understand number words."""
    literature_text: bool = False
    """Capitals and punctuation; needs `normalization`."""
    profanity_filter: bool = False
    """Hide swear-words."""
    chunk_ms: int = 200
    """Audio in one message, 20 to 400. What is left is sent at once at a pause and at the end of a turn."""
    lag_ms: float = 400.0
    """How far hypotheses usually trail the audio; endpointing waits in proportion. Not measured against the service."""
    keep_alive_s: float = 2.0
    """Between turns a little silence is sent this often; after 5 s without a message the service ends the session."""
    keep_alive_ms: int = 100
    """How much silence that is: it counts as audio, and is paid for."""
    renew_after_s: float = 240.0
    """A session of this age, or with so much audio, is replaced between two turns; 30 to 270."""
    first_answer_s: float = 5.0
    """Longest wait for an answer while audio is sent; then the session is replaced."""
    final_s: float = 1.5
    """Longest wait for a turn's final in one session; then the last hypothesis counts if it covers the turn, else the
    turn is sent anew."""
    turn_s: float = 6.0
    """Longest wait for a turn's final altogether; then the turn has failed."""
    write_s: float = 3.0
    """Longest wait for the service to take a message."""
    attempts: int = 3
    """Sessions in a row that may fail before the recogniser is given up for the call."""
    calls_per_connection: int = 50
    """Sessions that share one connection."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigurationError: an option is out of its range, or contradicts another.
        """
        _ = self.where
        if not self.model.strip():
            raise ConfigurationError("recognizer.yandex.model is empty; the usual one is 'general'")
        if self.literature_text and not self.normalization:
            raise ConfigurationError("recognizer.yandex.literature_text needs normalization; set it too, or neither")
        if self.chunk_ms % FRAME_MS:
            raise ConfigurationError(f"recognizer.yandex.chunk_ms must be a multiple of {FRAME_MS}")
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigurationError(
                    f"recognizer.yandex.{name} is {value:g}; it must be between {low:g} and {high:g}"
                )
        if self.turn_s < self.final_s:
            raise ConfigurationError("recognizer.yandex.turn_s must not be less than final_s")

    @property
    def where(self) -> Endpoint:
        """The service's endpoint."""
        return Endpoint(self.endpoint, self.ca_file, self.tls)


_RANGES: Final = (
    ("chunk_ms", FRAME_MS, _MOST_CHUNK_MS),
    ("lag_ms", 0, 5000),
    ("keep_alive_s", 0.1, 4.5),
    ("keep_alive_ms", 1, 1000),
    ("renew_after_s", 30, 270),
    ("first_answer_s", 0.1, 60),
    ("final_s", 0.1, 60),
    ("turn_s", 0.1, 60),
    ("write_s", 0.1, 60),
    ("attempts", 1, 10),
    ("calls_per_connection", 1, 1000),
)


def language_code(language: str) -> str | None:
    """SpeechKit's code of a language; None when it has none for it."""
    return CODES.get(language)
