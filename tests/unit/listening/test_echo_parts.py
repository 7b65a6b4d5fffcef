"""The echo's parts without a network: what is compared, what is remembered, what is believed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from echo_lines import EchoLine, Samples, frames, our_voice, recording

from kamerton.domain.audio import PHONE, WIDEBAND, AudioFormat
from kamerton.listening.echo import REACH_S, CallEcho, EchoEar, EchoWindow
from kamerton.listening.echo_bands import BandMeter
from kamerton.listening.echo_memory import HOPS, HeardLine, SentVoice
from kamerton.listening.echo_path import EchoPath
from kamerton.listening.silero import WINDOW_SHAPES

PHONE_SHAPE = WINDOW_SHAPES[8000]
QUIET_DBFS = -58.0


@dataclass
class Sound:
    """A window that is told when it is an echo."""

    at_s: float
    is_echo: bool = False

    def silence(self) -> None:
        self.is_echo = True


class Line:
    """One call's frames, fed as the call would: what was said, then what arrived, window by window."""

    def __init__(self, ear: EchoEar, audio_format: AudioFormat = PHONE) -> None:
        self.ear = ear
        self.format = audio_format
        self.shape = WINDOW_SHAPES[audio_format.rate_hz]
        self.call = CallEcho(self.shape)
        self.now_s = 100.0
        self.rest = b""
        self.sounds: list[Sound] = []

    def pass_frame(self, said: bytes, arriving: bytes) -> list[EchoWindow]:
        if any(said):
            self.call.said(said, self.now_s)
        self.now_s += 0.02
        self.rest += arriving
        size = self.shape.window * 2
        windows = []
        while len(self.rest) >= size:
            pcm, self.rest = self.rest[:size], self.rest[size:]
            samples = np.frombuffer(pcm, "<i2").astype(np.float64)
            level_dbfs = 10 * np.log10((samples**2).mean() / 32768**2 + 1e-10)
            sound = Sound(self.now_s - 100.0) if level_dbfs > QUIET_DBFS else None
            if self.now_s <= self.call.reaches_s:
                windows.append(EchoWindow(self.call, pcm, self.now_s, sound))
                if sound is not None:
                    self.sounds.append(sound)
        return windows

    def hear(self, sent: Samples, arriving: Samples) -> None:
        pairs = zip(frames(sent, self.format), frames(arriving, self.format), strict=True)
        for said, caller in pairs:
            self.ear.judge(self.pass_frame(said, caller))

    def explained(self, start_s: float = 0.0, end_s: float = 1e9) -> float:
        """The share of sounds that were taken for an echo."""
        told = [sound.is_echo for sound in self.sounds if start_s <= sound.at_s < end_s]
        return sum(told) / len(told)


@pytest.mark.parametrize(
    "line",
    [EchoLine(-4.0, 200.0), EchoLine(-12.0, 200.0), EchoLine(-25.0, 120.0), EchoLine(-20.0, 400.0, room=True)],
    ids=str,
)
@pytest.mark.parametrize("audio_format", [PHONE, WIDEBAND], ids=["8 kHz", "16 kHz"])
def test_our_voice_is_explained_from_its_first_word_on(line: EchoLine, audio_format: AudioFormat) -> None:
    sent = our_voice(audio_format, 8.0)
    call = Line(EchoEar(), audio_format)
    call.hear(sent, line.back(sent, audio_format))
    assert call.explained(0.0, 1.5) >= 0.85
    assert call.explained(1.5) >= 0.97
    estimate = call.call.estimate
    assert estimate is not None
    assert estimate.delay_ms == pytest.approx(line.delay_ms, abs=25)
    assert estimate.return_loss_db == pytest.approx(-line.return_loss_db, abs=4)


def test_another_voice_is_not_explained() -> None:
    sent = our_voice(PHONE, 8.0)
    other = our_voice(PHONE, 16.0, -25.0)[8 * PHONE.rate_hz :]
    quiet = np.arange(len(sent)) < 2.5 * PHONE.rate_hz
    call = Line(EchoEar())
    call.hear(sent, np.where(quiet, 0.0, other))
    assert call.explained() == 0.0
    assert call.call.estimate is None


@pytest.mark.parametrize("name", ["try-again", "nobody-available", "synthetic/documents"])
def test_a_caller_who_speaks_into_our_first_words_is_not_taken_for_their_echo(name: str) -> None:
    """As loud as we are, and at some delay always a little alike: by that alone no line has an echo."""
    sent = our_voice(PHONE, 12.0)
    caller = recording(name, PHONE, -20.0)[: 3 * PHONE.rate_hz]
    for offset_s in np.arange(0.0, 8.0, 0.5):
        said = sent[int(offset_s * PHONE.rate_hz) :][: 4 * PHONE.rate_hz]
        arriving = np.zeros(len(said))
        arriving[int(0.55 * PHONE.rate_hz) :][: len(caller)] = caller
        call = Line(EchoEar())
        call.hear(said, arriving)
        assert call.explained() <= 0.15, offset_s


def test_nothing_is_explained_when_nothing_was_said_in_time() -> None:
    sent = our_voice(PHONE, 6.0)
    line = EchoLine(-12.0, 200.0)
    call = Line(EchoEar())
    call.hear(sent, line.back(sent, PHONE))
    assert call.call.estimate is not None
    soft = recording("number-150", PHONE, -45.0)
    pause = np.zeros(int(REACH_S * PHONE.rate_hz))
    call.hear(np.zeros(len(pause) + len(soft)), np.concatenate((pause, soft)))
    assert not any(sound.is_echo for sound in call.sounds if sound.at_s > 6.0 + REACH_S)


def test_calls_are_judged_together_as_each_alone() -> None:
    sent = our_voice(PHONE, 4.0)
    lines = [EchoLine(-12.0, 200.0), EchoLine(-30.0, 60.0), EchoLine(-20.0, 400.0, room=True)]
    alone = [Line(EchoEar()) for _ in lines]
    for call, line in zip(alone, lines, strict=True):
        call.hear(sent, line.back(sent, PHONE))
    ear = EchoEar()
    together = [Line(ear) for _ in lines]
    arriving = [frames(line.back(sent, PHONE), PHONE) for line in lines]
    for number, said in enumerate(frames(sent, PHONE)):
        pairs = zip(together, arriving, strict=True)
        ear.judge([window for call, back in pairs for window in call.pass_frame(said, back[number])])
    for one, many in zip(alone, together, strict=True):
        assert [sound.is_echo for sound in many.sounds] == [sound.is_echo for sound in one.sounds]
        assert many.call.estimate == one.call.estimate


def test_an_echo_that_is_gone_is_forgotten() -> None:
    sent = our_voice(PHONE, 20.0)
    echo = EchoLine(-12.0, 200.0).back(sent, PHONE)
    call = Line(EchoEar())
    call.hear(sent, np.where(np.arange(len(sent)) < 8 * PHONE.rate_hz, echo, 0.0))
    assert call.call.estimate is None


def test_a_delay_that_changes_is_found_again() -> None:
    sent = our_voice(PHONE, 16.0)
    early, late = (EchoLine(-15.0, delay_ms).back(sent, PHONE) for delay_ms in (100.0, 350.0))
    call = Line(EchoEar())
    call.hear(sent, np.where(np.arange(len(sent)) < 8 * PHONE.rate_hz, early, late))
    assert call.explained(10.0) >= 0.95
    estimate = call.call.estimate
    assert estimate is not None
    assert estimate.delay_ms == pytest.approx(350.0, abs=25)


def test_a_fault_that_stays_is_counted_and_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sent = our_voice(PHONE, 4.0)
    call = Line(EchoEar())

    def fails(*_: object) -> np.ndarray:
        raise ValueError("not a spectrum")

    with monkeypatch.context() as broken:
        broken.setattr(BandMeter, "measure", fails)
        call.hear(sent, sent)
    assert call.ear.failures > 10
    assert not any(sound.is_echo for sound in call.sounds)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    call.hear(sent, sent)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def measured(voice: SentVoice, hop: int) -> np.ndarray:
    meter = BandMeter(PHONE_SHAPE.rate_hz, PHONE_SHAPE.window)
    windows = voice.unmeasured(hop)
    if len(windows):
        voice.keep(hop, meter.measure(windows))
    return voice.block(hop)


def test_what_was_sent_is_the_same_however_often_it_is_asked_for() -> None:
    often, once = SentVoice(PHONE_SHAPE), SentVoice(PHONE_SHAPE)
    for number, pcm in enumerate(frames(our_voice(PHONE, 2.0), PHONE)):
        now_s = 5.0 + number * 0.02
        for voice in (often, once):
            voice.said(pcm, now_s)
        measured(often, often.hop_at(now_s))
    hop = once.hop_at(7.0) - 1
    measured(often, hop)
    assert measured(once, hop) == pytest.approx(often.block(hop), abs=0.01)
    assert once.block(hop).shape[0] == HOPS


def test_frames_that_leave_together_are_continuous() -> None:
    steady, held_up = SentVoice(PHONE_SHAPE), SentVoice(PHONE_SHAPE)
    for number, pcm in enumerate(frames(our_voice(PHONE, 1.0), PHONE)):
        steady.said(pcm, 5.0 + number * 0.02)
        # The process stood still for two frames' time, then made up for it.
        held_up.said(pcm, 5.0 + max(number, 22 if 20 <= number < 22 else 0) * 0.02)
    hop = steady.hop_at(6.0)
    assert measured(held_up, hop) == pytest.approx(measured(steady, hop), abs=0.01)


def test_a_window_ends_at_its_own_end_not_with_the_frame_that_completes_it() -> None:
    line = HeardLine(PHONE_SHAPE)
    arrivals = [0.04, 0.08, 0.10, 0.14, 0.16, 0.20, 0.24, 0.26, 0.30, 0.32]
    ends = []
    for at_s in arrivals:
        line.arrived(b"", 10 + at_s, silent=False)
        ends.append(line.end_s - 10)
    assert ends[4:] == pytest.approx([0.032 * number for number in range(5, 11)])


def test_a_caller_is_believed_after_two_windows_and_not_after_one() -> None:
    path = EchoPath(10.0, 12.0, np.zeros(12, dtype=np.float32))
    for _ in range(50):
        assert not path.caller(0.2, 0.2)
    assert not path.caller(11.0, 0.6)
    assert path.caller(11.0, 0.7)
    assert not path.caller(0.1, 0.2)
