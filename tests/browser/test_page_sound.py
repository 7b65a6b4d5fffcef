"""The sound of the page: what reaches the server, how fast it falls silent, what it reports."""

from __future__ import annotations

import array
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from call_page import CallPage
from chromium_flags import ALLOWED, FAKE_MICROPHONE, MICROPHONE_TONE_HZ
from playwright.sync_api import expect
from scripted_server import FRAME_SAMPLES, RATE_HZ, Line, ScriptedServer, tone

pytestmark = pytest.mark.browser


def power(samples: array.array[int], hz: float) -> float:
    """Share of the signal's energy at one frequency (Goertzel); 1 for a pure tone there."""
    coefficient = 2 * math.cos(2 * math.pi * hz / RATE_HZ)
    before, last = 0.0, 0.0
    for sample in samples:
        before, last = last, sample + coefficient * last - before
    energy = sum(sample * sample for sample in samples)
    at_hz = last * last + before * before - coefficient * last * before
    return 0.0 if energy == 0 else 2 * at_hz / (energy * len(samples))


def joined(frames: list[bytes]) -> array.array[int]:
    return array.array("h", b"".join(frames))


def test_the_microphone_reaches_the_server_in_line_frames(
    new_page: Callable[..., CallPage], server: ScriptedServer, microphone_wav: Path
) -> None:
    call_page = new_page(*FAKE_MICROPHONE, *ALLOWED, f"--use-file-for-fake-audio-capture={microphone_wav}")
    # Echo cancelling and noise suppression would take a steady tone for noise.
    call_page.page.add_init_script(
        """const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = (wishes) => {
            window.microphoneWishes = wishes.audio;
            return ask({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
        };"""
    )
    call_page.open(server.url)
    call_page.call_with_microphone()
    call_page.expect_call("active")
    frames = server.calls[0].frames
    call_page.wait_until(lambda: len(frames) >= 150, "three seconds of microphone")
    expect(call_page.page.locator("#caller-meter")).not_to_have_attribute("aria-valuenow", "0")
    call_page.hang_up()
    call_page.expect_call("idle")

    assert {len(frame) for frame in frames} == {2 * FRAME_SAMPLES}
    assert power(joined(frames[50:100]), MICROPHONE_TONE_HZ) > 0.9
    wishes = call_page.page.evaluate("window.microphoneWishes")
    assert wishes["echoCancellation"]
    assert wishes["noiseSuppression"]
    assert call_page.console_errors == []


@pytest.mark.parametrize(("phrase", "hz"), [("здравствуйте", 300), ("сто пятьдесят", 350)])
def test_a_sample_of_any_rate_keeps_its_pitch(
    call_page: CallPage, server: ScriptedServer, phrase: str, hz: int
) -> None:
    call_page.open(server.url)
    call_page.call_without_microphone()
    frames = server.calls[0].frames
    call_page.say(phrase)
    call_page.wait_until(lambda: any(max(array.array("h", frame)) > 5000 for frame in frames), "the phrase is said")
    call_page.wait_until(lambda: max(array.array("h", frames[-1])) < 50, "the phrase is over")
    call_page.hang_up()
    call_page.expect_call("idle")
    spoken = [frame for frame in frames if max(array.array("h", frame)) > 5000]
    assert 18 <= len(spoken) <= 22
    assert power(joined(spoken[2:-2]), hz) > 0.97


def test_audio_is_played_and_reported_in_stream_samples(call_page: CallPage, server: ScriptedServer) -> None:
    async def script(line: Line) -> None:
        await line.start()
        line.queue(tone(440, 2))
        await line.wait_for("hang_up")
        await line.end("caller", "hang_up")

    server.script = script
    call_page.open(server.url)
    call_page.call_without_microphone()
    expect(call_page.page.locator("#bot-meter")).not_to_have_attribute("aria-valuenow", "0")
    call_page.wait_until(lambda: call_page.figure("playedSamples") > RATE_HZ, "one second is played")
    reports = [payload["played_samples"] for payload in server.calls[0].payloads("playback")]
    call_page.hang_up()
    call_page.expect_call("idle")
    assert reports == sorted(reports)
    assert len(reports) >= 5
    assert reports[-1] > 0.7 * RATE_HZ


def test_clear_audio_silences_within_the_fade(call_page: CallPage, server: ScriptedServer) -> None:
    sent: list[int] = []

    async def script(line: Line) -> None:
        await line.start()
        await line.send_at_once(tone(440, 6))
        await line.wait_for("user_interrupted")
        line.queue(tone(440, 2))
        await line.clear_audio()
        sent.append(line.sent_samples)
        await line.wait_for("hang_up")
        await line.end("caller", "hang_up")

    server.script = script
    call_page.open(server.url)
    call_page.call_without_microphone()
    call_page.wait_until(lambda: call_page.figure("bufferedMs") > 4000, "the tone is waiting")
    call_page.wait_until(lambda: call_page.figure("playedSamples") > 4000, "the tone is heard")
    call_page.interrupt()
    call_page.wait_until(lambda: call_page.figure("clears") == 1, "the audio is cleared")
    silent_after_ms, thrown_ms = call_page.figure("silentAfterMs"), call_page.figure("thrownMs")
    call_page.wait_until(lambda: call_page.figure("playedSamples") >= sent[0], "the stream goes on where it was cut")
    reports = [payload["played_samples"] for payload in server.calls[0].payloads("playback")]
    buffered_ms = call_page.figure("bufferedMs")
    expect(call_page.page.locator("#bot-meter")).to_have_attribute("aria-valuenow", "0")
    call_page.hang_up()
    call_page.expect_call("idle")

    assert 0 < silent_after_ms <= 6
    assert thrown_ms > 3000
    assert buffered_ms < 300
    assert reports == sorted(reports)
    before = [report for report in reports if report < sent[0] - RATE_HZ]
    assert before
    assert not [report for report in reports if before[-1] < report < sent[0] - 200]


SOUND_WORK = """async () => {
    const dsp = await import("./js/dsp.js");
    const sine = (hz, rate, n) =>
        Float32Array.from({ length: n }, (_, i) => 0.5 * Math.sin((2 * Math.PI * hz * i) / rate));
    WORK
}"""


def compute(call_page: CallPage, work: str) -> Any:
    """Run a piece of JavaScript on the page's own sound arithmetic (`dsp`) and return its result."""
    return call_page.page.evaluate(SOUND_WORK.replace("WORK", work))


@pytest.mark.parametrize("card_hz", [16000, 44100, 48000, 96000])
def test_frames_do_not_depend_on_how_the_sound_arrives(
    call_page: CallPage, server: ScriptedServer, card_hz: int
) -> None:
    call_page.open(server.url)
    figures = compute(
        call_page,
        f"""const sound = sine(1000, {card_hz}, {card_hz});
        const cut = (block) => {{
            const cutter = new dsp.FrameCutter({card_hz});
            const frames = [];
            for (let at = 0; at < sound.length; at += block) {{
                frames.push(...cutter.push(sound.subarray(at, at + block)));
            }}
            return frames.flatMap((frame) => [...frame]);
        }};
        const whole = cut(sound.length), blocks = cut(128), odd = cut(37);
        const wrong = whole.filter((sample, n) => sample !== blocks[n] || sample !== odd[n]).length;
        let error = 0;
        for (let n = 320; n < 15000; n += 1) {{
            error = Math.max(error, Math.abs(whole[n] - 16383.5 * Math.sin(2 * Math.PI * 1000 * n / 16000)));
        }}
        return {{ wrong, error, count: whole.length }};""",
    )
    assert figures["wrong"] == 0
    assert figures["error"] < 60
    assert 15360 <= figures["count"] <= 16000


@pytest.mark.parametrize("hz", [9000, 12000])
def test_sound_above_the_line_does_not_fold_into_it(call_page: CallPage, server: ScriptedServer, hz: int) -> None:
    call_page.open(server.url)
    loudness = compute(
        call_page,
        f"return dsp.loudness(new dsp.Resampler(48000, 16000).process(sine({hz}, 48000, 48000)).subarray(100));",
    )
    assert loudness < 0.002


def test_a_backlog_is_worked_off_in_silence_only(call_page: CallPage, server: ScriptedServer) -> None:
    call_page.open(server.url)
    left = compute(
        call_page,
        """const run = (loud) => {
            const queue = new dsp.PlaybackQueue(16000);
            const frame = () => new Int16Array(320).fill(loud ? 3000 : 0);
            for (let n = 0; n < 50; n += 1) queue.push(frame());
            const out = new Float32Array(320);
            for (let n = 0; n < 500; n += 1) { queue.push(frame()); queue.read(out); }
            return queue.figures().bufferedMs;
        };
        return { loud: run(true), quiet: run(false) };""",
    )
    assert left["loud"] == 1000
    assert 60 <= left["quiet"] <= 100


def test_a_full_buffer_drops_the_oldest_and_a_dry_one_starts_again_with_a_reserve(
    call_page: CallPage, server: ScriptedServer
) -> None:
    call_page.open(server.url)
    seen = compute(
        call_page,
        """const queue = new dsp.PlaybackQueue(16000);
        for (let n = 0; n < 1050; n += 1) queue.push(new Int16Array(320).fill(n));
        const full = queue.figures();
        const out = new Float32Array(320);
        queue.read(out);
        const oldest = Math.round(out[319] * 32768);
        while (queue.figures().underruns === 0) queue.read(out);
        queue.push(new Int16Array(320).fill(8000));
        queue.read(out);
        const early = queue.figures().bufferedMs;
        queue.push(new Int16Array(320).fill(8000));
        queue.push(new Int16Array(320).fill(8000));
        queue.read(out);
        return { full, oldest, early, later: queue.figures().bufferedMs };""",
    )
    assert seen["full"]["bufferedMs"] == 20_000
    assert seen["full"]["droppedMs"] == 1000
    assert seen["oldest"] == 50
    assert (seen["early"], seen["later"]) == (20, 40)
