"""How much a far end may send in a while: work that others wait for must not be ordered from outside."""

from __future__ import annotations


class Allowance:
    """A stock that is filled steadily and used up by what arrives. Pure."""

    __slots__ = ("_most", "_per_s", "_seen_s", "_stock")

    def __init__(self, per_s: float, most: float, now_s: float) -> None:
        self._per_s = per_s
        self._most = most
        self._stock = most
        self._seen_s = now_s

    def covers(self, count: int, now_s: float) -> bool:
        """Use up so many; False when there are not that many left."""
        self._stock = min(self._most, self._stock + max(0.0, now_s - self._seen_s) * self._per_s)
        self._seen_s = now_s
        if self._stock < count:
            return False
        self._stock -= count
        return True
