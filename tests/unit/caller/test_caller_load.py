"""The load and its figures on virtual time: the bot's known delays must come out of the figures again."""

from __future__ import annotations

import asyncio
import random
import uuid
from dataclasses import replace

import anyio
import numpy as np
import pytest

from kamerton.audio.tone import tone
from kamerton.domain.audio import PHONE
from kamerton.domain.errors import ConfigurationError
from kamerton.testing.caller.line import CallerLine, LineNoise, Utterance
from kamerton.testing.caller.load import Exchange, ExchangeKind, LoadCaller, LoadedCall, LoadPlan, LoadRun, Material
from kamerton.testing.caller.load_figures import Spread, count_spurious, figures_of, went_on
from kamerton.testing.caller.metronome import Metronome
from kamerton.testing.caller.recordings import Recording, cough
from kamerton.testing.caller.scripted_bot import BotPlan, ScriptedBot, dial_in
from kamerton.testing.caller.speech_span import SpeechSpan
from kamerton.testing.caller.wire_measure import BotSegment, ReceivedAudio
from kamerton.testing.virtual_loop import VirtualLoop

WORD = Recording.from_pcm("word", bytes(1600) + tone(300.0, 800.0, PHONE) + bytes(1600), PHONE)
MURMUR = Recording.from_pcm("uhu", bytes(1600) + tone(200.0, 300.0, PHONE) + bytes(1600), PHONE)
MATERIAL = Material((WORD,), (WORD,), (MURMUR,), (cough(1),))


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


async def talked(
    bot_plan: BotPlan, plan: LoadPlan, material: Material = MATERIAL
) -> tuple[list[LoadedCall], list[ScriptedBot]]:
    """Run the callers of a plan against scripted bots without sockets."""
    clock = asyncio.get_running_loop().time
    metronome = Metronome(slots=1)
    calls, bots = [], []
    for number in range(plan.calls):
        source = random.Random(plan.seed * 1000 + number)
        line = CallerLine(uuid.UUID(int=source.getrandbits(128), version=4), LineNoise(), clock=clock)
        bot = ScriptedBot(bot_plan, clock)
        call = LoadedCall(line)
        dial_in(line, bot)
        metronome.attach(bot.tick)
        metronome.attach(LoadCaller(call, material, plan, source).tick)
        calls.append(call)
        bots.append(bot)
    with anyio.move_on_after(plan.seconds):
        await metronome.run()
    for call in calls:
        call.line.hang_up()
    return calls, bots


@pytest.mark.anyio
async def test_the_known_delays_of_the_bot_are_the_figures() -> None:
    bot_plan = BotPlan(greeting_after_s=0.06, reply_after_s=0.3, reply_s=3.0, duck_after_s=0.1, silence_after_s=0.34)
    plan = LoadPlan(calls=6, seconds=60.0, barge_in_share=0.3, backchannel_share=0.2, cough_share=0.2)
    calls, bots = await talked(bot_plan, plan)
    figures = figures_of(calls)
    assert figures["calls_made"] == 6
    assert figures["call_minutes"] == pytest.approx(6.0, abs=0.01)
    assert figures["turns"] > 40
    assert (figures["missed_turns"], figures["early_turns"], figures["spurious_turns"]) == (0, 0, 0)
    assert figures["greeting_ms"]["p50"] == pytest.approx(60, abs=20.1)
    for name in ("response_ms", "response_after_barge_in_ms"):
        assert figures[name]["count"] > 5
        assert figures[name]["p50"] == pytest.approx(300, abs=20.1)
        assert figures[name]["maximum"] == pytest.approx(300, abs=20.1)
    assert figures["barge_ins"] > 5
    assert figures["barge_ins_without_yield"] == 0
    assert figures["duck_ms"]["p50"] == pytest.approx(100, abs=20.1)
    assert figures["silence_ms"]["p95"] == pytest.approx(340, abs=20.1)
    assert len(bots[0].deeds.spoke_at_s) > 5
    assert figures["usual_reply_s"] == pytest.approx(3.0, abs=0.03)
    assert figures["backchannels"] > 2
    assert figures["backchannels_went_on_share"] == 1.0
    assert figures["coughs"] > 2
    assert figures["coughs_went_on_share"] == 1.0
    assert figures["jitter_p99_ms"] == pytest.approx(0, abs=0.1)
    assert figures["late_frames"] == 0
    assert figures["least_frame_share"] > 0.99


@pytest.mark.anyio
async def test_the_same_seed_says_the_same_at_the_same_instants() -> None:
    kinds: list[list[str]] = []
    instants: list[list[float]] = []
    for _ in range(2):
        calls, _bots = await talked(BotPlan(), LoadPlan(calls=2, seconds=15.0, seed=7))
        begun_s = calls[0].line.connected_at_s or 0.0
        exchanges = [each for call in calls for each in call.exchanges]
        kinds.append([each.kind for each in exchanges])
        instants.append([(each.said.onset_at_s or 0.0) - begun_s for each in exchanges])
    assert kinds[0] == kinds[1]
    assert instants[0] == pytest.approx(instants[1], abs=0.2)
    assert len(kinds[0]) > 4


@pytest.mark.anyio
async def test_a_bot_that_answers_nothing_misses_every_turn() -> None:
    calls, _bots = await talked(BotPlan(reply_after_s=60.0), LoadPlan(calls=1, seconds=30.0))
    figures = figures_of(calls)
    assert figures["turns"] == figures["missed_turns"] > 3
    assert figures["response_ms"]["p50"] is None


@pytest.mark.anyio
async def test_a_bot_that_gives_in_to_every_sound_does_not_go_on() -> None:
    eager = BotPlan(reply_after_s=0.3, reply_s=3.0, duck_after_s=0.04, silence_after_s=0.1)
    plan = LoadPlan(calls=2, seconds=60.0, barge_in_share=0.0, backchannel_share=1.0, cough_share=0.0)
    calls, _bots = await talked(eager, plan)
    figures = figures_of(calls)
    assert figures["backchannels"] > 5
    assert figures["backchannels_went_on_share"] == 0.0


@pytest.mark.anyio
async def test_an_onset_in_a_pause_that_goes_on_is_neither_a_measure_nor_a_failure() -> None:
    pausing = BotPlan(reply_after_s=0.3, reply_s=3.0, silence_after_s=0.34, pause_at_s=1.0, pause_s=0.6)
    plan = LoadPlan(calls=4, seconds=60.0, barge_in_share=1.0, backchannel_share=0.0, cough_share=0.0)
    calls, _bots = await talked(pausing, plan)
    figures = figures_of(calls, reply_s=3.0)
    assert figures["barge_ins_in_pause"] > 3
    assert figures["barge_ins_without_yield"] == 0
    assert figures["silence_ms"]["count"] == figures["barge_ins"] - figures["barge_ins_in_pause"]
    assert (figures["early_turns"], figures["missed_turns"]) == (0, 0)


@pytest.mark.anyio
async def test_callers_keep_to_their_dialogue() -> None:
    plan = LoadPlan(calls=2, seconds=30.0, dialogues=(("uhu", "word", "word"),), barge_in_share=0.0)
    material = replace(MATERIAL, turns=(WORD, MURMUR))
    calls, _bots = await talked(BotPlan(), plan, material)
    for call in calls:
        names = [each.said.recording.name for each in call.exchanges if each.kind == "turn"]
        assert names[:4] == ["uhu", "word", "word", "uhu"]


def test_a_dialogue_that_lacks_a_recording_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"needs 'yes\.wav'"):
        LoadRun(LoadPlan(1, 1.0, dialogues=(("yes.wav",),)), MATERIAL, 1, Metronome())


def received(*parts: tuple[float, float]) -> ReceivedAudio:
    levels = np.concatenate([np.full(round(seconds * 50), level) for seconds, level in parts]).astype(np.float64)
    return ReceivedAudio((np.arange(len(levels)) * 0.02).astype(np.float64), levels)


def said(kind: ExchangeKind, onset_s: float) -> Exchange:
    recording = Recording("x", (b"",) * 50, SpeechSpan(0.0, 0.5, 0.0))
    return Exchange(kind, Utterance(recording, [onset_s + frame * 0.02 for frame in range(50)]))


def test_a_reply_resumed_after_a_pause_went_on_and_a_new_one_did_not() -> None:
    resumed = received((1.0, -120), (1.2, -20), (0.3, -120), (1.8, -20), (1.0, -120))
    assert went_on(resumed, 2.0, 2.3, reply_s=3.0)
    replaced = received((1.0, -120), (1.2, -20), (0.3, -120), (3.0, -20), (1.0, -120))
    assert not went_on(replaced, 2.0, 2.3, reply_s=3.0)
    assert went_on(received((1.0, -120), (3.0, -20), (1.0, -120)), 2.0, 2.3, reply_s=3.0)
    given_up = received((1.0, -120), (1.2, -20), (3.0, -120))
    assert not went_on(given_up, 2.0, 2.3, reply_s=3.0)


def test_only_what_nobody_asked_for_is_spurious() -> None:
    segments = [BotSegment(start, start + 1) for start in (0.0, 3.0, 6.0, 9.0)]
    assert count_spurious([said("turn", 2.0), said("barge_in", 5.0), said("turn", 8.0)], segments) == 0
    assert count_spurious([said("turn", 2.0), said("cough", 5.0), said("turn", 8.0)], segments) == 1
    assert count_spurious([], segments) == 3
    assert count_spurious([], []) == 0


def test_a_spread_of_nothing_is_empty() -> None:
    assert Spread.of([]) == Spread(0, None, None, None, None)
    assert Spread.of([1.0, 2.0, 3.0]).p50 == 2.0
