"""One recogniser over all recordings: each is a call of one turn, cut as a call cuts it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import anyio

from kamerton.domain.audio import FRAME_MS, AudioFrame
from kamerton.domain.recognition import Final as FinalEvent
from kamerton.domain.recognition import Partial, RecognitionHint, SpeechToText, SttFailed, SttStream
from kamerton.testing.comparison.samples import Sample

LOOK_BACK_S: Final = 0.3
"""Audio that a turn gets from before its speech."""
PAUSE_S: Final = 0.08
"""Silence after which the recogniser is told of a pause."""
TURN_END_S: Final = 0.24
"""Silence after which a call ends a turn that sounds complete."""
GIVE_UP_AFTER: Final = 5
"""Failures in a row after which the rest is not tried: each may take the whole deadline."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """What a recogniser made of a recording. Times in milliseconds."""

    sample: str
    text: str = ""
    failure: str = ""
    """Why there is no text; empty when there is."""
    final_ms: float | None = None
    """From the turn's end to its transcript."""
    after_speech_ms: float | None = None
    """From the last sound of speech to the transcript, with the pause that ends the turn; in real time only."""
    first_words_ms: float | None = None
    """From the turn's beginning to the first hypothesis with words in it; in real time only."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How recordings are played."""

    language: str = "ru"
    real_time: bool = True
    """At the pace at which they were spoken; else as fast as the engine takes them."""
    deadline_s: float = 15.0
    """For a transcript after the turn's end, and for opening a call's stream."""


@dataclass(slots=True)
class _Turn:
    """One turn under way. Instants on the loop's clock."""

    begun_s: float = 0.0
    speech_end_s: float = 0.0
    ended_s: float | None = None
    first_words_s: float | None = None
    final_s: float = 0.0
    text: str = ""
    failure: str = ""


async def hear_all(
    stt: SpeechToText, samples: Sequence[Sample], plan: Plan, heard: Callable[[Hearing], None]
) -> tuple[Hearing, ...]:
    """Play every recording to a recogniser; failures are results. Safe to cancel.

    Args:
        stt: the recogniser, which stays open.
        samples: what is played.
        plan: how.
        heard: told of each result.
    """
    hearings: list[Hearing] = []
    in_a_row = 0
    for sample in samples:
        if in_a_row >= GIVE_UP_AFTER:
            hearing = Hearing(sample.name, failure=f"not tried after {GIVE_UP_AFTER} failures in a row")
        else:
            hearing = await hear(stt, sample, plan)
            in_a_row = in_a_row + 1 if hearing.failure else 0
        hearings.append(hearing)
        heard(hearing)
    return tuple(hearings)


async def hear(stt: SpeechToText, sample: Sample, plan: Plan) -> Hearing:
    """Play one recording to a recogniser, through a stream of its own."""
    turn = _Turn()
    played_s = len(sample.frames) * FRAME_MS / 1000 if plan.real_time else 0.0
    try:
        with anyio.fail_after(played_s + 2 * plan.deadline_s):
            async with stt.open(sample.format) as stream, anyio.create_task_group() as tasks:
                tasks.start_soon(_listen, stream, turn, tasks.cancel_scope)
                await _play(stream, sample, plan, turn, continuous=stt.capabilities.continuous)
                turn.failure = f"no transcript within {plan.deadline_s:g} s"
                await anyio.sleep(plan.deadline_s)
                tasks.cancel_scope.cancel()
    except TimeoutError:
        turn.failure = f"the engine took more than {plan.deadline_s:g} s to open a call or to take its audio"
    except Exception as fault:  # the border to the engine: whatever it raises is this recording's failure
        turn.failure = _told(fault)
    return _hearing(sample, plan, turn)


async def _listen(stream: SttStream, turn: _Turn, playing: anyio.CancelScope) -> None:
    """Take note of what the recogniser tells, up to the turn's outcome."""
    async for event in stream:
        now_s = anyio.current_time()
        if isinstance(event, Partial) and event.text.strip() and turn.first_words_s is None and turn.ended_s is None:
            turn.first_words_s = now_s
        elif isinstance(event, FinalEvent):
            turn.text, turn.failure, turn.final_s = event.text, "", now_s
            break
        elif isinstance(event, SttFailed):
            turn.failure = event.reason or "the engine failed without a reason"
            break
    else:
        turn.failure = "the engine's stream ended without a transcript"
    playing.cancel()


async def _play(stream: SttStream, sample: Sample, plan: Plan, turn: _Turn, *, continuous: bool) -> None:
    """Give the audio as a call does: look-back, speech, a pause, the end of the turn."""
    begin = _frame(sample.start_s)
    look_back = sample.frames[max(0, begin - _frame(LOOK_BACK_S)) : begin]
    speech_end, pause = _frame(sample.end_s), _frame(sample.end_s + PAUSE_S)
    started_s = anyio.current_time()
    for place in range(_frame(sample.end_s + TURN_END_S)):
        if plan.real_time:
            await anyio.sleep_until(started_s + place * FRAME_MS / 1000)
        else:
            await anyio.lowlevel.checkpoint()
        if place == begin:
            turn.begun_s = anyio.current_time()
            stream.begin_turn(1, RecognitionHint(plan.language), look_back)
        if place >= begin or continuous:
            stream.push(_at(sample, place))
        if place == speech_end - 1:
            turn.speech_end_s = anyio.current_time()
        if place == pause:
            stream.pause()
    if plan.real_time:
        await anyio.sleep_until(started_s + _frame(sample.end_s + TURN_END_S) * FRAME_MS / 1000)
    turn.ended_s = anyio.current_time()
    stream.end_of_turn()


def _frame(second: float) -> int:
    return round(second * 1000 / FRAME_MS)


def _at(sample: Sample, place: int) -> AudioFrame:
    if place < len(sample.frames):
        return sample.frames[place]
    return AudioFrame(sample.format.silence(), sample.format, place * sample.format.frame_samples)


def _hearing(sample: Sample, plan: Plan, turn: _Turn) -> Hearing:
    if turn.failure:
        return Hearing(sample.name, failure=turn.failure)
    first_s = turn.first_words_s
    return Hearing(
        sample.name,
        turn.text,
        final_ms=1000 * (turn.final_s - turn.ended_s) if turn.ended_s is not None else 0.0,
        after_speech_ms=1000 * (turn.final_s - turn.speech_end_s) if plan.real_time else None,
        first_words_ms=1000 * (first_s - turn.begun_s) if plan.real_time and first_s is not None else None,
    )


def _told(fault: BaseException) -> str:
    """The first of the causes, in words."""
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    return str(fault) or type(fault).__name__


def cpu_s() -> float:
    """Processor time of this process so far, all threads together."""
    return time.process_time()
