"""Are these our own words? The second defence against an echo: a transcript compared with what was being said."""

from __future__ import annotations

import re
from typing import Final

import numpy as np

_WORD: Final = re.compile(r"[^\W_]+")
_FEWEST_WORDS: Final = 3
_FEWEST_LETTERS: Final = 14
"""Less than that a caller says in the assistant's words without being its echo («сто пятьдесят», «всё верно»)."""
_FEWEST_WORDS_IN_ECHO: Final = 2
_FEWEST_LETTERS_IN_ECHO: Final = 8
"""The same where an echo is known. A single word stays the caller's there too: «здравствуйте» answers a greeting."""
_SLIPS: Final = 0.25
"""Letters in four that a recogniser may get wrong in speech that is soft and distorted. The best place for other
words of the same length in a text of ours differs in half of them."""

_FEWEST_RUNS: Final = 0.2
"""Of the runs of three letters, how many must be found at all: with a slip in every fourth letter a quarter is."""


def repeats_own_words(heard: str, said: str, *, echo_known: bool = False) -> bool:
    """Whether a transcript is a run of what the assistant was saying, slips of the recogniser forgiven.

    Case, punctuation, «ё» and where words are divided do not matter.

    Args:
        heard: the transcript.
        said: what the assistant said from shortly before until now. No more than that: a caller may well repeat what
            it said a while ago.
        echo_known: the line is known to return our voice (`Listener.echo`): fewer words are enough then. A single
            one never is; «да» is an answer, though the question contains it, and what is heard of an echo has passed
            the ears' own judgement.
    """
    heard_words, said_words = _words(heard), _words(said)
    letters = "".join(heard_words)
    if not letters or not said_words:
        return False
    words, fewest = (_FEWEST_WORDS_IN_ECHO, _FEWEST_LETTERS_IN_ECHO) if echo_known else (_FEWEST_WORDS, _FEWEST_LETTERS)
    if len(heard_words) < words or len(letters) < fewest:
        return False
    text = "".join(said_words)
    # Comparing costs; other words share hardly a run of three letters with ours.
    runs = [letters[at : at + 3] for at in range(len(letters) - 2)]
    if sum(run in text for run in runs) < _FEWEST_RUNS * len(runs):
        return False
    return _slips(letters, text) <= _SLIPS * len(letters)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower().replace("ё", "е"))


def _slips(part: str, text: str) -> int:
    """Least number of letters to change, add or leave out to find `part` somewhere in `text`."""
    letters = np.array([ord(letter) for letter in text])
    place = np.arange(len(letters) + 1)
    row = np.zeros(len(letters) + 1, dtype=np.int64)
    for count, letter in enumerate(part, start=1):
        changed = row[:-1] + (letters != ord(letter))
        below = np.concatenate(([count], np.minimum(changed, row[1:] + 1)))
        row = np.minimum.accumulate(below - place) + place
    return int(row.min())
