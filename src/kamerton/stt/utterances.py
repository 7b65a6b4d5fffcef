"""Joining what an engine with its own ends of utterances says of one turn."""

from __future__ import annotations


class JoinedUtterances:
    """The text of one turn from an engine that may cut it into several utterances of its own.

    Such an engine starts each hypothesis anew after an end that it found itself; the turn is all of them in order.
    """

    def __init__(self) -> None:
        self._ended: list[str] = []
        self._current = ""

    @property
    def text(self) -> str:
        """Everything said in the turn so far."""
        return " ".join(text for text in (*self._ended, self._current) if text)

    def hypothesis(self, text: str) -> None:
        """The engine's newest idea of the utterance under way replaces its older ones."""
        self._current = text.strip()

    def ended(self, text: str) -> None:
        """The engine ended an utterance with this text; what it says next is another one."""
        self._ended.append(text.strip())
        self._current = ""
