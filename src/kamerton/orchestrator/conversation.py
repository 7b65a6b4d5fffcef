"""What a call has agreed on so far: the session, and the decisions that move it. Speculation lives here.

A decision has no side effect until it is committed, so it may be made on a pause, before the turn has ended, and
dropped when the caller goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import anyio

from kamerton.domain.audio import AudioFormat
from kamerton.domain.dialogue import Expectation, SessionState
from kamerton.domain.recognition import RecognitionHint
from kamerton.orchestrator.router import Decision
from kamerton.orchestrator.services import CallServices

_SENTENCE_ENDS = ".!?… "


@dataclass(slots=True, eq=False)
class Speculation:
    """A decision made ahead of the end of a turn."""

    readings: tuple[str, ...]
    done: anyio.Event
    decision: Decision | None = None


class Conversation:
    """The dialogue of one call. Only its orchestrator's tasks use it."""

    def __init__(self, services: CallServices, call_id: str) -> None:
        self._services = services
        self.opening = services.router.begin(call_id)
        self.session: SessionState = self.opening.session
        self._before: SessionState = self.session
        self._carried: tuple[str, ...] = ()
        self._speculation: Speculation | None = None
        self.speculated = 0
        self.speculation_hits = 0

    @property
    def expectation(self) -> Expectation:
        """What the current state expects of the caller."""
        return self._services.router.expectation(self.session)

    @property
    def hint(self) -> RecognitionHint:
        """What the recogniser may expect."""
        return RecognitionHint(self._services.language, self.expectation.phrases)

    def readings(self, text: str, alternatives: tuple[str, ...]) -> tuple[str, ...]:
        """The possible transcripts of a turn, with the words of an unanswered turn before it put in front."""
        own = tuple(dict.fromkeys(reading for reading in (text, *alternatives) if reading.strip()))
        if not self._carried:
            return own
        # The recogniser took a pause for the end of a sentence, which it was not.
        before = self._carried[0].rstrip(_SENTENCE_ENDS)
        joined = tuple(f"{before} {reading}" for reading in own) or self._carried
        return tuple(dict.fromkeys((*joined, *own)))

    def carry(self, readings: tuple[str, ...]) -> None:
        """The turn was not answered and goes on: its words belong to the next transcript."""
        self._carried = readings

    def commit(self, decision: Decision) -> None:
        """The answer starts to sound: the session moves on."""
        self._before = self.session
        self.session = decision.session
        self._carried = ()
        self._speculation = None

    def take_back(self, readings: tuple[str, ...]) -> None:
        """The last turn had not been over after all: undo its decision and keep its words."""
        self.session = replace(self._before)
        self._speculation = None
        self.carry(readings)

    async def speculate(self, readings: tuple[str, ...], audio_format: AudioFormat) -> None:
        """Decide ahead and have the first words rendered. Safe to cancel; a newer speculation replaces this one."""
        if self._speculation is not None and self._speculation.readings == readings:
            return
        speculation = Speculation(readings, anyio.Event())
        self._speculation = speculation
        self.speculated += 1
        try:
            session = self.session
            router = self._services.router
            decision = await self._services.brain_worker.run(lambda: router.decide(session, readings))
            if self.session is session:
                speculation.decision = decision
        finally:
            speculation.done.set()
        if speculation.decision is not None and speculation.decision.playlist:
            first = speculation.decision.playlist[0].text
            if self._services.voice.cached(first, audio_format) is None:
                await self._services.voice.clip(first, audio_format)

    async def decide(self, readings: tuple[str, ...]) -> Decision:
        """Decide a turn, reusing what was decided ahead for the same words. Safe to cancel."""
        speculation = self._speculation
        if speculation is not None and speculation.readings == readings:
            await speculation.done.wait()
            if speculation.decision is not None:
                self.speculation_hits += 1
                return speculation.decision
        session = self.session
        router = self._services.router
        return await self._services.brain_worker.run(lambda: router.decide(session, readings))
