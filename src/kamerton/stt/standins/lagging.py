"""A scripted recogniser that streams as servers do: hypotheses trail the audio, and it may end utterances itself.

Timers on the loop only; on the virtual clock every instant is exact. What is said is placed in time, so a turn that
is cut too early loses exactly the words that come after the cut.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from kamerton.domain.audio import FRAME_MS, AudioFormat, AudioFrame
from kamerton.domain.recognition import (
    Final,
    Partial,
    RecognitionHint,
    SttCapabilities,
    SttEvent,
    SttStream,
    UtteranceEnded,
)
from kamerton.stt.event_box import EventBox
from kamerton.stt.standins.scripted import ANY_LANGUAGE
from kamerton.stt.utterances import JoinedUtterances


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word and where it lies, in milliseconds of its turn's audio (or of the call, see `LaggingSpeechToText`)."""

    text: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class StreamingTraits:
    """How a streaming engine behaves."""

    lag_ms: float = 300.0
    """From audio that is pushed to the hypothesis that covers it, and from the end of a turn to its final."""
    step_ms: float = 100.0
    """Audio between two hypotheses; whole frames."""
    continuous: bool = False
    """Wants the audio between turns; words given in one turn's final are then not given again in the next."""
    utterance_pause_ms: float | None = None
    """The engine ends an utterance itself once so much audio without a word has followed its last word."""
    tells_silence: bool = True
    """Hypotheses come although no word was added, so that their coverage grows in pauses; without it only with words,
    and at the end of a pause."""


@dataclass(slots=True)
class _Turn:
    """A turn that is open."""

    number: int
    words: Sequence[SpokenWord]
    start_ms: float
    """Where it began in all the audio that the engine heard."""
    call_ms: float = 0.0
    """Where it began in the call, when the script is one of the call."""
    utterances: JoinedUtterances = field(default_factory=JoinedUtterances)
    told: str = ""
    """Text of the last hypothesis."""
    ended_words: int = 0
    """Words in utterances that the engine has ended."""
    paused: bool = False

    def heard_words(self, covered_ms: float) -> Sequence[SpokenWord]:
        """The words that are whole in so much of the turn's audio."""
        return [word for word in self.words if word.end_ms <= covered_ms]


class LaggingStream:
    """One call's stream of a `LaggingSpeechToText`."""

    def __init__(self, traits: StreamingTraits, turns: Sequence[Sequence[SpokenWord]], *, by_call: bool) -> None:
        self._traits = traits
        self._script = turns
        self._by_call = by_call
        self._ended = 0
        self._given_until_ms = 0.0
        """In the call: up to here a continuous engine has given its words in finals."""
        self._events = EventBox()
        self._loop = asyncio.get_running_loop()
        self._heard_ms = 0.0
        self._due: deque[tuple[float, float]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._turn: _Turn | None = None
        self._finals: set[asyncio.TimerHandle] = set()
        self._closed = False

    @property
    def dropped_ms(self) -> float:
        """Nothing is ever dropped."""
        return 0.0

    def begin_turn(self, turn: int, hint: RecognitionHint, look_back: Sequence[AudioFrame] = ()) -> None:
        """Start a turn; a continuous engine has heard the look-back already."""
        self.abandon_turn()
        if self._closed:
            return
        start_ms = self._heard_ms - len(look_back) * FRAME_MS if self._traits.continuous else self._heard_ms
        self._turn = _Turn(turn, () if self._by_call else self._entry(), start_ms)
        if look_back:
            self._place(look_back[0])
        if not self._traits.continuous:
            for frame in look_back:
                self._hear(frame)

    def push(self, frame: AudioFrame) -> None:
        """Hear 20 ms; between turns only a continuous engine does."""
        if self._turn is not None and self._heard_ms == self._turn.start_ms:
            self._place(frame)
        if not self._closed and (self._turn is not None or self._traits.continuous):
            self._hear(frame)

    def pause(self) -> None:
        """A stable hypothesis follows once everything heard up to now is covered."""
        if self._turn is not None and not self._turn.paused:
            self._turn.paused = True
            self._schedule(self._heard_ms)

    def resume(self) -> None:
        """The caller goes on: hypotheses are not stable any more."""
        if self._turn is not None:
            self._turn.paused = False

    def end_of_turn(self) -> None:
        """The final comes when the lag has passed."""
        turn = self._turn
        if turn is None:
            return
        self._turn = None
        self._ended += 1
        self._hear_utterances(turn, self._heard_ms - turn.start_ms, told=False)
        words = turn.heard_words(self._heard_ms - turn.start_ms)
        if self._traits.continuous and words:
            self._given_until_ms = turn.call_ms + words[-1].end_ms
        final = Final(turn.number, turn.utterances.text)
        self._finals = {timer for timer in self._finals if timer.when() > self._loop.time()}
        self._finals.add(self._loop.call_later(self._traits.lag_ms / 1000, self._events.put, final))

    def abandon_turn(self) -> None:
        """Forget the turn; its words of the script serve the next one."""
        self._turn = None

    def __aiter__(self) -> AsyncIterator[SttEvent]:
        return self._events

    def close(self) -> None:
        """Cancel all timers and end the iteration."""
        self._closed = True
        self._turn = None
        if self._timer is not None:
            self._timer.cancel()
        for timer in self._finals:
            timer.cancel()
        self._events.close()

    def _entry(self) -> Sequence[SpokenWord]:
        return self._script[self._ended] if self._ended < len(self._script) else ()

    def _place(self, first: AudioFrame) -> None:
        """By call: the words that lie in the turn which begins with this frame, on the turn's own time."""
        if self._turn is None or not self._by_call:
            return
        start_ms = self._turn.call_ms = first.format.duration_ms(first.start_sample)
        self._turn.words = [
            SpokenWord(word.text, word.start_ms - start_ms, word.end_ms - start_ms)
            for word in self._script[0]
            if word.start_ms + word.end_ms >= 2 * start_ms and word.end_ms > self._given_until_ms
        ]

    def _hear(self, frame: AudioFrame) -> None:
        self._heard_ms += FRAME_MS
        if self._heard_ms % self._traits.step_ms == 0:
            self._schedule(self._heard_ms)

    def _schedule(self, heard_ms: float) -> None:
        """Cover so much of the audio after the lag; what falls on one instant is one hypothesis."""
        due_s = self._loop.time() + self._traits.lag_ms / 1000
        if self._due and self._due[-1][0] == due_s:
            self._due.pop()
        self._due.append((due_s, heard_ms))
        if self._timer is None:
            self._timer = self._loop.call_at(self._due[0][0], self._cover)

    def _cover(self) -> None:
        _, heard_ms = self._due.popleft()
        self._timer = self._loop.call_at(self._due[0][0], self._cover) if self._due else None
        turn = self._turn
        if turn is None or heard_ms <= turn.start_ms:
            return
        covers_ms = heard_ms - turn.start_ms
        self._hear_utterances(turn, covers_ms, told=True)
        text = turn.utterances.text
        if self._traits.tells_silence or turn.paused or text != turn.told:
            turn.told = text
            self._events.put(Partial(turn.number, text, stable=turn.paused, covers_ms=covers_ms))

    def _hear_utterances(self, turn: _Turn, covers_ms: float, *, told: bool) -> None:
        """Bring the turn's text up to this coverage; ends of utterances that lie in it are told as events."""
        words = turn.heard_words(covers_ms)
        pause_ms = math.inf if self._traits.utterance_pause_ms is None else self._traits.utterance_pause_ms
        for index in range(turn.ended_words, len(words)):
            end_ms = words[index].end_ms + pause_ms
            next_start_ms = turn.words[index + 1].start_ms if index + 1 < len(turn.words) else math.inf
            if end_ms <= min(covers_ms, next_start_ms):
                turn.utterances.ended(_joined(words[turn.ended_words : index + 1]))
                turn.ended_words = index + 1
                if told:
                    self._events.put(UtteranceEnded(turn.number, covers_ms=end_ms))
        turn.utterances.hypothesis(_joined(words[turn.ended_words :]))


class LaggingSpeechToText:
    """A streaming recogniser from a script, for simulated calls and the conformance suite.

    Args of the constructor: the words of the first, second, … ended turn, on each turn's own time (0 is its first
    frame, look-back included). `of_call` takes the words of a whole call instead.
    """

    def __init__(self, *turns: Sequence[SpokenWord], traits: StreamingTraits | None = None) -> None:
        self._turns = turns
        self._traits = traits or StreamingTraits()
        self._by_call = False

    @classmethod
    def of_call(cls, *words: SpokenWord, traits: StreamingTraits | None = None) -> LaggingSpeechToText:
        """Words placed in the time of the call, by the frames' `start_sample`.

        However the turns are cut, each gives the words whose greater part lies in its audio. A stream that is opened
        anew goes on in the same call.
        """
        made = cls(words, traits=traits)
        made._by_call = True
        return made

    @property
    def name(self) -> str:
        """Name for logs and metrics."""
        return "lagging"

    @property
    def capabilities(self) -> SttCapabilities:
        """Any language; hypotheses while the caller speaks, which trail by the lag."""
        return SttCapabilities(
            ANY_LANGUAGE,
            partials_while_speaking=True,
            continuous=self._traits.continuous,
            lag_ms=self._traits.lag_ms,
        )

    @asynccontextmanager
    async def open(self, audio_format: AudioFormat) -> AsyncIterator[SttStream]:
        """Open one call's stream."""
        stream = LaggingStream(self._traits, self._turns, by_call=self._by_call)
        try:
            yield stream
        finally:
            stream.close()

    async def aclose(self) -> None:
        """Nothing to free."""


def _joined(words: Sequence[SpokenWord]) -> str:
    return " ".join(word.text for word in words)
