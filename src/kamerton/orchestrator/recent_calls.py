"""Dialogues of calls that ended before their time: a call that comes back under the same id goes on where it stood.

Asterisk connects again with the same UUID when its dialplan comes back from a transfer that nobody answered, or after a
broken connection.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import anyio

from kamerton.domain.dialogue import SessionState

KEPT_S: Final = 600.0
"""How long a dialogue is kept: longer than a transfer rings, shorter than people remember what they were asked."""
MOST_CALLS: Final = 1000
"""Beyond it the oldest is given up."""


class RecentCalls:
    """One for all calls of a process; in memory only. Of one event loop."""

    def __init__(self, clock: Callable[[], float] = anyio.current_time) -> None:
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, SessionState]] = OrderedDict()

    def keep(self, session: SessionState) -> None:
        """The call ended and may come back. Those that did not come back in time are given up."""
        now_s = self._clock()
        self._left.pop(session.call_id, None)
        self._left[session.call_id] = (now_s, session)
        while len(self._left) > MOST_CALLS or now_s - next(iter(self._left.values()))[0] > KEPT_S:
            self._left.popitem(last=False)

    def __len__(self) -> int:
        return len(self._left)

    def take(self, call_id: str) -> SessionState | None:
        """Where the dialogue of a call stood, if it is known; once."""
        kept_s, session = self._left.pop(call_id, (0.0, None))
        return session if session is not None and self._clock() - kept_s <= KEPT_S else None
