"""Listening measured on a bad line: the real network, gate and segmenter on recorded speech, at exact instants.

`tools/measure_bad_line.py` prints the table of docs/line.md from it. Speech is recorded; what the line adds to it is
made here, the same every time.
"""

from __future__ import annotations

import csv
import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import anyio
import numpy as np
import numpy.typing as npt
from paths import SHARED_AUDIO

from kamerton.audio.wav import read_wav_file
from kamerton.domain.audio import PHONE, AudioFrame
from kamerton.domain.recognition import RecognitionHint, SttEvent
from kamerton.listening.gate import VadSettings
from kamerton.listening.listener import Listener, ListeningSettings
from kamerton.listening.segmenter import (
    SegmentEvent,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechSuspected,
)
from kamerton.listening.silero import VadModel
from kamerton.listening.vad import VadBatcher
from kamerton.orchestrator.workers import InlineWorker

Samples = npt.NDArray[np.float64]

SENTENCES: Final = ("nobody-available", "something-wrong", "try-again", "too-short", "call-waiting")
OTHER_SENTENCES: Final = tuple(
    f"synthetic/{name}" for name in ("documents", "operator", "correct-150", "weather", "card")
)
RATE_HZ: Final = PHONE.rate_hz
LEAD_S: Final = 3.0
PAUSE_S: Final = 3.0
TURN_ENDS_AFTER_S: Final = 0.8


@dataclass(frozen=True, slots=True)
class Script:
    """What is spoken: samples on the scale of 16-bit audio, and where each sentence begins and ends."""

    samples: Samples
    spans: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """What was made of a script."""

    found: int
    """Sentences in which speech was found."""
    false_pauses: int
    """Pauses inside sentences."""
    cut_short: int
    """Pauses inside sentences that were longer than 0.42 s, so that a plausible turn would have ended there."""
    false_starts: int
    """Speech that started outside sentences."""
    false_ducks: int
    """Sounds outside sentences that were suspected to be speech."""
    unended: int
    """Sentences after which no pause came within 0.8 s."""
    worst_onset_ms: float
    worst_end_ms: float
    """Largest distance of a pause after a sentence from its true end."""
    judged: float
    """Share of windows that the network was asked about."""


def five_sentences(names: Sequence[str] = SENTENCES, level_dbfs: float | None = None) -> Script:
    """Sentences with pauses of three seconds between them, each at `level_dbfs` if given (loud parts)."""
    spans = {**_spans(""), **_spans("synthetic/")}
    pieces, found, at_s = [np.zeros(int(LEAD_S * RATE_HZ))], [], LEAD_S
    for name in names:
        clip = read_wav_file(SHARED_AUDIO / f"{name}.wav")
        samples = np.frombuffer(clip.pcm, "<i2").astype(np.float64)
        start_s, end_s = spans[f"{name}.wav"]
        if level_dbfs is not None:
            samples *= 10 ** ((level_dbfs - speech_level(samples)) / 20)
        found.append((at_s + start_s, at_s + end_s))
        pieces += [samples, np.zeros(int(PAUSE_S * RATE_HZ))]
        at_s += len(samples) / RATE_HZ + PAUSE_S
    return Script(np.concatenate(pieces), tuple(found))


def _spans(folder: str) -> dict[str, tuple[float, float]]:
    with (SHARED_AUDIO / folder / "transcripts.tsv").open(encoding="utf-8") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return {folder + row["file"]: (float(row["speech_start_s"]), float(row["speech_end_s"])) for row in rows}


def speech_level(samples: Samples) -> float:
    """Level in dBFS of the parts within 25 dB of the loudest 20 ms."""
    powers = np.square(samples[: len(samples) // 160 * 160]).reshape(-1, 160).mean(axis=1)
    return float(10 * np.log10(powers[powers >= powers.max() / 316].mean() / 32768**2))


def noise(kind: str, level_dbfs: float, count: int, seed: int = 5) -> Samples:
    """White or pink noise, hum of 50 Hz with its harmonics, or a constant offset, at a level."""
    draw = np.random.default_rng(seed)
    if kind == "white":
        made = draw.normal(size=count)
    elif kind == "pink":
        spectrum = np.fft.rfft(draw.normal(size=count))
        bins = np.maximum(np.arange(len(spectrum)), 1)
        made = np.fft.irfft(spectrum / np.sqrt(bins), count)
    elif kind == "hum":
        t = np.arange(count) / RATE_HZ
        parts = ((1, 1.0), (2, 0.5), (3, 0.3), (4, 0.2), (5, 0.1), (7, 0.05))
        made = sum((gain * np.sin(2 * np.pi * 50 * order * t + order) for order, gain in parts), np.zeros(count))
    else:
        made = np.ones(count)
    scaled: Samples = made / np.sqrt(np.mean(made**2)) * 32768 * 10 ** (level_dbfs / 20)
    return scaled


def with_zeros(
    samples: Samples, every_s: float = 2.0, frames: int = 1, spare: Sequence[tuple[float, float]] = ()
) -> Samples:
    """Digital silence in place of some frames, as lines put it where a packet was lost; `spare` spans keep theirs."""
    holed = samples.copy()
    step = int(every_s * RATE_HZ)
    for at in range(step, len(holed), step):
        first = at // PHONE.frame_samples * PHONE.frame_samples
        last = first + frames * PHONE.frame_samples
        if all(last / RATE_HZ < start_s or first / RATE_HZ > end_s for start_s, end_s in spare):
            holed[first:last] = 0
    return holed


class _NoWords:
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


async def listen(samples: Samples, model: VadModel, vad: VadSettings | None = None) -> tuple[list[SegmentEvent], float]:
    """Play samples to a listener at real pace on the virtual clock; its events, and the share of windows judged.

    A turn ends 0.8 s after its last pause, as with a caller whose words are not known yet.
    """
    batcher = VadBatcher(model, InlineWorker(), vad)
    events: list[SegmentEvent] = []
    start_s = anyio.current_time()
    pause_s = math.inf
    turn = 0

    def report(event: SegmentEvent) -> None:
        nonlocal pause_s, turn
        events.append(event)
        if isinstance(event, SpeechStarted):
            turn += 1
            listener.open_turn(turn, event.onset_s, RecognitionHint())
        elif isinstance(event, SpeechPaused):
            pause_s = event.ended_s
        elif isinstance(event, SpeechResumed):
            pause_s = math.inf

    def clock() -> float:
        return anyio.current_time() - start_s

    listener = Listener(PHONE, batcher, _NoWords(), ListeningSettings(), clock, report)
    pcm = np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()
    frames = len(pcm) // PHONE.frame_bytes
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(batcher.run)
        for number in range(frames):
            await anyio.sleep_until(start_s + (number + 1) * 0.02)
            listener.tick(clock())
            at = number * PHONE.frame_bytes
            listener.hear(AudioFrame(pcm[at : at + PHONE.frame_bytes], PHONE, number * PHONE.frame_samples))
            if clock() >= pause_s + TURN_ENDS_AFTER_S:
                pause_s = math.inf
                listener.end_turn()
        tasks.cancel_scope.cancel()
    return events, batcher.windows_judged / (frames * 20 / 32)


def judge(events: Sequence[SegmentEvent], spans: Sequence[tuple[float, float]], judged: float = 0.0) -> Figures:
    """Compare what was reported with what was spoken."""
    starts = [e.onset_s for e in events if isinstance(e, SpeechStarted)]
    ducks = [e.onset_s for e in events if isinstance(e, SpeechSuspected)]
    stretches = _stretches(events)
    pauses = [(end_s, back_s) for _, end_s, back_s in stretches]

    def outside(at_s: float) -> bool:
        return all(at_s < start_s - 0.35 or at_s > end_s + 0.1 for start_s, end_s in spans)

    found = unended = false_pauses = cut_short = 0
    onset_ms, end_ms = [0.0], [0.0]
    for start_s, end_s in spans:
        inside = [(s, e) for s, e, _ in stretches if s < end_s and e > start_s]
        found += bool(inside)
        if inside:
            onset_ms.append(abs(inside[0][0] - start_s) * 1000)
        false = [(at, back) for at, back in pauses if start_s < at < end_s - 0.15]
        false_pauses += len(false)
        cut_short += sum(back - at > 0.42 for at, back in false)
        last = [at for at, _ in pauses if end_s - 0.15 <= at <= end_s + 0.8]
        unended += not last
        end_ms += [abs(last[-1] - end_s) * 1000] if last else []
    return Figures(
        found=found,
        false_pauses=false_pauses,
        cut_short=cut_short,
        false_starts=sum(map(outside, starts)),
        false_ducks=sum(map(outside, ducks)),
        unended=unended,
        worst_onset_ms=max(onset_ms),
        worst_end_ms=max(end_ms),
        judged=judged,
    )


def _stretches(events: Sequence[SegmentEvent]) -> list[tuple[float, float, float]]:
    """Onset, end and resumption (or infinity) of each stretch of speech."""
    found: list[tuple[float, float, float]] = []
    onset_s = 0.0
    for event in events:
        if isinstance(event, SpeechStarted):
            onset_s = event.onset_s
            if found and math.isinf(found[-1][2]):
                found[-1] = (found[-1][0], found[-1][1], onset_s)
        elif isinstance(event, SpeechResumed):
            onset_s = event.at_s
            found[-1] = (found[-1][0], found[-1][1], onset_s)
        elif isinstance(event, SpeechPaused):
            found.append((onset_s, event.ended_s, math.inf))
    return found


def lines() -> dict[str, Callable[[Script], Samples]]:
    """What each line makes of a script."""

    def mixed(kind: str, snr_db: float) -> Callable[[Script], Samples]:
        return lambda s: s.samples + noise(kind, speech_level(s.samples) - snr_db, len(s.samples))

    def at(kind: str, level_dbfs: float) -> Callable[[Script], Samples]:
        return lambda s: s.samples + noise(kind, level_dbfs, len(s.samples))

    def hum_and_offset(s: Script) -> Samples:
        return s.samples + noise("hum", -28, len(s.samples)) + noise("offset", -26, len(s.samples))

    def loud_floor(s: Script) -> Samples:
        louder = s.samples * 10 ** ((-12 - speech_level(s.samples)) / 20)
        return louder + noise("pink", -24, len(s.samples))

    def whisper(s: Script) -> Samples:
        quiet: Samples = s.samples * 10 ** ((-55 - speech_level(s.samples)) / 20)
        return quiet

    def whisper_in_noise(s: Script) -> Samples:
        return whisper(s) + noise("white", -75, len(s.samples))

    def clipped(s: Script) -> Samples:
        return np.clip(s.samples * 10 ** ((0 - speech_level(s.samples)) / 20), -32768, 32767)

    def zeros(s: Script) -> Samples:
        return with_zeros(s.samples + noise("white", -45, len(s.samples)))

    def long_zeros(s: Script) -> Samples:
        return with_zeros(s.samples + noise("white", -45, len(s.samples)), 1.0, 5, s.spans)

    return {
        "clean": lambda s: s.samples,
        "white 10 dB": mixed("white", 10),
        "white 6 dB": mixed("white", 6),
        "pink 10 dB": mixed("pink", 10),
        "pink 6 dB": mixed("pink", 6),
        "hum -30": at("hum", -30),
        "hum -20": at("hum", -20),
        "offset -26": at("offset", -26),
        "hum and offset": hum_and_offset,
        "zeros in noise": zeros,
        "long zeros in noise": long_zeros,
        "loud floor -24": loud_floor,
        "whisper -55": whisper,
        "whisper -55 in -75": whisper_in_noise,
        "clipped": clipped,
        "noise -55": at("white", -55),
    }


OPEN_GATE: Final = replace(VadSettings(), gate_floor_dbfs=-math.inf, gate_above_noise_db=-math.inf)
"""A gate that lets everything through to the network."""
