"""The contexts of one WebSocket: which are open, which slots are free, when each was last told anything. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kamerton.tts.voices.elevenlabs.protocol import MAX_CONTEXTS

ContextState = Literal["reserved", "open", "closing"]


@dataclass(slots=True)
class _Context:
    state: ContextState
    told_s: float


class ContextBook:
    """Gives out slots. A slot is free again when its context has ended at the vendor's, not when we close it.

    Args:
        most: open contexts at once.
    """

    def __init__(self, most: int = MAX_CONTEXTS) -> None:
        self._most = most
        self._contexts: dict[str, _Context] = {}
        self._made = 0

    @property
    def free(self) -> int:
        """Contexts that may be opened now."""
        return max(0, self._most - len(self._contexts))

    @property
    def busy(self) -> bool:
        """Whether any slot is taken."""
        return bool(self._contexts)

    def reserve(self, now_s: float) -> str:
        """Take a slot for a context with a new name; the vendor is told nothing yet. `free` must be above zero."""
        if not self.free:
            raise RuntimeError("no context is free; ask `free` first")
        self._made += 1
        name = f"kamerton-{self._made}"
        self._contexts[name] = _Context("reserved", now_s)
        return name

    def told(self, name: str, now_s: float) -> bool:
        """The vendor is sent something for a context, which opens it. False: it is not open any more, send nothing."""
        context = self._contexts.get(name)
        if context is None or context.state == "closing":
            return False
        context.state, context.told_s = "open", now_s
        return True

    def close(self, name: str, now_s: float) -> bool:
        """Nobody needs a context any more. True: the vendor has to be told; False: it knows none, or knows already."""
        context = self._contexts.get(name)
        if context is None or context.state == "closing":
            return False
        if context.state == "reserved":
            del self._contexts[name]
            return False
        context.state, context.told_s = "closing", now_s
        return True

    def ended(self, name: str) -> bool:
        """The vendor has ended a context; its slot is free. False: it was none of ours, or has ended before."""
        return self._contexts.pop(name, None) is not None

    def keep_alive(self, now_s: float, every_s: float) -> tuple[str, ...]:
        """Open contexts that were told nothing for so long; they count as told now."""
        due = [name for name, context in self._contexts.items() if self._silent(context, "open", now_s, every_s)]
        for name in due:
            self._contexts[name].told_s = now_s
        return tuple(due)

    def stuck(self, now_s: float, after_s: float) -> bool:
        """Whether the vendor owes the end of a context for so long that its slot counts as lost."""
        return any(self._silent(context, "closing", now_s, after_s) for context in self._contexts.values())

    def heard(self, name: str, now_s: float) -> None:
        """Something came for a context: one that is closing is not stuck."""
        context = self._contexts.get(name)
        if context is not None and context.state == "closing":
            context.told_s = now_s

    def _silent(self, context: _Context, state: ContextState, now_s: float, for_s: float) -> bool:
        return context.state == state and now_s - context.told_s >= for_s
