"""One 20 ms clock for all calls of a process: an absolute schedule, with bounded catch-up (DESIGN section 6.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio

from kamerton.domain.audio import FRAME_MS

FRAME_S: Final = FRAME_MS / 1000
CATCH_UP_FRAMES: Final = 3
"""After a late tick a call sends at most this many frames at once; what is beyond it is skipped."""

Tick = Callable[[int], None]


class Metronome:
    """Calls every joined tick once per frame time with the number of frames that are due (1 unless it was late).

    Calls are spread over `phases` equal parts of the frame, so that their writes do not come in one burst.
    """

    def __init__(self, phases: int = 2) -> None:
        self._phases: list[dict[Tick, None]] = [{} for _ in range(phases)]
        self.late_frames = 0
        """Frames sent in catch-up, over all calls."""
        self.skipped_frames = 0
        """Frames that were never sent because the process was held up for longer than the catch-up covers."""

    def join(self, tick: Tick) -> None:
        """Tick from now on, in the emptiest phase."""
        min(self._phases, key=len)[tick] = None

    def leave(self, tick: Tick) -> None:
        """Tick no more; harmless when it never joined."""
        for phase in self._phases:
            phase.pop(tick, None)

    def _tick(self, phase: dict[Tick, None], due: int) -> None:
        frames = min(due, CATCH_UP_FRAMES)
        self.late_frames += (frames - 1) * len(phase)
        self.skipped_frames += (due - frames) * len(phase)
        for tick in tuple(phase):
            tick(frames)

    async def run(self) -> None:
        """Tick until cancelled."""
        start_s = anyio.current_time()
        step_s = FRAME_S / len(self._phases)
        sent = [0] * len(self._phases)
        slot = 0
        while True:
            await anyio.sleep_until(start_s + slot * step_s)
            index = slot % len(self._phases)
            # The tolerance keeps an exact clock from rounding an instant down to the frame before.
            due = int((anyio.current_time() - start_s - index * step_s) / FRAME_S + 1e-6) + 1 - sent[index]
            slot += 1
            if due > 0:
                sent[index] += due
                self._tick(self._phases[index], due)
            behind = int((anyio.current_time() - start_s) / step_s)
            if behind > slot + len(self._phases):
                slot = behind - (behind - slot) % len(self._phases)
