"""One 20 ms clock for every caller of a process, on an absolute schedule."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Final

import anyio

from kamerton.domain.audio import FRAME_MS

FRAME_S: Final = FRAME_MS / 1000
SLOTS: Final = 10
"""Phases that callers are spread over, 2 ms apart, so that a process does not send all its frames at one instant."""
MAX_CATCH_UP: Final = 5
"""Ticks made up for at once after a stall; older ones are skipped and counted."""
KEPT_LATENESS: Final = 200_000

Tick = Callable[[float], None]


class Metronome:
    """Calls every attached function each 20 ms with the current instant (loop clock, seconds).

    Late ticks are made up for, so that a caller's audio keeps its own time; `lateness_ms` tells how exact it was.
    """

    def __init__(self, slots: int = SLOTS) -> None:
        self._slots: list[list[Tick]] = [[] for _ in range(slots)]
        self.lateness_ms = array("f")
        self.skipped_ticks = 0

    def attach(self, tick: Tick) -> Callable[[], None]:
        """Call `tick` from now on; returns the function that ends this."""
        slot = min(self._slots, key=len)
        slot.append(tick)

        def detach() -> None:
            if tick in slot:
                slot.remove(tick)

        return detach

    async def run(self) -> None:
        """Tick until cancelled."""
        step_s = FRAME_S / len(self._slots)
        begun_s = anyio.current_time()
        done = 0
        while True:
            done += 1
            due_s = begun_s + done * step_s
            late_s = anyio.current_time() - due_s
            if late_s < 0:
                await anyio.sleep_until(due_s)
                late_s = anyio.current_time() - due_s
            elif late_s > MAX_CATCH_UP * FRAME_S:
                lost = int(late_s / FRAME_S) * len(self._slots)
                self.skipped_ticks += lost // len(self._slots)
                done += lost
            ticks = self._slots[done % len(self._slots)]
            if ticks:
                self._call(tuple(ticks), late_s)

    def _call(self, ticks: tuple[Tick, ...], late_s: float) -> None:
        if len(self.lateness_ms) < KEPT_LATENESS:
            self.lateness_ms.append(late_s * 1000)
        for tick in ticks:
            tick(anyio.current_time())
