"""What differs between the vendor's models. Source: its models page and the clients of pipecat and livekit (2026)."""

from __future__ import annotations

from typing import Final

LANGUAGES: Final = (
    *("ru", "uk", "en", "ja", "zh", "de", "hi", "fr", "ko", "pt", "it", "es", "id", "nl", "tr", "fil", "pl", "sv"),
    *("bg", "ro", "ar", "cs", "el", "fi", "hr", "ms", "sk", "da", "ta"),
)
"""Of every multilingual model; Russian and Ukrainian are tested here, the others follow the vendor's list."""
_NEWER_LANGUAGES: Final = ("hu", "no", "vi")
_TAKES_LANGUAGE: Final = ("eleven_flash_v2_5", "eleven_turbo_v2_5", "eleven_v3", "eleven_v4")
"""How the names of models begin that are told the language; others find it out, and refuse to be told."""
_ENGLISH_ONLY: Final = ("eleven_flash_v2", "eleven_turbo_v2", "eleven_monolingual_v1")
_WITHOUT_WEBSOCKET: Final = ("eleven_v3",)
"""The vendor's guide: multi-context WebSockets are not available for it."""


def languages_of(model: str) -> tuple[str, ...]:
    """What a model speaks."""
    if model in _ENGLISH_ONLY:
        return ("en",)
    return (*LANGUAGES, *_NEWER_LANGUAGES) if takes_language(model) else LANGUAGES


def takes_language(model: str) -> bool:
    """Whether a request names the language; a model that finds it out by itself refuses one that does."""
    return model.startswith(_TAKES_LANGUAGE)


def has_websocket(model: str) -> bool:
    """Whether it speaks over the multi-context WebSocket."""
    return not model.startswith(_WITHOUT_WEBSOCKET)
