"""Words of an utterance with their places: the one tokeniser that every reader in this package shares.

Case, «ё» and the Ukrainian apostrophe are folded away («П’ять» → «пять»); hyphens separate words, so that
«100-25» and «девя-носто» come out as two tokens with the hyphen kept in `gap`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from kamerton.domain.errors import ConfigurationError

LANGUAGES = ("ru", "uk")

_APOSTROPHES = "'’ʼ`´′"
_WORD = re.compile(rf"\d+(?:[.,]\d+)?|[^\W\d_]+(?:[{_APOSTROPHES}][^\W\d_]+)*")
_FOLDED = str.maketrans({"ё": "е", "ґ": "г", **dict.fromkeys(_APOSTROPHES, "")})


@dataclass(frozen=True, slots=True)
class Token:
    """One word or digit string: folded text, place in the original text, and what separates it from the one before."""

    text: str
    start: int
    end: int
    gap: str
    """Characters since the previous token, stripped of spaces: punctuation, or empty."""
    spaced: bool
    """True when white space stood in the gap."""

    @property
    def is_digits(self) -> bool:
        """Whether it was written in digits."""
        return self.text[0].isdecimal()


def language_code(language: str) -> str:
    """The two-letter code of a language tag («ru-RU» → «ru»).

    Raises:
        ConfigurationError: there are no tables for the language.
    """
    code = language.lower().replace("_", "-").split("-")[0]
    if code not in LANGUAGES:
        raise ConfigurationError(
            f"language '{language}' has no understanding tables; use one of: {', '.join(LANGUAGES)}"
        )
    return code


def listed(text: str) -> tuple[str, ...]:
    """The folded words of a table, in order."""
    return tuple(fold(text).split())


def fold(text: str) -> str:
    """Lower case, without «ё» and apostrophes."""
    return text.lower().translate(_FOLDED)


@lru_cache(maxsize=2048)
def tokenize(text: str) -> tuple[Token, ...]:
    """The words and digit strings of a text, in order."""
    tokens: list[Token] = []
    last = 0
    for match in _WORD.finditer(text):
        gap = text[last : match.start()]
        tokens.append(
            Token(fold(match.group()), match.start(), match.end(), gap.strip(), any(sign.isspace() for sign in gap))
        )
        last = match.end()
    return tuple(tokens)


def word_texts(text: str) -> tuple[str, ...]:
    """Folded words only."""
    return tuple(token.text for token in tokenize(text))


def normalised(text: str) -> str:
    """Folded words joined by single spaces: equal for texts that differ in case and punctuation only."""
    return " ".join(word_texts(text))
