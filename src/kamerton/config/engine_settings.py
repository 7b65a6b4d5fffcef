"""Which engines hear and speak, and the accounts they use: sections made of what registered itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from kamerton.config.engine_sections import LocalReserveSection, Section, accounts_section, with_engines
from kamerton.vendors import registry
from kamerton.vendors.breaker import BreakerSettings

Seconds = Annotated[float, Field(gt=0, le=60)]


class _RecognizerSettings(LocalReserveSection):
    """Speech to text."""

    package: ClassVar[str] = registry.RECOGNIZERS
    local_engines: ClassVar[tuple[str, ...]] = ("whisper",)

    breaker: BreakerSettings = BreakerSettings()
    """When an engine that fails is passed over, and for how long."""
    final_s: Seconds = 2.5
    """How long a service may take for the transcript of an ended turn; then the next engine reads the turn."""
    open_s: Seconds = 2.0
    """How long a service may take to open a call's stream; what is said meanwhile is kept."""


class _VoiceSettings(LocalReserveSection):
    """Text to speech."""

    package: ClassVar[str] = registry.VOICES
    local_engines: ClassVar[tuple[str, ...]] = ("piper", "festival", "espeak")

    memory_mb: Annotated[int, Field(ge=1)] = 64
    """Rendered audio kept in memory."""


if TYPE_CHECKING:
    AccountSettings = Section
    RecognizerSettings = _RecognizerSettings
    VoiceSettings = _VoiceSettings
else:
    AccountSettings = accounts_section()
    RecognizerSettings = with_engines(_RecognizerSettings)
    VoiceSettings = with_engines(_VoiceSettings)
