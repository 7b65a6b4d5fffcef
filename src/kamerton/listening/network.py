"""The network in its worker, with a deadline: it may raise, hang or be slow, and calls go on without its word."""

from __future__ import annotations

import logging
import math
from typing import Final

import anyio

from kamerton.domain.work import Worker
from kamerton.listening.silero import Floats, VadModel

log = logging.getLogger(__name__)

DEADLINE_S: Final = 1.0
"""Longest wait for an inference. A batch of 200 calls takes 7 ms; a second is a hung or stopped thread."""
SLOW_S: Final = 0.25
"""An inference longer than that keeps calls waiting; after two in a row the network rests."""
REST_S: Final = 4.0
"""How long it is not asked after that, or after a deadline that its thread did not even begin to meet."""

AT_ONCE_S: Final = 0.005
"""An inference on the loop that took longer sends the next ones to the worker for a while."""

Judgement = tuple[Floats, Floats]
"""Probabilities [batch], and the new state."""


class _Inference:
    """One piece of work for the thread. It tells how far it has come, also when nobody waits for it any more."""

    __slots__ = ("_model", "_rate_hz", "_state", "_windows", "begun", "finished")

    def __init__(self, model: VadModel, rate_hz: int, windows: Floats, state: Floats) -> None:
        self._model = model
        self._rate_hz = rate_hz
        self._windows = windows
        self._state = state
        self.begun = False
        self.finished = False

    def __call__(self) -> Judgement:
        self.begun = True
        try:
            return self._model.infer(self._rate_hz, self._windows, self._state)
        finally:
            self.finished = True


class GuardedNetwork:
    """Asks the network, one inference at a time, and says when it does not answer as it should.

    Up to `at_once` windows are judged on the loop, as long as that is quick. After a missed deadline it is asked again
    when its thread has come back; what the thread brings then is dropped.
    """

    def __init__(self, model: VadModel, worker: Worker, at_once: int = 0) -> None:
        self._model = model
        self._worker = worker
        self._at_once = at_once
        self._elsewhere_until_s = -math.inf
        self._late: _Inference | None = None
        self._rests_until_s = -math.inf
        self._slow = 0
        self.failures = 0
        """Inferences that raised or missed the deadline."""
        self.trouble = ""
        """What is wrong now; empty when the last inference was well."""

    async def infer(self, rate_hz: int, windows: Floats, state: Floats) -> Judgement | None:
        """Judge windows as `VadModel.infer` does; None when there is no answer within the deadline."""
        asked_s = anyio.current_time()
        if self._resting(asked_s):
            return None
        if len(windows) <= self._at_once and asked_s >= self._elsewhere_until_s and not self.trouble:
            return self._infer_at_once(rate_hz, windows, state, asked_s)
        inference = _Inference(self._model, rate_hz, windows, state)
        try:
            with anyio.move_on_after(DEADLINE_S):
                answer = await self._worker.run(inference)
                self._answered(anyio.current_time() - asked_s)
                return answer
        except Exception:  # the boundary to the network: its fault must not end every call of the process
            self._fail("voice activity detection fails; calls are heard by loudness alone", exc_info=True)
            return None
        self._late = inference
        self._rests_until_s = anyio.current_time() + REST_S
        self._fail(f"voice activity detection does not answer within {DEADLINE_S:g} s; calls are heard by loudness")
        return None

    def _infer_at_once(self, rate_hz: int, windows: Floats, state: Floats, asked_s: float) -> Judgement | None:
        try:
            answer = self._model.infer(rate_hz, windows, state)
        except Exception:  # the boundary to the network, as in `infer`
            self._fail("voice activity detection fails; calls are heard by loudness alone", exc_info=True)
            return None
        if anyio.current_time() - asked_s > AT_ONCE_S:
            self._elsewhere_until_s = anyio.current_time() + REST_S
        return answer

    def _resting(self, now_s: float) -> bool:
        late = self._late
        if late is not None and late.begun:
            if not late.finished:
                return True
            self._late = None
            self._rests_until_s = -math.inf
        return now_s < self._rests_until_s

    def _answered(self, took_s: float) -> None:
        self._slow = self._slow + 1 if took_s > SLOW_S else 0
        if self._slow >= 2:
            self._rests_until_s = anyio.current_time() + REST_S
            self._say(f"voice activity detection is slow ({took_s:.1f} s for a batch); is the machine overloaded?")
        elif not self._slow:
            if self.trouble:
                log.warning("voice activity detection answers again")
            self.trouble = ""

    def _fail(self, message: str, *, exc_info: bool = False) -> None:
        self.failures += 1
        self._say(message, exc_info=exc_info)

    def _say(self, message: str, *, exc_info: bool = False) -> None:
        if not self.trouble:
            log.error(message, exc_info=exc_info)
        self.trouble = message
