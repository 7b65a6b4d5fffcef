"""Everything a call is given: shared engines behind narrow Protocols, wired by the composition root."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from kamerton.domain.audio import AudioFormat, Clip
from kamerton.domain.billing import Bill
from kamerton.domain.dialogue import Completeness, Expectation, SessionState
from kamerton.domain.notices import CallObserver
from kamerton.domain.recognition import SpeechToText
from kamerton.domain.synthesis import SpeechChunk
from kamerton.listening.listener import ListeningSettings
from kamerton.listening.vad import VadBatcher
from kamerton.orchestrator.fillers import ExpectedWait
from kamerton.orchestrator.metronome import Metronome
from kamerton.orchestrator.model_reply import Talk
from kamerton.orchestrator.recent_calls import RecentCalls
from kamerton.orchestrator.router import Router
from kamerton.orchestrator.settings import CallSettings
from kamerton.orchestrator.stopping import Stopping


class Voice(Protocol):
    """What a call needs of the assistant's voice."""

    def cached(self, text: str, audio_format: AudioFormat) -> Clip | None:
        """Audio that is ready in memory; synchronous."""
        ...

    def stream(self, text: str, audio_format: AudioFormat) -> AsyncGenerator[SpeechChunk, None]:
        """Audio clause by clause, as soon as each is there."""
        ...

    def speak(self, pieces: AsyncIterable[str], audio_format: AudioFormat) -> AsyncGenerator[SpeechChunk, None]:
        """Audio of a text that is still being written; closing it closes `pieces`."""
        ...

    async def clip(self, text: str, audio_format: AudioFormat) -> Clip:
        """The whole audio of a text; rendered ahead by speculation."""
        ...


class Sessions(Protocol):
    """Where the sessions of running calls are kept, for other processes to see."""

    def keep(self, session: SessionState) -> None:
        """Note the newest session of a call; never waits.

        Raises:
            EngineError: the session holds what cannot be kept.
        """
        ...

    def forget(self, call_id: str) -> None:
        """The call came to its end: nobody will go on with it. Never waits."""
        ...


class ModelAnswers(Protocol):
    """Learns which answers of the language model are worth keeping."""

    async def learn(self, question: str, answer: str, personal: Sequence[Any]) -> None:
        """Consider an answer that a caller heard to its end.

        Args:
            question: the caller's words.
            answer: what the model said.
            personal: values known only to this call, lists and mappings of such too; an answer that holds one of them
                is not kept.
        """
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
    observers: Sequence[CallObserver]
    phrases: Mapping[str, str]
    fillers: Mapping[str, Sequence[str]]
    completeness: Callable[[str, Expectation], Completeness]
    is_backchannel: Callable[[str, str], bool]
    call: CallSettings
    listening: ListeningSettings
    talk: Callable[[str], Talk] | None = None
    """Opens the conversation of a call, named by its id, with the language model, if there is one."""
    model_answers: ModelAnswers | None = None
    waits: ExpectedWait = field(default_factory=ExpectedWait)
    """How long answers take, learned over all calls."""
    sessions: Sessions | None = None
    stopping: Stopping = field(default_factory=Stopping)
    """The service's wish to stop."""
    recent: RecentCalls = field(default_factory=RecentCalls)
    """Where the dialogues of calls stood that ended before their time: the same call may come back."""
    bill: Callable[[str], Bill] = lambda call_id: Bill()
    """What a call, named by its id, used of services so far."""
