"""How much of an answer is spoken: up to a number of words, and to the end of a sentence."""

from __future__ import annotations

import re
from typing import Final

_SENTENCE_END: Final = re.compile(r"[.!?…]+[»\"”')]*$")
_CLAUSE_END: Final = re.compile(r"[,;:—–-][»\"”')]*$")
_ABBREVIATION: Final = re.compile(
    r"(?:^|[\s(«])(?:[^\W\d_]|ул|руб|коп|тыс|млн|млрд|мин|тел|грн|тис|хв|вул|буд)\.$", re.I
)


class AnswerLength:
    """Lets words pass until the limit.

    The first half of the limit passes word by word. After it the sentence that is being spoken passes clause by clause
    and all others as a whole (by then some fifteen seconds of speech lie ahead, so that nobody hears the wait), and
    what would cross the limit is left out. A text without any marks is cut at the limit.
    """

    def __init__(self, max_words: int) -> None:
        self._max_words = max_words
        self._words = 0
        self._held: list[str] = []
        self._last = ""
        self._begun = False
        """The sentence at hand has been released in part."""
        self._parted = False
        """What was released ends with a clause or a sentence."""
        self.full = False
        """The limit is reached; nothing passes any more."""

    def push(self, word: str) -> list[str]:
        """Take a word; return the words that may pass, in order."""
        if self.full:
            return []
        passed = self._at_border(word)
        spoken = any(char.isalnum() for char in word)
        if spoken and self._words >= self._max_words:
            self.full = True
            return passed + self._cut()
        self._words += spoken
        self._last = word
        self._held.append(word)
        if self._words <= self._max_words // 2:
            self._begun, self._parted = True, False
            return passed + self._take_held()
        if self._begun and _CLAUSE_END.search(word):
            self._parted = True
            return passed + self._take_held()
        return passed

    def finish(self) -> list[str]:
        """Return the words that wait: the answer is over, and within the limit."""
        return self._take_held()

    def _at_border(self, following: str) -> list[str]:
        """Release a sentence that has ended before this word."""
        if not _ends_sentence(self._last, following):
            return []
        self._begun, self._parted = False, True
        return self._take_held()

    def _cut(self) -> list[str]:
        held = self._take_held()
        return [] if self._parted else [*held, "…"]

    def _take_held(self) -> list[str]:
        held, self._held = self._held, []
        return held


def _ends_sentence(word: str, following: str) -> bool:
    if not _SENTENCE_END.search(word) or not any(char.isalnum() for char in following):
        return False
    return not _ABBREVIATION.search(word) and not following.lstrip("«\"'( ")[:1].islower()
