"""The real network on lines that return our own voice: it is never taken for a caller; one above it is heard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import anyio
import numpy as np
import pytest
from echo_lines import EchoLine, Samples, frames, loudness, our_voice, recording

from kamerton.domain.audio import PHONE, WIDEBAND, AudioFormat, AudioFrame
from kamerton.domain.recognition import RecognitionHint, SttEvent
from kamerton.listening.echo import EchoEstimate
from kamerton.listening.listener import Listener, ListeningSettings
from kamerton.listening.segmenter import SegmentEvent, SpeechStarted, SpeechSuspected
from kamerton.listening.silero import SileroModel, find_silero
from kamerton.listening.vad import VadBatcher
from kamerton.orchestrator.workers import InlineWorker
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = [pytest.mark.anyio, pytest.mark.engine]
SECONDS = 40.0
CALLERS = ("number-150", "number-25", "number-1", "synthetic/weather", "synthetic/operator", "synthetic/repeat")


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


@pytest.fixture(scope="module")
def silero() -> SileroModel:
    return SileroModel(find_silero())


class Unheard:
    """A recogniser's stream that hears nothing."""

    dropped_ms = 0.0

    def begin_turn(self, turn: int, hint: RecognitionHint, look_back: Sequence[AudioFrame] = ()) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def end_of_turn(self) -> None: ...
    def abandon_turn(self) -> None: ...
    def push(self, frame: AudioFrame) -> None: ...

    def __aiter__(self) -> AsyncIterator[SttEvent]:
        raise NotImplementedError


@dataclass
class Heard:
    """What came of a call, instants in seconds since its start."""

    events: list[tuple[float, SegmentEvent]] = field(default_factory=list)
    estimate: EchoEstimate | None = None

    def at(self, kind: type[SegmentEvent], since_s: float = 0.0, until_s: float = 1e9) -> list[float]:
        return [at_s for at_s, event in self.events if isinstance(event, kind) and since_s <= at_s < until_s]


async def listened(
    model: SileroModel, audio_format: AudioFormat, sent: Samples, arriving: Samples, begins: Sequence[float] = ()
) -> Heard:
    """Let a listener hear a line. Before each of the instants in `begins` a turn that was open is given up."""
    heard = Heard()
    batcher = VadBatcher(model, InlineWorker())
    start_s = anyio.current_time()
    listener = Listener(
        audio_format,
        batcher,
        Unheard(),
        ListeningSettings(),
        anyio.current_time,
        lambda event: heard.events.append((anyio.current_time() - start_s, event)),
    )
    given_up = [round(at_s / 0.02) for at_s in begins]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(batcher.run)
        pairs = zip(frames(sent, audio_format), frames(arriving, audio_format), strict=True)
        for number, (said, caller) in enumerate(pairs):
            if number in given_up:
                listener.abandon_turn()
            now_s = anyio.current_time()
            if any(said):
                listener.said(said, now_s)
            await anyio.sleep_until(start_s + (number + 1) * 0.02)
            listener.hear(AudioFrame(caller, audio_format, 0))
        await anyio.sleep(0.1)
        heard.estimate = listener.echo
        listener.close()
        tasks.cancel_scope.cancel()
    return heard


LINES = [
    *(EchoLine(loss_db, delay_ms) for loss_db in (-12.0, -20.0, -30.0) for delay_ms in (60.0, 200.0, 400.0)),
    EchoLine(-12.0, 200.0, jitter=True),
    EchoLine(-25.0, 120.0, jitter=True),
    EchoLine(-20.0, 60.0, room=True),
    EchoLine(-12.0, 400.0, room=True),
    EchoLine(-20.0, 200.0, mu_law=True),
    EchoLine(-12.0, 200.0, room=True, loudspeaker=True, mu_law=True),
]


@pytest.mark.parametrize("line", LINES, ids=str)
async def test_our_own_voice_is_never_taken_for_a_caller(line: EchoLine, silero: SileroModel) -> None:
    sent = our_voice(PHONE, SECONDS)
    heard = await listened(silero, PHONE, sent, line.back(sent, PHONE))
    assert heard.at(SpeechStarted) == []
    assert len(heard.at(SpeechSuspected)) <= 3
    assert heard.estimate is not None
    assert heard.estimate.delay_ms == pytest.approx(line.delay_ms, abs=45)
    assert heard.estimate.return_loss_db == pytest.approx(-line.return_loss_db, abs=4)


async def test_wideband_calls_are_protected_as_well(silero: SileroModel) -> None:
    sent = our_voice(WIDEBAND, SECONDS)
    heard = await listened(silero, WIDEBAND, sent, EchoLine(-12.0, 200.0).back(sent, WIDEBAND))
    assert heard.at(SpeechStarted) == []
    assert len(heard.at(SpeechSuspected)) <= 3


def calling(seconds: float, level_dbfs: float, seed: int) -> tuple[Samples, list[float], list[float]]:
    """A caller who speaks every four seconds; when each utterance begins, and when it is over."""
    random = np.random.default_rng(seed)
    line = np.zeros(int(seconds * PHONE.rate_hz))
    begins, ends = [], []
    for number, name in enumerate(CALLERS * 3):
        start = int((4.0 * (number + 1) + random.uniform(0, 0.7)) * PHONE.rate_hz)
        speech = recording(name, PHONE, level_dbfs)
        if start + len(speech) > len(line) - PHONE.rate_hz:
            break
        line[start : start + len(speech)] += speech
        powers = (speech[: len(speech) // 80 * 80].reshape(-1, 80) ** 2).mean(axis=1)
        first = int(np.flatnonzero(powers > powers.max() / 1000)[0]) * 80
        begins.append((start + first) / PHONE.rate_hz)
        ends.append((start + len(speech)) / PHONE.rate_hz)
    return line, begins, ends


@pytest.mark.parametrize("above_db", [6.0, 12.0])
async def test_a_caller_above_the_echo_is_heard_in_good_time(above_db: float, silero: SileroModel) -> None:
    late_s: list[float] = []
    missed = 0
    for seed, (loss_db, delay_ms) in enumerate([(-12.0, 200.0), (-20.0, 60.0), (-30.0, 400.0)]):
        sent = our_voice(PHONE, SECONDS)
        line = EchoLine(loss_db, delay_ms)
        echo = line.back(sent, PHONE)
        caller, begins, ends = calling(SECONDS, 20 * np.log10(loudness(echo) / 32768) + above_db, seed)
        resets = [*(at_s - 0.1 for at_s in begins), *(at_s + 0.5 for at_s in ends)]
        clean = await listened(silero, PHONE, np.zeros_like(sent), caller, resets)
        heard = await listened(silero, PHONE, sent, echo + caller, resets)
        for begin_s, end_s in zip(begins, ends, strict=True):
            alone = clean.at(SpeechStarted, begin_s - 0.1, end_s)
            started = heard.at(SpeechStarted, begin_s - 0.1, end_s)
            if started and alone:
                late_s.append(started[0] - alone[0])
            missed += not started
    assert len(late_s) >= 20
    assert missed <= 0.05 * (missed + len(late_s))
    assert np.quantile(late_s, 0.5) <= 0.1
    assert np.quantile(late_s, 0.95) <= 0.3


async def test_on_a_line_without_echo_nothing_is_different(silero: SileroModel) -> None:
    sent = our_voice(PHONE, SECONDS)
    caller, begins, ends = calling(SECONDS, -28.0, 5)
    resets = [*(at_s - 0.1 for at_s in begins), *(at_s + 0.5 for at_s in ends)]
    silent = await listened(silero, PHONE, np.zeros_like(sent), caller, resets)
    speaking = await listened(silero, PHONE, sent, caller, resets)
    assert len(silent.at(SpeechStarted)) >= len(begins)
    assert [type(event) for _, event in speaking.events] == [type(event) for _, event in silent.events]
    assert [at_s for at_s, _ in speaking.events] == pytest.approx([at_s for at_s, _ in silent.events])
    assert speaking.estimate is None


async def test_an_echo_that_comes_in_mid_call_is_learned_and_one_that_goes_is_forgotten(silero: SileroModel) -> None:
    sent = our_voice(PHONE, SECONDS)
    echo = EchoLine(-15.0, 200.0).back(sent, PHONE)
    handset = np.arange(len(sent)) < 10 * PHONE.rate_hz
    again = np.arange(len(sent)) >= 25 * PHONE.rate_hz
    heard = await listened(silero, PHONE, sent, np.where(handset | again, 0.0, echo), [12.0])
    assert len(heard.at(SpeechStarted)) <= 1
    assert heard.at(SpeechStarted, 12.0) == []
    assert heard.estimate is None
