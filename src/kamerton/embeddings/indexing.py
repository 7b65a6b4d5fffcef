"""Tells how an indexing that may take minutes gets on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_WORTH_TELLING_S: Final = 20.0
"""Less is told by whoever asks for a hundred texts after the other."""
_EVERY_S: Final = 5.0


class IndexingProgress:
    """Lines for a person about texts that are being embedded by a service. Pure: the caller brings the time.

    Args:
        name: of the engine.
        total: texts.
        tell: is told each line; may be called from any thread.
    """

    def __init__(self, name: str, total: int, tell: Callable[[str], None]) -> None:
        self._name = name
        self._total = total
        self._tell = tell
        self._begun_s = 0.0
        self._told_s = 0.0
        self._worth_telling = False

    def begin(self, requests: int, requests_per_s: float, now_s: float) -> None:
        """Tell how long it will take, if it takes long."""
        self._begun_s = self._told_s = now_s
        takes_s = requests / requests_per_s
        self._worth_telling = takes_s >= _WORTH_TELLING_S
        if self._worth_telling:
            self._tell(
                f"{self._name} embeddings: {self._total} texts in {requests} requests, about {lasting(takes_s)} at "
                f"{requests_per_s:g} requests a second; it may be interrupted, what is done is kept"
            )

    def tell(self, done: int, now_s: float) -> None:
        """Tell how far it is, every few seconds."""
        if not self._worth_telling or now_s - self._told_s < _EVERY_S or not done:
            return
        self._told_s = now_s
        left_s = (now_s - self._begun_s) / done * (self._total - done)
        self._tell(f"{self._name} embeddings: {done} of {self._total} texts, about {lasting(left_s)} to go")


def lasting(seconds: float) -> str:
    """A duration as a person says it."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
