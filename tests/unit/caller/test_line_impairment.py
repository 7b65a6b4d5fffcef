"""Bad lines, frame by frame: what is said of a line is what it does, and the same seed does it again."""

from __future__ import annotations

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from kamerton.audio.babble import babble
from kamerton.audio.tone import tone
from kamerton.domain.audio import PHONE
from kamerton.domain.errors import ConfigurationError
from kamerton.testing.caller.line_impairment import DTX_HANGOVER_FRAMES, LONGEST_BURST, LineImpairment
from kamerton.testing.caller.line_profile import PROFILES, CallerDamage, line_profile, parse_lines
from kamerton.testing.caller.line_sounds import LineSounds, mu_law_table
from kamerton.testing.caller.recordings import Recording

FRAME_S = 0.02
SPEECH = Recording.from_pcm("speech", bytes(4800) + babble(5, 1000.0, PHONE) + bytes(4800), PHONE)
SOUNDS = LineSounds(1, (SPEECH,))
BOT = np.frombuffer(babble(7, 3000.0, PHONE), "<i2").astype(np.float32).reshape(-1, PHONE.frame_samples)
Samples = NDArray[np.float64]


def audio(messages: tuple[bytes, ...]) -> Samples:
    return np.concatenate([np.frombuffer(each[3:], "<i2").astype(np.float64) for each in messages])


def sent_silence(damage: CallerDamage, frames: int, seed: int = 1) -> Samples:
    """What leaves while nobody speaks and nothing is heard."""
    line = LineImpairment(damage, SOUNDS, seed)
    return np.concatenate([audio(line.sent(number * FRAME_S, None, 0)) for number in range(frames)])


def returned(damage: CallerDamage, lateness: list[float], seed: int = 1) -> Samples:
    """What leaves while the bot speaks for 3 s: frames reach the caller late by the given seconds, in turn."""
    line = LineImpairment(damage, SOUNDS, seed)
    sent = []
    for number in range(250):
        sent.append(audio(line.sent(number * FRAME_S, None, 0)))
        if number < len(BOT):
            line.heard(number * FRAME_S + 0.001 + lateness[number % len(lateness)], BOT[number])
        else:
            line.heard(number * FRAME_S + 0.001, None)
    return np.concatenate(sent)


def level_dbfs(samples: Samples) -> float:
    return float(10 * np.log10(np.mean(np.square(samples)) / 32768.0**2 + 1e-12))


@pytest.mark.parametrize("lateness", [[0.0], [0.0, 0.012, 0.004, 0.019]])
@pytest.mark.parametrize(("echo_db", "delay_ms"), [(-12.0, 60.0), (-18.0, 200.0), (-30.0, 397.0)])
def test_what_is_heard_comes_back_after_its_delay_at_its_level(
    echo_db: float, delay_ms: float, lateness: list[float]
) -> None:
    damage = CallerDamage("x", echo_db=echo_db, echo_delay_ms=delay_ms)
    sent = returned(damage, lateness)
    bot = BOT.reshape(-1).astype(np.float64)
    lags = np.fft.irfft(np.fft.rfft(sent, 65536) * np.conj(np.fft.rfft(bot, 65536)))
    framing_s = FRAME_S + 0.001
    assert int(np.argmax(lags[:8000])) / 8000 == pytest.approx(delay_ms / 1000 + framing_s, abs=0.0011)
    begun = round((delay_ms / 1000 + framing_s) * 8000)
    assert level_dbfs(sent[begun : begun + 24000]) - level_dbfs(bot) == pytest.approx(echo_db, abs=2.0)
    assert level_dbfs(sent[: begun - 160]) < -65
    assert level_dbfs(sent[begun + 24000 + 800 :]) < -65


def test_an_echo_is_still_in_place_after_minutes_and_after_a_pause_of_the_far_end() -> None:
    line = LineImpairment(CallerDamage("x", echo_db=-12.0, echo_delay_ms=100.0), SOUNDS, 1)
    loud = []
    for number in range(6000):
        now_s = number * FRAME_S
        loud.append(level_dbfs(audio(line.sent(now_s, None, 0))) > -50)
        if not 2000 <= number < 2500:
            line.heard(now_s + 0.001, BOT[number % 150] if number % 1000 < 150 else None)
    begun = np.flatnonzero(np.diff(np.asarray(loud, dtype=np.int8)) == 1) + 1
    assert [int(number) for number in begun if number % 1000 < 20] == [6, 1006, 3006, 4006, 5006]


def test_noise_hum_and_offset_are_as_loud_as_they_are_said_to_be() -> None:
    speech_dbfs = 20 * np.log10(SOUNDS.speech_rms / 32768)
    for colour in ("white", "pink"):
        noise = sent_silence(CallerDamage("x", noise=colour, noise_below_speech_db=10.0), 500)
        assert level_dbfs(noise) == pytest.approx(speech_dbfs - 10, abs=0.3)
    played = sent_silence(CallerDamage("x", noise="music", noise_below_speech_db=14.0), 800)
    assert level_dbfs(played) == pytest.approx(speech_dbfs - 14, abs=0.3)
    humming = sent_silence(CallerDamage("x", hum_below_speech_db=20.0, offset=300.0), 100)
    spectrum = np.abs(np.fft.rfft(humming - humming.mean()))
    assert humming.mean() == pytest.approx(300, abs=1)
    assert int(spectrum.argmax()) * 8000 / len(humming) == pytest.approx(50)
    assert level_dbfs(humming - humming.mean()) == pytest.approx(speech_dbfs - 20, abs=0.3)


def test_pink_noise_is_louder_below_than_above() -> None:
    spectrum = np.abs(np.fft.rfft(SOUNDS.bed("pink", telephone_band=False).reshape(-1))) ** 2
    hz = np.linspace(0, 4000, len(spectrum))
    octaves = [spectrum[(hz >= low) & (hz < 2 * low)].sum() for low in (125, 250, 500, 1000)]
    assert max(octaves) / min(octaves) < 1.3


def test_frames_are_missing_in_short_bursts() -> None:
    line = LineImpairment(CallerDamage("x", lost_share=0.03), SOUNDS, 4)
    came = [len(line.sent(number * FRAME_S, None, 0)) for number in range(20000)]
    bursts = [len(run) for run in "".join("-" if each else "x" for each in came).split("-") if run]
    assert line.lost_frames / len(came) == pytest.approx(0.03, abs=0.005)
    assert sum(bursts) == line.lost_frames
    assert set(bursts) >= set(range(1, LONGEST_BURST + 1))
    assert np.mean(bursts) == pytest.approx(3, abs=0.3)


def test_frames_come_late_and_in_order() -> None:
    line = LineImpairment(CallerDamage("x", delay_variation_ms=60.0), SOUNDS, 4)
    clean = LineImpairment(CallerDamage("x"), SOUNDS, 4)
    made: list[bytes] = []
    came: list[bytes] = []
    behind = []
    for number in range(2000):
        made += clean.sent(number * FRAME_S, None, 0)
        came += line.sent(number * FRAME_S, None, 0)
        behind.append(len(made) - len(came))
    assert set(behind) == {0, 1, 2, 3}
    assert [each[:3] for each in came] == [each[:3] for each in made[: len(came)]]


def test_a_phone_with_dtx_sends_while_there_is_something_to_hear() -> None:
    line = LineImpairment(CallerDamage("x", dtx=True), SOUNDS, 1)
    sends = []
    for number in range(200):
        speaks = 50 <= number < 50 + len(SPEECH.messages)
        sends.append(bool(line.sent(number * FRAME_S, SPEECH if speaks else None, number - 50 if speaks else 0)))
    sending = np.flatnonzero(sends)
    first, last = 50 + 15, 50 + 15 + 50 - 1
    assert (sending[0], sending[-1]) == (first, last + DTX_HANGOVER_FRAMES)
    assert len(sending) == sending[-1] - sending[0] + 1
    assert line.withheld_frames == 200 - len(sending)


def test_dtx_lets_an_echo_pass_that_is_louder_than_the_noise() -> None:
    for echo_db, frames in ((-25.0, len(BOT) + DTX_HANGOVER_FRAMES), (-40.0, 0)):
        line = LineImpairment(CallerDamage("x", dtx=True, echo_db=echo_db, echo_delay_ms=120.0), SOUNDS, 1)
        sent = 0
        for number in range(250):
            sent += len(line.sent(number * FRAME_S, None, 0))
            line.heard(number * FRAME_S + 0.001, BOT[number] if number < len(BOT) else None)
        assert sent == pytest.approx(frames, abs=3)


def test_the_telephone_band_cuts_lows_and_highs() -> None:
    sounds = [tone(hz, 1000.0, PHONE) for hz in (60.0, 1000.0, 3900.0)]
    levels = []
    for pcm in sounds:
        recording = Recording.from_pcm("tone", pcm, PHONE)
        line = LineImpairment(CallerDamage("x", telephone_band=True), SOUNDS, 1)
        frames = [line.sent(number * FRAME_S, recording, number) for number in range(len(recording.messages))]
        levels.append(level_dbfs(np.concatenate([audio(each) for each in frames])))
    assert levels[1] == pytest.approx(-20, abs=0.5)
    assert levels[0] < -45
    assert levels[2] < -24


def test_mu_law_keeps_the_shape_and_loses_detail() -> None:
    table = mu_law_table()
    samples = np.arange(-32768, 32768, 7, dtype=np.int32).astype(np.int16)
    coded = table[samples.view(np.uint16)].astype(np.float64)
    assert len(np.unique(coded)) <= 255
    assert np.abs(coded - samples).max() < 0.03 * 32768
    quiet = np.abs(samples) < 300
    assert np.abs(coded - samples)[quiet].max() < 12


@pytest.mark.parametrize("name", list(PROFILES))
def test_the_same_seed_gives_the_same_line(name: str) -> None:
    profile = line_profile(name)
    assert profile.draw(random.Random(3)) == profile.draw(random.Random(3))

    def heard(seed: int) -> list[tuple[bytes, ...]]:
        line = LineImpairment(profile.draw(random.Random(seed)), LineSounds(1, (SPEECH,)), seed)
        out = []
        for number in range(300):
            line.heard(number * FRAME_S, BOT[number % len(BOT)])
            frame = number - 100
            speaks = 0 <= frame < len(SPEECH.messages)
            out.append(line.sent(number * FRAME_S, SPEECH if speaks else None, frame if speaks else 0))
        return out

    assert heard(3) == heard(3)
    assert heard(3) != heard(4)


def test_callers_of_a_line_differ_within_its_ranges() -> None:
    drawn = [line_profile("echo").draw(random.Random(seed)) for seed in range(50)]
    for damage in drawn:
        assert damage.echo_db is not None
        assert -30 <= damage.echo_db <= -12
        assert 60 <= damage.echo_delay_ms <= 400
    assert len({damage.echo_db for damage in drawn}) == 50
    told = line_profile("echo").as_json()
    assert (told["line"], told["echo_db"], told["echo_delay_ms"]) == ("echo", [-30.0, -12.0], [60.0, 400.0])


def test_lines_are_named() -> None:
    assert [each.typical.line for each in parse_lines("clean, noisy,echo,lossy,mobile,music")] == list(PROFILES)
    with pytest.raises(ConfigurationError, match="choose from clean, noisy, echo, lossy, mobile"):
        parse_lines("clean,tin-can")
    with pytest.raises(ConfigurationError, match="once"):
        parse_lines("clean,clean")
