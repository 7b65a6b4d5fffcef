"""Which engines hear, understand, speak and talk, and their accounts: sections made of what registered itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field, model_validator

from kamerton.config.engine_sections import (
    EngineSection,
    LocalReserveSection,
    Section,
    accounts_section,
    with_engines,
)
from kamerton.llm.dual_context import MIN_WINDOW_TOKENS
from kamerton.llm.limits import TalkLimits
from kamerton.tts.voice_link import VOICE_BREAKER
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

    breaker: BreakerSettings = VOICE_BREAKER
    """When a voice that fails is passed over, and for how long."""
    first_audio_s: Seconds = 1.5
    """How long a service may take for its first audio; then the next voice speaks, within the same answer."""
    hedge: bool = False
    """Ask the next voice as well when a service takes longer than nine of ten times; the first audio is heard."""
    memory_mb: Annotated[int, Field(ge=1)] = 64
    """Rendered audio kept in memory."""


class _UnderstandingSettings(LocalReserveSection):
    """What compares meanings: intents, prepared answers, remembered answers."""

    package: ClassVar[str] = registry.EMBEDDINGS
    local_engines: ClassVar[tuple[str, ...]] = ("e5",)

    @property
    def chain(self) -> tuple[str, ...]:
        """The embedders to be used, best first; the bundled one is held in reserve where all others are services."""
        engines = registry.engines_in(self.package)
        if any(not engines[name].is_service for name in self.engine):
            return self.engine
        return super().chain


class _ModelSettings(EngineSection):
    """The language model that answers what nothing else answers; none is asked unless `engine` names one."""

    package: ClassVar[str] = registry.MODELS

    window_tokens: Annotated[int, Field(ge=1000)] = 8000
    """Length of conversation the model is given; the older part is summarised."""
    limits: TalkLimits = TalkLimits()
    """Of one spoken answer."""
    breaker: BreakerSettings = BreakerSettings()
    """When a model that fails is passed over, and for how long."""
    first_token_s: Seconds = 2.5
    """How long a model may take to begin while another one could be asked; then that one is, within the turn."""
    hedge: bool = False
    """Ask the next model as well when one takes longer than nine of ten times; the first token wins."""

    @property
    def conversation_tokens(self) -> int:
        """The window without what is reserved for the answer."""
        return self.window_tokens - self.limits.max_tokens

    @model_validator(mode="after")
    def _room_for_a_conversation(self) -> Self:
        if self.conversation_tokens < MIN_WINDOW_TOKENS:
            raise ValueError(
                f"window_tokens is {self.window_tokens} and limits.max_tokens {self.limits.max_tokens}: "
                f"{self.conversation_tokens} remain for the conversation, at least {MIN_WINDOW_TOKENS} are needed"
            )
        return self


if TYPE_CHECKING:
    AccountSettings = Section
    ModelSettings = _ModelSettings
    RecognizerSettings = _RecognizerSettings
    UnderstandingSettings = _UnderstandingSettings
    VoiceSettings = _VoiceSettings
else:
    AccountSettings = accounts_section()
    ModelSettings = with_engines(_ModelSettings)
    RecognizerSettings = with_engines(_RecognizerSettings)
    UnderstandingSettings = with_engines(_UnderstandingSettings)
    VoiceSettings = with_engines(_VoiceSettings)
