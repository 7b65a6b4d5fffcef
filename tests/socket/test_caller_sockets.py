"""The caller over real loopback sockets and the real clock."""

from __future__ import annotations

import socket

import anyio
import pytest

from kamerton.audio.tone import tone
from kamerton.domain.audio import PHONE
from kamerton.domain.errors import CallEnded
from kamerton.observability.turn_recorder import TurnRecorder
from kamerton.testing.caller.load import LoadPlan, LoadRun, Material
from kamerton.testing.caller.load_figures import figures_of
from kamerton.testing.caller.metronome import Metronome
from kamerton.testing.caller.recordings import Recording
from kamerton.testing.caller.scripted_bot import BotPlan, served
from kamerton.testing.caller.talk import Line, run_call

pytestmark = [pytest.mark.socket, pytest.mark.anyio]

WORD = Recording.from_pcm("word", bytes(1600) + tone(300.0, 600.0, PHONE) + bytes(1600), PHONE)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_a_call_with_a_barge_in_over_sockets() -> None:
    recorder = TurnRecorder()
    plan = BotPlan(greeting_s=0.4, reply_s=2.0, reply_after_s=0.3)
    async with served(plan, recorder) as (port, bots):
        outcome = await run_call(port, (Line(WORD), Line(WORD, at_s=0.5)), recorder)
    assert outcome.trouble is None
    assert [turn.outcome for turn in outcome.report.turns] == ["played", "cut", "played"]
    (barge_in,) = outcome.report.barge_ins
    assert barge_in.silence_ms is not None
    assert outcome.report.turns[1].response_ms is not None
    assert str(bots[0].call_id) == outcome.report.call_id
    assert outcome.report.ended_by == "caller"


async def test_a_load_over_sockets_hangs_every_call_up() -> None:
    plan = LoadPlan(calls=5, seconds=4.0, ramp_s=0.2)
    async with served(BotPlan(greeting_s=0.3, reply_s=0.6, reply_after_s=0.3)) as (port, bots):
        result = await LoadRun(plan, Material((WORD,), (WORD,), (), ()), port, Metronome()).run()
    figures = figures_of(result.calls)
    assert result.refused == []
    assert len(bots) == figures["calls_made"] == 5
    assert figures["missed_turns"] == 0
    assert figures["turns"] >= 5
    assert all(call.line.ended_by == "caller" for call in result.calls)


async def test_a_hang_up_by_the_bot_is_followed_by_another_call() -> None:
    plan = LoadPlan(calls=1, seconds=6.0, ramp_s=0.0, barge_in_share=0.0)
    short = BotPlan(greeting_s=0.2, reply_s=0.2, reply_after_s=0.3, hang_up_after_replies=1)
    async with served(short) as (port, bots):
        result = await LoadRun(plan, Material((WORD,), (WORD,), (), ()), port, Metronome()).run()
    assert len(bots) >= 2
    assert figures_of(result.calls)["calls_ended_by_bot"] >= 1


async def test_nobody_at_the_port_is_a_clear_message() -> None:
    with pytest.raises(CallEnded, match="is the server running there"):
        await run_call(free_port(), (), TurnRecorder())
    material = Material((WORD,), (WORD,), (), ())
    result = await LoadRun(LoadPlan(1, 0.3, ramp_s=0.0), material, free_port(), Metronome()).run()
    assert result.calls == []
    assert len(result.refused) == 1


async def test_a_cancelled_call_leaves_nothing() -> None:
    async with served(BotPlan(greeting_s=30.0)) as (port, bots):
        with anyio.move_on_after(0.5) as scope:
            await run_call(port, (Line(WORD),), TurnRecorder())
    assert scope.cancelled_caught
    assert len(bots) == 1
