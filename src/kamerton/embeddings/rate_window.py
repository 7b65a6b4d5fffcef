"""How many requests a second a service may get. Pure: the caller brings the time."""

from __future__ import annotations

from collections import deque


class RateWindow:
    """No more than `limit` requests in any span of a second. Belongs to one event loop.

    Args:
        limit: requests per second, above 0; a rate below one a second counts over a longer span.
    """

    def __init__(self, limit: float) -> None:
        self._places = max(1, int(limit))
        self._span_s = self._places / limit
        self._sent: deque[float] = deque(maxlen=self._places)

    @property
    def places(self) -> int:
        """Requests that may be sent at once."""
        return self._places

    def wait_s(self, now_s: float, spared: int = 0) -> float:
        """How long the next request has to wait; 0 when it may go now.

        Args:
            now_s: the time.
            spared: places left to requests that are more urgent; one place always remains.
        """
        places = max(1, self._places - spared)
        if len(self._sent) < places:
            return 0.0
        return max(0.0, self._sent[-places] + self._span_s - now_s)

    def took(self, now_s: float) -> None:
        """A request goes out now."""
        self._sent.append(now_s)
