"""Keeps an answer from reciting the assistant's instructions, whatever made the model do so."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Final

LEAK_WORDS: Final = 8
"""Words in a row that an honest answer does not share with the instructions."""

_PARTS: Final = re.compile(r"[^\W_]+")


def plain_words(text: str) -> list[str]:
    """Words for comparing: lower case, no marks, «ё» as «е»."""
    return _PARTS.findall(text.lower().replace("\u0301", "").replace("ё", "е"))


class LeakGuard:
    """Lets words pass unless they complete a run of the instructions.

    It holds back only words that are, so far, a run of the instructions themselves: mostly none or one, never eight.
    """

    def __init__(self, instructions: str, leak_words: int = LEAK_WORDS) -> None:
        self._places: dict[str, list[int]] = defaultdict(list)
        for place, word in enumerate(plain_words(instructions)):
            self._places[word].append(place)
        self._leak_words = leak_words
        self._runs: dict[int, int] = {}
        self._held: list[tuple[str, int]] = []
        self.leaked = False
        """The answer recites the instructions; nothing passes any more."""

    def push(self, word: str) -> list[str]:
        """Take a word with its marks; return the words that may pass, in order."""
        if self.leaked:
            return []
        parts = plain_words(word)
        self._held.append((word, len(parts)))
        longest = max([self._extend_runs(part) for part in parts], default=0)
        if longest >= self._leak_words:
            self.leaked = True
            self._held.clear()
        return self._release(max(self._runs.values(), default=0))

    def finish(self) -> list[str]:
        """Return the words that wait: the answer is over, and they were too few for a leak."""
        return self._release(0)

    def _extend_runs(self, part: str) -> int:
        """Take one part; `_runs` has the length of each run by the place where it ends. Returns the longest."""
        self._runs = {place: self._runs.get(place - 1, 0) + 1 for place in self._places.get(part, ())}
        return max(self._runs.values(), default=0)

    def _release(self, suspected: int) -> list[str]:
        """Take words off the front as long as the rest still holds all suspected parts."""
        free: list[str] = []
        waiting = sum(parts for _, parts in self._held)
        while self._held and (waiting - self._held[0][1] >= suspected > 0 or suspected == 0):
            word, parts = self._held.pop(0)
            waiting -= parts
            free.append(word)
        return free
