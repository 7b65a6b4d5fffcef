"""What was sent and what arrived in the last second of one call, measured only when somebody asks."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from kamerton.domain.audio import FRAME_MS, SAMPLE_BYTES
from kamerton.listening.echo_bands import BANDS, NOTHING_DB
from kamerton.listening.silero import Floats, WindowShape

HOPS_PER_WINDOW: Final = 2
"""What was sent is measured twice per window: a delay is known to 8 ms, a window of speech changes little in that."""
CONTEXT: Final = 10
"""Windows that are compared at once (320 ms): an echo begins and ends with its cause, a caller does not."""
HOPS: Final = 60
"""Hops of sent audio that are looked at: the longest delay, before it the context."""

_RING: Final = 96
_TOGETHER: Final = 64
"""Frames, or windows of silence, that wait to be placed in time together: between the work of other calls each of them
alone costs several times as much."""
_FRAME_S: Final = FRAME_MS / 1000
_FRAMES_KEPT: Final = 70
CATCH_UP_FRAMES: Final = 3
"""So many frames leave at once after the process was held up."""
_APART_S: Final = 0.1
"""Windows that arrive further apart are no continuous audio."""


class SentVoice:
    """Frames of our own voice on the call's clock, and the bands of windows of them, one per hop of 16 ms.

    Frames that leave together after a delay of the process are continuous at the far end, and so they are here.
    """

    __slots__ = (
        "_bands",
        "_done",
        "_epoch_s",
        "_frames",
        "_gap",
        "_hop",
        "_hop_s",
        "_next",
        "_run",
        "_said",
        "_waiting",
        "_window",
    )

    def __init__(self, shape: WindowShape) -> None:
        self._window = shape.window
        self._hop = shape.window // HOPS_PER_WINDOW
        self._hop_s = self._hop / shape.rate_hz
        self._frames: deque[tuple[int, bytes]] = deque(maxlen=_FRAMES_KEPT)
        self._bands: Floats = np.full((_RING, BANDS), NOTHING_DB, dtype=np.float32)
        self._epoch_s = 0.0
        self._next = 0
        self._done = 0
        self._gap = 0
        self._run = 0
        self._said = False
        self._waiting: list[tuple[bytes, float]] = []

    def said(self, pcm: bytes, now_s: float) -> None:
        """A frame leaves. It is placed in time when somebody asks, or with others."""
        self._waiting.append((pcm, now_s))
        if len(self._waiting) >= _TOGETHER:
            self._place_all()

    def _place_all(self) -> None:
        for pcm, now_s in self._waiting:
            self._place(pcm, now_s)
        self._waiting.clear()

    def _place(self, pcm: bytes, now_s: float) -> None:
        if not self._said:
            self._epoch_s, self._said = now_s, True
        index = int((now_s - self._epoch_s) / _FRAME_S + 0.5)
        if index > self._next + 1:
            self._gap, self._run = index - self._next, 0
        else:
            if index < self._next and self._gap and self._run <= CATCH_UP_FRAMES:
                self._close_up()
            index = self._next
        self._next = index + 1
        self._run += 1
        self._changed_from(index, pcm)
        self._frames.append((index, pcm))

    def _close_up(self) -> None:
        """Several frames leave at once: the gap before them was no silence, but the process standing still."""
        for place in range(1, self._run + 1):
            index, pcm = self._frames[-place]
            self._frames[-place] = (index - 1, pcm)
            self._changed_from(index - 1, pcm)
        self._gap -= 1
        self._next -= 1

    def _changed_from(self, index: int, pcm: bytes) -> None:
        """What was taken for silence from this frame on is to be measured again."""
        first_hop = index * (len(pcm) // SAMPLE_BYTES) // self._hop
        if first_hop < self._done:
            self._done = first_hop

    def hop_at(self, at_s: float) -> int:
        """The newest hop that was over at an instant."""
        self._place_all()
        return round((at_s - self._epoch_s) / self._hop_s) - 1

    def unmeasured(self, hop: int) -> Floats:
        """Samples of the windows up to a hop that are not measured yet [windows, samples]; `keep` takes the result."""
        self._place_all()
        first = max(self._done, hop + 1 - HOPS)
        if first > hop:
            return np.empty((0, self._window), dtype=np.float32)
        start = (first + 1) * self._hop - self._window
        samples = np.zeros((hop + 1) * self._hop - start, dtype=np.float32)
        for index, pcm in reversed(self._frames):
            frame = np.frombuffer(pcm, "<i2")
            at = index * len(frame) - start
            if at + len(frame) <= 0:
                break
            if at < len(samples):
                samples[max(at, 0) : at + len(frame)] = frame[max(-at, 0) : len(samples) - at]
        halves = samples.reshape(-1, self._hop)
        return np.concatenate((halves[:-1], halves[1:]), axis=1)

    def keep(self, hop: int, bands: Floats) -> None:
        """Take the bands of the windows that `unmeasured(hop)` gave."""
        count = len(bands)
        if count:
            self._bands[np.arange(hop + 1 - count, hop + 1) % _RING] = bands
            self._done = max(self._done, hop + 1)

    def block(self, hop: int) -> Floats:
        """Bands of the last `HOPS` hops up to one, the newest last [HOPS, BANDS]."""
        return self._bands[np.arange(hop + 1 - HOPS, hop + 1) % _RING]


class HeardLine:
    """The windows that arrived last, and their bands.

    A window arrives with the frame that completes it, up to 20 ms after its own end; the earliest of five in a row
    comes exactly at its end, and from it the others are known.
    """

    __slots__ = ("_waiting", "_window_s", "bands", "end_s", "known")

    def __init__(self, shape: WindowShape) -> None:
        self._window_s = shape.window_ms / 1000
        self._waiting: deque[tuple[bytes, bool]] = deque(maxlen=CONTEXT)
        self.bands: Floats = np.full((CONTEXT, BANDS), NOTHING_DB, dtype=np.float32)
        """[CONTEXT, BANDS], the newest last."""
        self.known = 0
        """How many of them are known, the newest ones."""
        self.end_s = 0.0
        """When the newest window ended, as exactly as can be said."""

    def arrived(self, pcm: bytes, at_s: float, silent: bool) -> None:
        """A window is complete."""
        expected_s = self.end_s + self._window_s
        if abs(at_s - expected_s) > _APART_S:
            self._waiting.clear()
            self.known = 0
            expected_s = at_s
        self.end_s = max(at_s - _FRAME_S, min(expected_s, at_s))
        self._waiting.append((pcm, silent))

    def unmeasured(self) -> list[bytes]:
        """Audio of the windows that have not been measured yet."""
        return [pcm for pcm, _ in self._waiting]

    def keep(self, bands: Floats) -> list[bool]:
        """Take their bands; returns which of them were silent."""
        silent = [silent for _, silent in self._waiting]
        self._waiting.clear()
        self.bands = np.concatenate((self.bands, bands))[-CONTEXT:]
        self.known = min(self.known + len(bands), CONTEXT)
        return silent
