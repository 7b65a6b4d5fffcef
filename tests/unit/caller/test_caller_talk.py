"""Scripted calls on virtual time, against a bot whose every reaction is known: what is measured must be exact."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import anyio
import pytest

from kamerton.audio.tone import tone
from kamerton.domain.audio import PHONE
from kamerton.domain.errors import CallEnded
from kamerton.domain.notices import MindState, MindStateChanged
from kamerton.observability.turn_recorder import TurnRecorder
from kamerton.testing.caller.line import CallerLine
from kamerton.testing.caller.line_impairment import LineImpairment
from kamerton.testing.caller.line_profile import line_profile
from kamerton.testing.caller.line_sounds import LineSounds
from kamerton.testing.caller.metronome import Metronome
from kamerton.testing.caller.recordings import Recording
from kamerton.testing.caller.scripted_bot import BotPlan, ScriptedBot, dial_in
from kamerton.testing.caller.talk import CallOutcome, Line, Patience, run_call
from kamerton.testing.virtual_loop import VirtualLoop

FRAME_MS = 20.0
WORD = Recording.from_pcm("word", bytes(1600) + tone(300.0, 800.0, PHONE) + bytes(1600), PHONE)
PATIENCE = Patience(reply_s=5.0, speech_s=8.0, goodbye_s=0.5)


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


class Stage:
    """A scripted bot that answers the next call."""

    def __init__(self, plan: BotPlan, recorder: TurnRecorder) -> None:
        self.recorder = recorder
        self.told: list[str] = []
        self.bot = ScriptedBot(plan, asyncio.get_running_loop().time, recorder)

    async def dial(self, line: CallerLine) -> None:
        dial_in(line, self.bot)

    async def call(
        self, *lines: Line, stop: anyio.Event | None = None, impairment: LineImpairment | None = None
    ) -> CallOutcome:
        return await run_call(
            self.dial,
            lines,
            self.recorder,
            progress=self.told.append,
            stop=stop,
            patience=PATIENCE,
            impairment=impairment,
        )


@contextlib.asynccontextmanager
async def staged(plan: BotPlan) -> AsyncIterator[Stage]:
    stage = Stage(plan, TurnRecorder())
    metronome = Metronome(slots=1)
    metronome.attach(stage.bot.tick)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(metronome.run)
        yield stage
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_word_is_said_after_the_greeting_and_its_answer_timed_at_the_wire() -> None:
    async with staged(BotPlan(reply_after_s=0.3)) as stage:
        outcome = await stage.call(Line(WORD))
    report = outcome.report
    assert outcome.trouble is None
    assert [turn.path for turn in report.turns] == ["greeting", "scenario"]
    greeting, turn = report.turns
    assert greeting.response_ms is None
    assert turn.marks["t1"] is not None
    assert turn.marks["t_eos"] is not None
    greeting_over_ms = 40 + 1000
    assert turn.marks["t1"] - greeting_over_ms >= 600
    assert turn.marks["t_eos"] - turn.marks["t1"] == pytest.approx(800, abs=0.1)
    assert turn.response_ms == pytest.approx(300, abs=FRAME_MS + 0.1)
    spoke_at_s = stage.bot.deeds.spoke_at_s
    assert turn.marks["t6"] == pytest.approx(
        (spoke_at_s[1] - spoke_at_s[0]) * 1000 + (greeting.marks["t6"] or 0.0), abs=0.2
    )
    assert report.ended_by == "caller"
    assert report.assistant == "scripted"
    assert report.state == {"replies": 1}
    assert stage.told[1:] == ["caller: word", "heard:  слышно  [scenario]", "bot:    тон"]


@pytest.mark.anyio
async def test_the_report_has_the_shape_that_readers_expect() -> None:
    async with staged(BotPlan()) as stage:
        report = (await stage.call(Line(WORD), Line(WORD, at_s=0.5))).report.as_json()
    assert list(report) == ["call_id", "assistant", "ended_by", "turns", "barge_ins", "state", "line", "usage", "cost"]
    assert list(report["turns"][1]) == [
        "index",
        "user_text",
        "path",
        "intent",
        "entities",
        "state_before",
        "state_after",
        "reply_text",
        "heard_text",
        "outcome",
        "ended_because",
        "marks",
        "response_ms",
        "speculation",
    ]
    assert list(report["turns"][1]["marks"]) == ["t1", "t_eos", "t2", "t3", "t4", "t5", "t6"]
    assert list(report["barge_ins"][0]) == ["onset_ms", "duck_ms", "silence_ms", "in_pause", "finished"]


@pytest.mark.anyio
async def test_a_barge_in_is_measured_to_the_frame() -> None:
    async with staged(BotPlan(reply_s=3.0, duck_after_s=0.1, silence_after_s=0.34)) as stage:
        outcome = await stage.call(Line(WORD), Line(WORD, at_s=1.0))
    (barge_in,) = outcome.report.barge_ins
    assert outcome.trouble is None
    assert barge_in.onset_ms == pytest.approx(1100, abs=FRAME_MS + 0.1)
    assert barge_in.duck_ms == pytest.approx(100, abs=FRAME_MS + 0.1)
    assert barge_in.silence_ms == pytest.approx(340, abs=FRAME_MS + 0.1)
    assert [turn.outcome for turn in outcome.report.turns] == ["played", "cut", "played"]
    assert outcome.report.turns[2].response_ms == pytest.approx(400, abs=FRAME_MS + 0.1)


@pytest.mark.anyio
async def test_a_barge_in_after_a_short_reply_has_no_effect_to_report() -> None:
    async with staged(BotPlan(reply_s=0.5)) as stage:
        outcome = await stage.call(Line(WORD), Line(WORD, at_s=5.0))
    (barge_in,) = outcome.report.barge_ins
    assert (barge_in.duck_ms, barge_in.silence_ms, barge_in.finished) == (None, None, True)
    assert any("had finished before 5 s" in line for line in stage.told)


PAUSING = BotPlan(greeting_s=0.5, reply_s=3.0, pause_at_s=1.0, pause_s=0.5, silence_after_s=0.5, reply_after_s=0.4)


@pytest.mark.anyio
async def test_a_barge_in_into_a_pause_is_answered_before_the_caller_hangs_up() -> None:
    """The bot speaks on for a moment after its pause, gives way under the caller's sentence, and answers it."""
    async with staged(PAUSING) as stage:
        outcome = await stage.call(Line(WORD), Line(WORD, at_s=1.2))
    (barge_in,) = outcome.report.barge_ins
    assert outcome.trouble is None
    assert (barge_in.in_pause, barge_in.duck_ms) == (True, None)
    assert barge_in.silence_ms == pytest.approx(500, abs=FRAME_MS + 0.1)
    assert [turn.outcome for turn in outcome.report.turns] == ["played", "cut", "played"]
    assert outcome.report.turns[2].response_ms == pytest.approx(400, abs=FRAME_MS + 0.1)


@pytest.mark.anyio
async def test_a_pause_that_just_goes_on_has_given_way_already() -> None:
    async with staged(replace(PAUSING, pause_s=1.5)) as stage:
        outcome = await stage.call(Line(WORD), Line(WORD, at_s=1.2))
    (barge_in,) = outcome.report.barge_ins
    assert outcome.trouble is None
    assert barge_in.in_pause
    assert barge_in.silence_ms == pytest.approx(0, abs=FRAME_MS + 0.1)
    assert [turn.outcome for turn in outcome.report.turns] == ["played", "cut", "played"]


@pytest.mark.anyio
async def test_a_bot_that_speaks_on_over_a_murmur_is_heard_out() -> None:
    murmur = Recording.from_pcm("uhu", tone(200.0, 200.0, PHONE) + bytes(800), PHONE)
    async with staged(BotPlan(reply_s=3.0, silence_after_s=0.4)) as stage:
        outcome = await stage.call(Line(WORD), Line(murmur, at_s=1.0))
    assert outcome.trouble is None
    assert [turn.outcome for turn in outcome.report.turns] == ["played", "played"]
    (barge_in,) = outcome.report.barge_ins
    assert (barge_in.in_pause, barge_in.silence_ms) == (False, None)


@pytest.mark.anyio
async def test_an_answer_that_follows_at_once_on_what_was_cut_is_waited_for() -> None:
    """Between the cut and the answer lie 200 ms: too short to be told from a pause by ear."""
    word = Recording.from_pcm("yes", tone(300.0, 420.0, PHONE) + bytes(800), PHONE)
    async with staged(BotPlan(reply_s=2.0, silence_after_s=0.4, reply_after_s=0.2)) as stage:
        outcome = await stage.call(Line(WORD), Line(word, at_s=1.0))
    assert outcome.trouble is None
    assert [turn.outcome for turn in outcome.report.turns] == ["played", "cut", "played"]


@pytest.mark.anyio
async def test_a_call_over_a_bad_line_tells_what_was_wrong_with_it() -> None:
    damage = line_profile("echo").typical
    async with staged(BotPlan()) as stage:
        bad = await stage.call(Line(WORD), impairment=LineImpairment(damage, LineSounds(1, (WORD,)), 1))
    assert bad.report.as_json()["line"] == damage.as_json()
    assert bad.trouble is None


@pytest.mark.anyio
async def test_everything_that_people_said_can_be_masked_in_one_place() -> None:
    async with staged(BotPlan()) as stage:
        report = (await stage.call(Line(WORD))).report

    def shown(values: dict[str, Any]) -> dict[str, Any]:
        assert values["state"] == report.state
        assert {name for turn in values["turns"] for name in turn} == {
            "user_text",
            "reply_text",
            "heard_text",
            "entities",
        }
        return {"turns": [{**dict.fromkeys(turn, "*"), "entities": {}} for turn in values["turns"]], "state": {}}

    masked = report.with_values(shown)
    assert {(turn.user_text, turn.reply_text, turn.heard_text) for turn in masked.turns} == {("*", "*", "*")}
    assert masked.state == {}
    assert masked.turns[1].marks == report.turns[1].marks


@pytest.mark.anyio
async def test_with_nothing_to_say_the_greeting_is_heard_out() -> None:
    async with staged(BotPlan(greeting_s=2.0)) as stage:
        outcome = await stage.call()
    assert [turn.outcome for turn in outcome.report.turns] == ["played"]
    heard_ms = len(outcome.audio) / 2 / outcome.format.rate_hz * 1000
    assert heard_ms == pytest.approx(2000 + 40 + 600, abs=3 * FRAME_MS)


@pytest.mark.anyio
async def test_a_bot_that_never_speaks_is_given_up_with_a_reason() -> None:
    async with staged(BotPlan(silent=True)) as stage:
        outcome = await stage.call(Line(WORD))
    assert outcome.trouble is not None
    assert "said nothing within 5 s" in outcome.trouble
    assert outcome.report.turns == ()


@pytest.mark.anyio
async def test_a_bot_that_never_stops_is_given_up_with_a_reason() -> None:
    async with staged(BotPlan(greeting_s=60.0)) as stage:
        outcome = await stage.call(Line(WORD))
    assert outcome.trouble is not None
    assert "speaking for 8 s" in outcome.trouble


@pytest.mark.anyio
async def test_a_hang_up_by_the_bot_after_its_last_answer_is_no_trouble() -> None:
    async with staged(BotPlan(hang_up_after_replies=1)) as stage:
        outcome = await stage.call(Line(WORD))
    assert outcome.trouble is None
    assert outcome.report.ended_by == "bot"


@pytest.mark.anyio
async def test_a_hang_up_by_the_bot_with_lines_left_is_told() -> None:
    async with staged(BotPlan(hang_up_after_replies=1)) as stage:
        outcome = await stage.call(Line(WORD), Line(WORD))
    assert outcome.trouble is not None
    assert "hung up before 'word' could be said" in outcome.trouble
    assert len(outcome.report.turns) == 2


@pytest.mark.anyio
async def test_stopping_hangs_up_and_still_reports() -> None:
    stop = anyio.Event()
    async with staged(BotPlan(greeting_s=5.0)) as stage, anyio.create_task_group() as tasks:

        async def stop_soon() -> None:
            await anyio.sleep_until(anyio.current_time() + 2)
            stop.set()

        tasks.start_soon(stop_soon)
        outcome = await stage.call(Line(WORD), stop=stop)
    assert outcome.trouble == "stopped before its end"
    assert outcome.report.ended_by == "caller"


@pytest.mark.anyio
async def test_a_filler_is_not_taken_for_the_reply() -> None:
    async with staged(BotPlan(greeting_s=1.0)) as stage, anyio.create_task_group() as tasks:

        async def think_first() -> None:
            await anyio.sleep_until(anyio.current_time() + 0.02)
            call_id = str(stage.bot.call_id)
            stage.recorder.observe(call_id, MindStateChanged(MindState.ANALYZING_SPEECH))
            await anyio.sleep_until(anyio.current_time() + 0.5)
            stage.recorder.observe(call_id, MindStateChanged(MindState.SPEAKING))

        class Quiet(TurnRecorder):
            """Hears from the test alone what the assistant does."""

        stage.bot = ScriptedBot(BotPlan(), asyncio.get_running_loop().time, Quiet())
        metronome = Metronome(slots=1)
        metronome.attach(stage.bot.tick)
        tasks.start_soon(metronome.run)
        tasks.start_soon(think_first)
        outcome = await stage.call(Line(WORD, at_s=0.3))
        tasks.cancel_scope.cancel()
    (barge_in,) = outcome.report.barge_ins
    assert barge_in.onset_ms == pytest.approx(400, abs=2 * FRAME_MS)
    first_frame_to_onset = stage.bot.deeds.ducked_at_s[0] - 0.1 - stage.bot.deeds.spoke_at_s[0]
    assert first_frame_to_onset == pytest.approx(0.48 + 0.4, abs=0.05)


@pytest.mark.anyio
async def test_nobody_there_is_said_at_once() -> None:
    async def refuse(line: CallerLine) -> None:
        raise CallEnded("nobody there")

    with pytest.raises(CallEnded, match="nobody there"):
        await run_call(refuse, (), TurnRecorder())


@pytest.mark.anyio
async def test_keys_and_noise_reach_the_far_end() -> None:
    plan = BotPlan(silent=True)
    async with staged(plan) as stage:
        lines: list[CallerLine] = []

        async def dial(line: CallerLine) -> None:
            lines.append(line)
            dial_in(line, stage.bot)
            line.press("5")

        await run_call(dial, (), stage.recorder, patience=PATIENCE)
    assert stage.bot.deeds.heard_digits == [b"5"]
    assert lines[0].unsent_frames == 0
    assert len(lines[0].arrivals_s) == pytest.approx(250, abs=3)
