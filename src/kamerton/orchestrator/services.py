"""Everything a call is given: shared engines behind narrow Protocols, wired by the composition root."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from kamerton.domain.audio import AudioFormat, Clip
from kamerton.domain.dialogue import Completeness, Expectation
from kamerton.domain.notices import CallObserver
from kamerton.domain.recognition import SpeechToText
from kamerton.domain.synthesis import SpeechChunk
from kamerton.domain.work import Worker
from kamerton.listening.listener import ListeningSettings
from kamerton.listening.vad import VadBatcher
from kamerton.orchestrator.metronome import Metronome
from kamerton.orchestrator.router import Router
from kamerton.orchestrator.settings import CallSettings


class Voice(Protocol):
    """What a call needs of the assistant's voice."""

    def cached(self, text: str, audio_format: AudioFormat) -> Clip | None:
        """Audio that is ready in memory; synchronous."""
        ...

    def stream(self, text: str, audio_format: AudioFormat) -> AsyncGenerator[SpeechChunk, None]:
        """Audio clause by clause, as soon as each is there."""
        ...

    async def clip(self, text: str, audio_format: AudioFormat) -> Clip:
        """The whole audio of a text; rendered ahead by speculation."""
        ...


@dataclass(frozen=True, slots=True)
class CallServices:
    """The parts that all calls of an assistant share."""

    assistant: str
    language: str
    router: Router
    voice: Voice
    stt: SpeechToText
    vad: VadBatcher
    metronome: Metronome
    brain_worker: Worker
    """Where the router runs: classification may take milliseconds."""
    observers: Sequence[CallObserver]
    phrases: Mapping[str, str]
    fillers: Mapping[str, Sequence[str]]
    completeness: Callable[[str, Expectation], Completeness]
    is_backchannel: Callable[[str, str], bool]
    call: CallSettings
    listening: ListeningSettings
