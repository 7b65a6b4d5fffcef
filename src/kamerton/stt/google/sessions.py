"""The streams of one call at the service: opened, read, and the next one ahead of its turn."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from kamerton.domain.audio import SAMPLE_BYTES, AudioFormat
from kamerton.domain.errors import VendorError
from kamerton.domain.recognition import SttReconnected
from kamerton.stt.google.answers import Heard
from kamerton.stt.google.lines import Lines, SpeechLine
from kamerton.stt.google.models import ModelChoice, Setup
from kamerton.stt.google.options import GoogleSttOptions
from kamerton.stt.google.utterance import Utterance
from kamerton.vendors.usage import Usage, UsageMeter


@dataclass(slots=True, eq=False)
class Session:
    """A stream of the service under way; a task of its own holds it and reads."""

    setup: Setup
    language: str
    opened_s: float
    utterance: Utterance | None = None
    """Whose words it carries; None: opened ahead, or left."""
    used: bool = False
    """It was opened for a turn, or taken by one: what becomes of it is the turn's affair."""
    line: SpeechLine | None = None
    """None until it stands."""
    worked: bool = False
    """It has answered."""
    over: bool = False
    failure: VendorError | None = None
    broken: SttReconnected | None = None
    """What broke before, to be told when this one answers."""
    sent_bytes: int = 0
    changed: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    @property
    def left(self) -> bool:
        """It is over because we left it, or did not use it in time."""
        return self.over and self.failure is None and self.scope.cancel_called

    def wake(self) -> None:
        """Something is new for who sends."""
        self.changed.set()

    def leave(self) -> None:
        """It is done with: the request is freed, and whatever it still says is heard by nobody."""
        self.utterance = None
        self.scope.cancel()


class Sessions:
    """Opens a call's streams. Plain calls on its loop, but for `hold`.

    Args:
        options: of the recogniser.
        audio_format: of the call.
        choice: of what is asked for.
        lines: to the service.
        usage: is told of the audio of each stream.
        heard: takes the answers of streams that carry a turn.
    """

    def __init__(
        self,
        options: GoogleSttOptions,
        audio_format: AudioFormat,
        choice: ModelChoice,
        lines: Lines,
        usage: UsageMeter,
        heard: Callable[[Session, Utterance, Heard], None],
    ) -> None:
        self._options = options
        self._format = audio_format
        self._choice = choice
        self._lines = lines
        self._usage = usage
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self.ahead: Session | None = None
        """The one that waits for its turn."""
        self.opened = 0
        """How many were opened."""

    def for_turn(self, group: TaskGroup, utterance: Utterance) -> Session:
        """The stream that was opened ahead if it fits, else a new one, which a task of the group holds."""
        setup = self._choice.setup(utterance.language, utterance.phrases)
        ahead, self.ahead = self.ahead, None
        if ahead is not None and ahead.setup == setup and not ahead.over:
            ahead.utterance, ahead.used = utterance, True
            ahead.scope.deadline = math.inf
            return ahead
        if ahead is not None:
            ahead.leave()
        session = Session(setup, utterance.language, self._loop.time(), utterance, used=True)
        group.start_soon(self._hold, session)
        return session

    async def open_ahead(self, language: str, phrases: tuple[str, ...]) -> Session:
        """Open one for a turn that is expected, and hold it until it is over: taken, too old, or failed."""
        now_s = self._loop.time()
        session = self.ahead = Session(self._choice.setup(language, phrases), language, now_s)
        session.scope.deadline = now_s + self._options.warm_s
        await self._hold(session)
        if self.ahead is session:
            self.ahead = None
        return session

    def distrust(self, session: Session) -> None:
        """It hung: its connection is not used for others."""
        if session.line is not None:
            self._lines.distrust(session.line)

    async def _hold(self, session: Session) -> None:
        """Hold a stream and read it until it is left, or ends."""
        try:
            with session.scope:
                async with self._lines.line(session.setup, self._format) as line:
                    session.line = line
                    self.opened += 1
                    session.wake()
                    while (heard := await line.read()) is not None:
                        session.worked = True
                        if session.utterance is not None:
                            self._heard(session, session.utterance, heard)
                            session.wake()
        except VendorError as failure:
            session.failure = failure
        finally:
            session.over = True
            self._record(session)
            session.wake()

    def _record(self, session: Session) -> None:
        if session.sent_bytes:
            seconds = self._format.duration_ms(session.sent_bytes // SAMPLE_BYTES) / 1000
            self._usage.record(Usage("recognizer", "google", "seconds", seconds, session.setup.candidate.model))
