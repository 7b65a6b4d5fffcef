"""Whole calls: human recordings, the real engines and the real AudioSocket transport, the way `kamerton call` goes.

One engine answers every call of the module. Times are checked only where the caller measures them on the wire and
where they cannot depend on how busy the machine is.
"""

from __future__ import annotations

import threading
import wave
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import numpy as np
import pytest
from paths import REPO

from kamerton.audio.resampling import resample
from kamerton.audio.wav import read_wav_file
from kamerton.config.composition import Engine, open_engine
from kamerton.config.settings import load_settings
from kamerton.domain.audio import AudioFormat
from kamerton.domain.media import CallHandler, CallMedia
from kamerton.observability.turn_recorder import TurnRecorder
from kamerton.orchestrator.orchestrator import Orchestrator
from kamerton.orchestrator.settings import PatienceSettings
from kamerton.testing.caller.call_report import CallReport, ReportedTurn
from kamerton.testing.caller.recordings import load_recording
from kamerton.testing.caller.script import parse_script
from kamerton.testing.caller.talk import CallOutcome, Line, Patience, run_call
from kamerton.transports.audiosocket.server import AudioSocketTransport
from kamerton.transports.audiosocket.settings import AudioSocketSettings

pytestmark = [pytest.mark.engine, pytest.mark.anyio, pytest.mark.timeout(180)]

SAMPLES = REPO / "assistants" / "insurance" / "samples"
QUOTE = {"engine_power": 150, "drivers": 2, "youngest_age": 25, "base_tariff": 12000, "final_price": 13200}
"""What the samples number-150, number-2 and number-25 lead to."""


@dataclass(frozen=True)
class Office:
    """The engine behind its AudioSocket port."""

    engine: Engine
    recorder: TurnRecorder
    port: int

    async def call(self, *script: str | Path) -> CallOutcome:
        """One caller who says samples (`NAME` or `NAME@S`) or WAV files, and hangs up after the last answer."""
        return await run_call(self.port, lines_of(script), self.recorder)


def lines_of(script: Sequence[str | Path]) -> tuple[Line, ...]:
    named = [str(item) if isinstance(item, Path) else sample_item(item) for item in script]
    return tuple(Line(load_recording(item.path), item.at_s) for item in parse_script(named))


def sample_item(item: str) -> str:
    name, at, moment = item.partition("@")
    return f"{SAMPLES / name}.wav{at}{moment}"


@asynccontextmanager
async def answered(handler: CallHandler) -> AsyncIterator[int]:
    """An AudioSocket server on a free port; yields the port."""
    transport = AudioSocketTransport(AudioSocketSettings(host="127.0.0.1", port=0))
    async with anyio.create_task_group() as tasks:
        port: int = await tasks.start(transport.serve, handler)
        yield port
        tasks.cancel_scope.cancel()


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", autouse=True)
def no_threads_left() -> Iterator[None]:
    """The shared engine starts threads when they are first needed: they are counted once it is closed."""
    before = set(threading.enumerate())
    yield
    left = [t for t in threading.enumerate() if t not in before and t.is_alive() and not t.daemon]
    left = [t for t in left if "AnyIO worker" not in t.name and "asyncio_" not in t.name]
    assert not left, f"threads left behind: {left}"


@pytest.fixture(scope="module")
async def office(anyio_backend: str) -> AsyncIterator[Office]:
    recorder = TurnRecorder()
    told: list[str] = []
    async with (
        open_engine(load_settings(), observers=(recorder,), progress=told.append) as engine,
        answered(engine.handler) as port,
    ):
        yield Office(engine, recorder, port)


def asked(report: CallReport) -> list[ReportedTurn]:
    """The turns in which the caller said something."""
    return [turn for turn in report.turns if turn.user_text]


def shown(outcome: CallOutcome) -> str:
    """What to read when an assertion failed."""
    turns = "\n".join(str(turn) for turn in outcome.report.turns)
    return f"trouble: {outcome.trouble}\nstate: {outcome.report.state}\n{turns}"


async def test_a_caller_gets_the_right_quote_and_a_good_bye(office: Office) -> None:
    outcome = await office.call("number-150", "number-2", "number-25", "yes", "bye")
    report = outcome.report
    assert outcome.trouble is None, shown(outcome)
    assert {name: report.state.get(name) for name in QUOTE} == QUOTE, shown(outcome)
    assert {turn.path for turn in asked(report)} == {"scenario"}, shown(outcome)
    assert report.turns[0].path == "greeting"
    answered_turns = [turn for turn in asked(report) if turn.outcome == "played"]
    assert [turn.state_after for turn in answered_turns[:3]] == ["ask_drivers", "ask_age", "confirm"], shown(outcome)
    assert "13 200 ₽" in answered_turns[2].reply_text
    assert (answered_turns[-1].intent, answered_turns[-1].state_after) == ("goodbye", "goodbye"), shown(outcome)
    assert report.ended_by == "bot"
    went_on = [turn for turn in report.turns if turn.outcome != "played"]
    assert all(turn.heard_text == "" for turn in went_on), shown(outcome)
    assert all(turn.response_ms is not None and turn.response_ms > 0 for turn in answered_turns), shown(outcome)


async def test_a_pause_inside_a_number_is_one_turn(office: Office) -> None:
    outcome = await office.call("number-150-with-pause")
    report = outcome.report
    assert outcome.trouble is None, shown(outcome)
    assert len(asked(report)) == 1, shown(outcome)
    (turn,) = asked(report)
    assert (turn.intent, turn.state_after, report.state["engine_power"]) == ("answer", "ask_drivers", 150)


async def test_a_murmur_does_not_cut_the_reply(office: Office) -> None:
    outcome = await office.call("number-150@1.6", "uhu@0.6")
    report = outcome.report
    assert outcome.trouble is None, shown(outcome)
    (turn,) = asked(report)
    assert (turn.state_after, report.state["engine_power"]) == ("ask_drivers", 150), shown(outcome)
    assert (turn.outcome, turn.heard_text) == ("played", turn.reply_text), shown(outcome)
    assert report.turns[-1] == turn, shown(outcome)


async def test_an_interruption_is_understood_and_a_correction_recomputes_the_price(office: Office) -> None:
    outcome = await office.call("number-125@1.6", "number-2", "number-25", "correct-150")
    report = outcome.report
    assert outcome.trouble is None, shown(outcome)
    (barge_in,) = report.barge_ins
    assert barge_in.duck_ms is not None, shown(outcome)
    assert barge_in.silence_ms is not None, shown(outcome)
    greeting = report.turns[0]
    assert greeting.outcome == "cut"
    assert greeting.heard_text != greeting.reply_text
    assert greeting.reply_text.startswith(greeting.heard_text)
    first, *_, quote, corrected = asked(report)
    assert first.entities["number"] == 125, shown(outcome)
    assert "125 лошадиных сил" in quote.reply_text
    assert (corrected.intent, corrected.state_before, corrected.state_after) == ("correct", "confirm", "confirm")
    assert "150 лошадиных сил" in corrected.reply_text
    assert (report.state["engine_power"], report.state["final_price"]) == (150, 13200)


async def test_questions_are_answered_and_the_scenario_goes_on(office: Office, tmp_path: Path) -> None:
    outcome = await office.call("documents@1.5", "weather", studio_copy("number-150", tmp_path))
    report = outcome.report
    assert outcome.trouble is None, shown(outcome)
    documents, weather, power = asked(report)
    question = office.engine.assistant.phrases["ask_power"]
    assert documents.path == "faq", shown(outcome)
    assert documents.reply_text.endswith(question)
    assert weather.path == "fallback"
    assert weather.reply_text == f"{office.engine.assistant.phrases['offer']} {question}"
    assert (power.path, power.state_after, report.state["engine_power"]) == ("scenario", "ask_drivers", 150)


def studio_copy(name: str, folder: Path) -> Path:
    """A sample as 44.1 kHz stereo, the left channel louder than the right."""
    sample = read_wav_file(SAMPLES / f"{name}.wav")
    left = np.frombuffer(resample(sample.pcm, sample.format, AudioFormat(44100)), dtype="<i2")
    path = folder / "studio.wav"
    with wave.open(str(path), "wb") as written:
        written.setnchannels(2)
        written.setsampwidth(2)
        written.setframerate(44100)
        written.writeframes(np.stack((left, left // 2), axis=1).astype("<i2").tobytes())
    return path


async def test_a_silent_caller_is_asked_and_then_let_go(office: Office) -> None:
    services = office.engine.services
    patience = PatienceSettings(silence_prompt_s=1.0, silence_goodbye_s=1.0)
    hasty = replace(services, call=replace(services.call, patience=patience))

    async def conduct(media: CallMedia) -> None:
        await Orchestrator(media, hasty).run()

    async with answered(conduct) as port:
        outcome = await run_call(port, (), office.recorder, patience=Patience(quiet_s=6.0, unsettled_quiet_s=9.0))
    phrases = services.phrases
    assert (outcome.trouble, outcome.report.ended_by) == (None, "bot"), shown(outcome)
    assert [turn.reply_text for turn in outcome.report.turns][1:] == [
        phrases["still_there"],
        phrases["silence_goodbye"],
    ], shown(outcome)
    assert all(turn.outcome == "played" for turn in outcome.report.turns), shown(outcome)
