"""What is known of the vendor's voices (its page «List of voices», 2026). A Brand Voice of one's own is not here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_RUSSIAN: Final[Mapping[str, tuple[str, ...]]] = {
    "alena": ("neutral", "good"),
    "filipp": (),
    "ermil": ("neutral", "good"),
    "jane": ("neutral", "good", "evil"),
    "omazh": ("neutral", "evil"),
    "zahar": ("neutral", "good"),
    "dasha": ("neutral", "good", "friendly"),
    "julia": ("neutral", "strict"),
    "lera": ("neutral", "friendly"),
    "masha": ("good", "strict", "friendly"),
    "marina": ("neutral", "whisper", "friendly"),
    "alexander": ("neutral", "good"),
    "kirill": ("neutral", "strict", "good"),
    "anton": ("neutral", "good"),
    "madi_ru": (),
    "saule_ru": ("neutral", "strict", "whisper"),
    "zamira_ru": ("neutral", "strict", "friendly"),
    "zhanar_ru": ("neutral", "strict", "friendly"),
    "yulduz_ru": ("neutral", "strict", "friendly", "whisper"),
}
_OF_OTHERS: Final[Mapping[str, str]] = {
    "lea": "de",
    "john": "en",
    "naomi": "he",
    "amira": "kk",
    "madi": "kk",
    "saule": "kk",
    "zhanar": "kk",
    "nigora": "uz",
    "zamira": "uz",
    "yulduz": "uz",
}

LANGUAGES: Final = ("ru",)
"""Of the languages that assistants speak; no voice of the vendor's speaks Ukrainian."""


def language_of(voice: str) -> str:
    """What a voice speaks; one that is not known here is taken for a Russian one."""
    return _OF_OTHERS.get(voice, "ru")


def known_roles(voice: str) -> tuple[str, ...] | None:
    """Roles of a Russian voice, the usual one first; None when the voice is not known here."""
    return _RUSSIAN.get(voice)
