"""Whether an answer is written in the assistant's script: a voice cannot speak another one."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from kamerton.domain.errors import ConfigurationError

DECIDING_LETTERS: Final = 20
"""Letters after which the script is decided: three or four words."""

NAME_LETTERS: Final = 60
"""Letters of capitalised foreign words that pass as names before they are taken for a text («Volkswagen Passat …»)."""

MIXED_WORDS: Final = 2
"""Words of the language from which on fewer foreign ones are names in a sentence of its own («это через paypal»)."""

_NAME_INSIDE: Final = re.compile(r"@|\w[._-]\w|\d|[a-z][A-Z]")

SCRIPTS: Final = {"ru": "CYRILLIC", "uk": "CYRILLIC"}


class LanguageGuard:
    """Holds the first words back until their script is known, then lets all pass.

    Capitalised Latin words, addresses and words with a digit or an inner capital are taken for names of brands and
    models: they speak neither for nor against. Single foreign words among words of the language are names as well.
    """

    def __init__(self, language: str) -> None:
        if language not in SCRIPTS:
            known = ", ".join(SCRIPTS)
            raise ConfigurationError(f"free talk in '{language}' is not known; set the assistant's language to {known}")
        self._script = SCRIPTS[language]
        self._held: list[str] = []
        self._own = 0
        self._foreign = 0
        self._names = 0
        self._own_words = 0
        self._foreign_words = 0
        self._decided = False
        self.foreign = False
        """The answer is in another script; nothing passes."""

    def push(self, word: str) -> list[str]:
        """Take a word; return the words that may pass, in order."""
        if self.foreign:
            return []
        if self._decided:
            return [word]
        self._held.append(word)
        self._count(word)
        if self._own + self._foreign >= DECIDING_LETTERS or self._names >= NAME_LETTERS:
            return self._decide()
        return []

    def finish(self) -> list[str]:
        """Return the words that wait: the answer is over and judged by the letters it has."""
        return [] if self._decided or self.foreign else self._decide()

    def _decide(self) -> list[str]:
        held, self._held = self._held, []
        names = self._names if self._names >= NAME_LETTERS else 0
        mixed = self._own_words >= MIXED_WORDS and self._foreign_words < self._own_words and not names
        self.foreign = self._foreign + names > self._own and not mixed
        self._decided = not self.foreign
        return held if self._decided else []

    def _count(self, word: str) -> None:
        letters = [char for char in word if char.isalpha()]
        own = sum(unicodedata.name(char, "").startswith(self._script) for char in letters)
        self._own += own
        self._own_words += own > 0
        if letters and not own and (letters[0].isupper() or _is_name(word)):
            self._names += len(letters)
        else:
            self._foreign += len(letters) - own
            self._foreign_words += bool(letters) and not own


def _is_name(word: str) -> bool:
    """An address («ivan@mail.ru», «kamerton.ru»), a model («x5») or a brand with an inner capital («iPhone»)."""
    return bool(_NAME_INSIDE.search(word))
