"""How fast a service usually is: the times to its first result, over all calls. Pure."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

KEPT: Final = 100
"""Newest times that count."""
FEWEST: Final = 10
"""Times before which nothing is said."""
TAIL: Final = 0.9


class FirstResultTimes:
    """Times from a request to its first result (a token, audio), in seconds; the oldest are forgotten."""

    def __init__(self) -> None:
        self._times_s: deque[float] = deque(maxlen=KEPT)

    def record(self, waited_s: float) -> None:
        """A first result came, or was given up, after so long: a request that was overtaken took at least that."""
        self._times_s.append(waited_s)

    @property
    def p90_s(self) -> float | None:
        """The time within which nine of ten first results came; None while too few are known."""
        if len(self._times_s) < FEWEST:
            return None
        return sorted(self._times_s)[math.ceil(TAIL * len(self._times_s)) - 1]
