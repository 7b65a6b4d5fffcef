"""How many tokens a text takes: an estimate that needs no vendor, and its correction by what the vendor counted."""

from __future__ import annotations

import re
from typing import Final

_PIECE: Final = re.compile(r"([а-яёіїєґ']+)|([a-z]+)|(\d+)|\S", re.IGNORECASE)

CYRILLIC_CHARACTERS: Final = 3
"""Characters of a Cyrillic word per token. Vocabularies differ (multilingual ones take four or five, older English ones
two); three errs on the safe side for the former, and the vendor's count corrects it."""
LATIN_CHARACTERS: Final = 4
DIGITS: Final = 3
"""Digits per token: vocabularies of the GPT and Llama families cut numbers so."""

_CHARACTERS: Final = (1, CYRILLIC_CHARACTERS, LATIN_CHARACTERS, DIGITS)
"""Characters per token, by the group of `_PIECE`."""

MIN_SCALE: Final = 1.0
MAX_SCALE: Final = 2.0
"""Bounds of the correction. The estimate is not trusted to be too high: a history that takes less than thought is
corrected by the next count, one that takes more may be refused."""


def estimate_tokens(text: str) -> int:
    """Tokens of a text: words by their script and length, one for every other character, none for spaces."""
    tokens = 0
    for piece in _PIECE.finditer(text):
        start, end = piece.span()
        per_token = _CHARACTERS[piece.lastindex or 0]
        tokens += -(-(end - start) // per_token)
    return tokens


class TokenCalibration:
    """Learns from a vendor's counts how far the estimate is off, and what every prompt costs besides the conversation.

    The last count is taken for exact. From there a conversation grows by `scale` tokens for each estimated one and
    shrinks by one. The scale moves when two counts lie `spread` estimated tokens apart, so that a turn longer or
    shorter than another does not pass for an error of the estimate; a change that no vocabulary explains (other
    instructions) does not move it.
    """

    def __init__(self, spread: int) -> None:
        self._spread = spread
        self._scale = 1.0
        self._last = (0, 0)
        self._reference: tuple[int, int] | None = None

    @property
    def scale(self) -> float:
        """Tokens of the vendor per estimated one."""
        return self._scale

    @property
    def overhead(self) -> int:
        """Tokens of a prompt besides the conversation: instructions, the form of the answer, the turn at hand."""
        estimated, counted = self._last
        return max(0, round(counted - self._scale * estimated))

    def observe(self, estimated: int, counted: int) -> None:
        """A prompt whose conversation was estimated at so many tokens was counted as so many.

        Args:
            estimated: the estimate for the conversation in the prompt, uncorrected.
            counted: the vendor's count of the whole prompt; a count of 0 tells nothing and is ignored.
        """
        if counted <= 0:
            return
        self._last = (estimated, counted)
        if self._reference is None:
            self._reference = self._last
        elif abs(estimated - self._reference[0]) >= self._spread:
            slope = (counted - self._reference[1]) / (estimated - self._reference[0])
            if slope <= MAX_SCALE:
                self._scale = max((self._scale + slope) / 2, MIN_SCALE)
            self._reference = self._last

    def estimate_at(self, counted: float) -> float:
        """The estimate of a conversation with which a prompt comes to so many of the vendor's tokens."""
        last_estimated, last_counted = self._last
        further = counted - last_counted
        return last_estimated + (further / self._scale if further > 0 else further)
