"""One 20 ms clock for all calls of a process: an absolute schedule, with bounded catch-up (DESIGN section 6.1)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Final

import anyio

from kamerton.domain.audio import FRAME_MS

FRAME_S: Final = FRAME_MS / 1000
CATCH_UP_FRAMES: Final = 3
"""After a late tick a call sends at most this many frames at once; what is beyond it is skipped."""

_EXACT: Final = 1e-6
"""Keeps an exact clock from rounding an instant down to the frame before."""

Tick = Callable[[int], None]
"""Must not raise."""


class Metronome:
    """Calls every joined tick once per frame time with the number of frames that are due (1 unless it was late).

    Calls are spread over `phases` equal parts of the frame, so that their writes do not come in one burst. It runs on
    loop timers, and sleeps while nobody has joined: a phase without calls costs nothing. Of one event loop.
    """

    def __init__(self, phases: int = 2) -> None:
        self._phases: list[dict[Tick, None]] = [{} for _ in range(phases)]
        self._sent = [0] * phases
        """Frames of each phase that were due up to now."""
        self._step_s = FRAME_S / phases
        self._slot = 0
        """The next part of a frame to be served, counted from the start."""
        self._start_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.late_frames = 0
        """Frames sent in catch-up, over all calls."""
        self.skipped_frames = 0
        """Frames that were never sent because the process was held up for longer than the catch-up covers."""

    def join(self, tick: Tick) -> None:
        """Tick from now on, in the emptiest phase."""
        index = min(range(len(self._phases)), key=lambda phase: len(self._phases[phase]))
        wakes = not self._phases[index]
        self._phases[index][tick] = None
        if wakes and self._loop is not None:
            now_s = self._loop.time()
            self._sent[index] = self._due(index, now_s)
            soonest = math.ceil((now_s - self._start_s) / self._step_s - _EXACT)
            self._slot = soonest if self._timer is None else min(self._slot, soonest)
            self._arm(self._loop)

    def leave(self, tick: Tick) -> None:
        """Tick no more; harmless when it never joined."""
        for phase in self._phases:
            phase.pop(tick, None)

    async def run(self) -> None:
        """Tick until cancelled."""
        loop = self._loop = asyncio.get_running_loop()
        self._start_s = loop.time()
        self._slot, self._sent = 0, [0] * len(self._phases)
        self._arm(loop)
        try:
            await anyio.sleep_forever()
        finally:
            self._loop = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wake up for the next part of a frame that has calls; not at all when none has."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for slot in range(self._slot, self._slot + len(self._phases)):
            if self._phases[slot % len(self._phases)]:
                self._slot = slot
                self._timer = loop.call_at(self._start_s + slot * self._step_s, self._beat, loop)
                return

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        index, now_s = self._slot % len(self._phases), loop.time()
        due = self._due(index, now_s) - self._sent[index]
        # A part that was held up for a whole frame and more is not served once for each frame that it missed.
        missed = int((now_s - self._start_s) / self._step_s) - self._slot
        self._slot += 1 + max(0, missed - missed % len(self._phases))
        self._timer = None
        self._arm(loop)
        if due > 0:
            self._sent[index] += due
            self._tick(self._phases[index], due)

    def _due(self, index: int, now_s: float) -> int:
        """Frames of a phase whose instants have passed since the start."""
        return int((now_s - self._start_s - index * self._step_s) / FRAME_S + _EXACT + 1)

    def _tick(self, phase: dict[Tick, None], due: int) -> None:
        frames = min(due, CATCH_UP_FRAMES)
        self.late_frames += (frames - 1) * len(phase)
        self.skipped_frames += (due - frames) * len(phase)
        for tick in tuple(phase):
            tick(frames)
