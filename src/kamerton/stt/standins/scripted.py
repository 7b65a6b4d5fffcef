"""Recognisers that hear nothing: they answer from a script, for load tests and simulated calls. No threads, no CPU."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final as FinalValue

from kamerton.domain.audio import AudioFormat, AudioFrame
from kamerton.domain.recognition import (
    Final,
    Partial,
    RecognitionHint,
    SttCapabilities,
    SttEvent,
    SttFailed,
    SttStream,
)
from kamerton.stt.event_box import EventBox

ANY_LANGUAGE: FinalValue = ("ru", "uk", "en")


@dataclass(frozen=True, slots=True)
class ScriptedTurn:
    """What a scripted recogniser makes of one turn, and how long that takes on the loop's clock.

    A turn that ends during the pause uses the pause's decode, as a real recogniser does: its final comes at once when
    the partial is there, or when the partial would have come.
    """

    text: str = ""
    alternatives: tuple[str, ...] = ()
    confidence: float = 1.0
    pause_texts: tuple[str, ...] = ()
    """What is heard up to the first, second, … pause; `text` at further ones."""
    partial_after_ms: float = 0.0
    """From `pause` to the stable partial. 0: before `pause` returns."""
    final_after_ms: float = 0.0
    """From `end_of_turn` to the final, when no pause's decode can be reused. 0: before it returns."""
    failure: str | None = None
    """Reason of an `SttFailed` that comes instead of the final."""
    retryable: bool = True


class ScriptedStream:
    """One call's stream from a script: each turn that ends takes one entry, an abandoned one none.

    After the script's end every turn is empty. A turn's delays run as timers on the event loop, so they are exact in
    virtual time and end with `close`.
    """

    def __init__(self, script: Sequence[ScriptedTurn], *, repeat_last: bool = False) -> None:
        self._script = tuple(script)
        self._repeat_last = repeat_last
        self._ended = 0
        self._events = EventBox()
        self._loop = asyncio.get_running_loop()
        self._turn: int | None = None
        self._pauses = 0
        self._partial: asyncio.TimerHandle | None = None
        self._covered = False
        self._finals: set[asyncio.TimerHandle] = set()

    @property
    def dropped_ms(self) -> float:
        """Nothing is ever dropped."""
        return 0.0

    def begin_turn(self, turn: int, hint: RecognitionHint, look_back: Sequence[AudioFrame] = ()) -> None:
        """Start a turn; the hint changes nothing."""
        self.abandon_turn()
        self._turn = turn

    def push(self, frame: AudioFrame) -> None:
        """Audio changes nothing."""

    def pause(self) -> None:
        """Announce the scripted hypothesis after its delay."""
        if self._turn is None or self._covered or self._partial is not None:
            return
        entry = self._entry()
        self._pauses += 1
        text = entry.pause_texts[self._pauses - 1] if self._pauses <= len(entry.pause_texts) else entry.text
        if entry.partial_after_ms <= 0:
            self._announce(self._turn, text, entry)
        else:
            delay_s = entry.partial_after_ms / 1000
            self._partial = self._loop.call_later(delay_s, self._announce, self._turn, text, entry)

    def resume(self) -> None:
        """Forget the pause."""
        self._covered = False
        if self._partial is not None:
            self._partial.cancel()
            self._partial = None

    def end_of_turn(self) -> None:
        """Deliver the scripted outcome after its delay."""
        if self._turn is None:
            return
        turn, entry, delay_s = self._turn, self._entry(), self._final_delay_s()
        self.abandon_turn()
        self._ended += 1
        if delay_s <= 0:
            self._events.put(_outcome(turn, entry))
        else:
            self._finals = {timer for timer in self._finals if timer.when() > self._loop.time()}
            self._finals.add(self._loop.call_later(delay_s, self._events.put, _outcome(turn, entry)))

    def abandon_turn(self) -> None:
        """Forget the turn; its script entry serves the next one."""
        self.resume()
        self._turn = None
        self._pauses = 0

    def __aiter__(self) -> AsyncIterator[SttEvent]:
        return self._events

    def close(self) -> None:
        """Cancel all timers and end the iteration."""
        self.abandon_turn()
        for timer in self._finals:
            timer.cancel()
        self._events.close()

    def _entry(self) -> ScriptedTurn:
        if self._ended < len(self._script):
            return self._script[self._ended]
        return self._script[-1] if self._script and self._repeat_last else ScriptedTurn()

    def _final_delay_s(self) -> float:
        if self._covered:
            return 0.0
        if self._partial is not None:
            return self._partial.when() - self._loop.time()
        return self._entry().final_after_ms / 1000

    def _announce(self, turn: int, text: str, entry: ScriptedTurn) -> None:
        self._partial = None
        self._covered = True
        alternatives = entry.alternatives if text == entry.text else ()
        self._events.put(Partial(turn, text, stable=True, alternatives=alternatives))


class ScriptedSpeechToText:
    """Plays scripts, one per call in the order of opening; the last one serves all further calls."""

    def __init__(self, *scripts: Sequence[ScriptedTurn]) -> None:
        self._scripts = scripts or ((),)
        self._opened = 0

    @property
    def name(self) -> str:
        """Name for logs and metrics."""
        return "scripted"

    @property
    def capabilities(self) -> SttCapabilities:
        """Any language; hypotheses at pauses only."""
        return SttCapabilities(ANY_LANGUAGE, partials_while_speaking=False)

    @asynccontextmanager
    async def open(self, audio_format: AudioFormat) -> AsyncIterator[SttStream]:
        """Open one call's stream."""
        script = self._scripts[min(self._opened, len(self._scripts) - 1)]
        self._opened += 1
        stream = ScriptedStream(script)
        try:
            yield stream
        finally:
            stream.close()

    async def aclose(self) -> None:
        """Nothing to free."""


class InstantSpeechToText:
    """Gives the same transcript for every turn of every call at once: the recogniser of `--stand-ins` and `bench`."""

    def __init__(self, text: str) -> None:
        self._script = (ScriptedTurn(text),)

    @property
    def name(self) -> str:
        """Name for logs and metrics."""
        return "instant"

    @property
    def capabilities(self) -> SttCapabilities:
        """Any language; hypotheses at pauses only."""
        return SttCapabilities(ANY_LANGUAGE, partials_while_speaking=False)

    @asynccontextmanager
    async def open(self, audio_format: AudioFormat) -> AsyncIterator[SttStream]:
        """Open one call's stream."""
        stream = ScriptedStream(self._script, repeat_last=True)
        try:
            yield stream
        finally:
            stream.close()

    async def aclose(self) -> None:
        """Nothing to free."""


def _outcome(turn: int, entry: ScriptedTurn) -> SttEvent:
    if entry.failure is not None:
        return SttFailed(turn, entry.failure, entry.retryable)
    return Final(turn, entry.text, entry.alternatives, entry.confidence)
