"""What covers a wait: the state's own fillers in order, then a first short one, then neutral ones. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

FIRST_GROUP = "thinking"
NEUTRAL_GROUP = "still_working"


@dataclass(slots=True)
class FillerChoice:
    """Chooses the fillers of one call, never the same twice in a row."""

    groups: Mapping[str, Sequence[str]]
    _turns: dict[str, int] = field(default_factory=dict)
    _last: str = ""

    def next(self, first: bool, own: Sequence[str] = (), said: int = 0) -> str | None:
        """The next filler's text, or None when the assistant has none.

        Args:
            first: nothing was said for this wait yet.
            own: the state's own fillers, which come first and in order.
            said: how many fillers this wait already had.
        """
        if said < len(own):
            self._last = own[said]
            return self._last
        group = FIRST_GROUP if first and self.groups.get(FIRST_GROUP) else NEUTRAL_GROUP
        texts = self.groups.get(group, ())
        if not texts:
            return None
        turn = self._turns.get(group, 0)
        if texts[turn % len(texts)] == self._last and len(texts) > 1:
            turn += 1
        self._turns[group] = turn + 1
        self._last = texts[turn % len(texts)]
        return self._last
