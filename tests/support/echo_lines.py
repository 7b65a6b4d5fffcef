"""Lines that return what was sent over them, from recordings: hybrids, rooms, small loudspeakers, jittery frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from paths import REPO

from kamerton.audio.resampling import resample
from kamerton.audio.wav import read_wav_file
from kamerton.domain.audio import FRAME_MS, AudioFormat

Samples = npt.NDArray[np.float64]

_CALLERS = REPO / "bench" / "callers"
_SPOKEN = ("hello", "one-moment", "too-short", "call-waiting", "nobody-available", "try-again", "tomorrow", "thanks")


def recording(name: str, audio_format: AudioFormat, level_dbfs: float) -> Samples:
    """A recorded utterance at a level, measured where it is loud."""
    audio = read_wav_file(_CALLERS / f"{name}.wav")
    samples = np.frombuffer(resample(audio.pcm, audio.format, audio_format), "<i2").astype(np.float64)
    return samples / loudness(samples) * 32768 * 10 ** (level_dbfs / 20)


def loudness(samples: Samples) -> float:
    """Root mean square of the 20 ms that are within 30 dB of the loudest."""
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    powers = (frames**2).mean(axis=1)
    return float(np.sqrt(powers[powers > powers.max() / 1000].mean()))


def our_voice(audio_format: AudioFormat, seconds: float, level_dbfs: float = -18.0) -> Samples:
    """An assistant that speaks all the time, with short pauses between its phrases."""
    pause = np.zeros(audio_format.samples(300))
    spoken: list[Samples] = []
    while sum(len(part) for part in spoken) < seconds * audio_format.rate_hz:
        for name in _SPOKEN:
            spoken += [recording(name, audio_format, level_dbfs), pause]
    return np.concatenate(spoken)[: int(seconds * audio_format.rate_hz)]


@dataclass(frozen=True)
class EchoLine:
    """A way back for what was sent."""

    return_loss_db: float
    delay_ms: float
    room: bool = False
    loudspeaker: bool = False
    jitter: bool = False
    mu_law: bool = False

    def back(self, sent: Samples, audio_format: AudioFormat) -> Samples:
        """What comes back of it, sample by sample in time with it."""
        random = np.random.default_rng(int(-self.return_loss_db + self.delay_ms))
        echo = sent
        if self.loudspeaker:
            echo = np.tanh(echo / 10_000) * 10_000
        if self.room:
            echo = np.convolve(echo, _room(audio_format, random))[: len(sent)]
        late = audio_format.samples(self.delay_ms)
        echo = np.concatenate((np.zeros(late), echo))[: len(sent)] * 10 ** (self.return_loss_db / 20)
        if self.jitter:
            echo = _jittered(echo, audio_format, random)
        return _mu_law(echo) if self.mu_law else echo


def _room(audio_format: AudioFormat, random: np.random.Generator) -> Samples:
    """A room that falls silent in 0.4 s, as loud as the loudspeaker itself."""
    time_s = np.arange(int(audio_format.rate_hz * 0.4)) / audio_format.rate_hz
    response = random.normal(size=len(time_s)) * 10 ** (-3 * time_s / 0.4)
    response[: int(audio_format.rate_hz * 0.003)] = 0
    response /= np.sqrt((response**2).sum())
    response[0] = 1.0
    scaled: Samples = response / np.sqrt(2)
    return scaled


def _jittered(echo: Samples, audio_format: AudioFormat, random: np.random.Generator) -> Samples:
    """Frames come one too early or one too late for a while, by being skipped or sent twice."""
    size = audio_format.frame_samples
    frames = echo[: len(echo) // size * size].reshape(-1, size)
    places = np.arange(len(frames))
    late = 1
    for number in range(len(frames)):
        change = random.random()
        if change < 0.02:
            late = (0, 1, 2)[int(random.integers(3))]
        places[number] = max(0, number - late)
    return np.concatenate((frames[places].ravel(), np.zeros(len(echo) - frames.size)))


def _mu_law(samples: Samples) -> Samples:
    """There and back through G.711's companding, near enough: seven bits of logarithm and a sign."""
    small = np.abs(samples) / 32768
    steps = np.round(np.log1p(255 * small) / np.log(256) * 127) / 127
    expanded: Samples = np.sign(samples) * (256**steps - 1) / 255 * 32768
    return expanded


def frames(samples: Samples, audio_format: AudioFormat) -> list[bytes]:
    """20 ms each."""
    pcm = np.clip(np.round(samples), -32768, 32767).astype("<i2").tobytes()
    size = audio_format.rate_hz * FRAME_MS // 1000 * 2
    return [pcm[at : at + size] for at in range(0, len(pcm) - size + 1, size)]
