"""Text as it is written turned into text as it is said: numbers, money, units, dates, phones in words.

Pure and deterministic. Rules run from the most specific (phone, date, time) to the plainest (a number with its unit),
so that no digit of a phone is ever read as an amount.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

from kamerton.domain.errors import ConfigurationError
from kamerton.tts.spoken.dates import spell_dates
from kamerton.tts.spoken.lexicon import Lexicon
from kamerton.tts.spoken.lexicon_ru import RUSSIAN
from kamerton.tts.spoken.lexicon_uk import UKRAINIAN
from kamerton.tts.spoken.numbers import spell_numbers
from kamerton.tts.spoken.phones import spell_phones

LANGUAGES: Final = {"ru": RUSSIAN, "uk": UKRAINIAN}

_MEMORY: Final = 4096
"""Texts whose spoken form is kept: the phrases and replies of some assistants."""
_DROPPED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "So", "Mn"})
_KEPT: Final = frozenset("№°")
_DECORATION: Final = re.compile(r"[*_#`~|<>^\\\[\]{}]+")
_APOSTROPHES: Final = re.compile(r"(?<=\w)[’ʼ‘](?=\w)")


@lru_cache(maxsize=_MEMORY)
def spoken(text: str, language: str) -> str:
    """Spell a text out for a voice. Returns "" when nothing in it can be said (only emoji, dots, markup).

    Args:
        text: what an author, a template or a model wrote.
        language: `ru` or `uk`.

    Raises:
        ConfigurationError: no rules for this language.
    """
    lexicon = LANGUAGES.get(language)
    if lexicon is None:
        known = ", ".join(sorted(LANGUAGES))
        raise ConfigurationError(f"no spelling rules for language '{language}'; set one of: {known}")
    said = _plain(text)
    said = spell_phones(said, lexicon)
    for pattern, replacement in lexicon.abbreviations:
        said = re.sub(pattern, replacement, said)
    said = spell_dates(said, lexicon)
    said = spell_numbers(said, lexicon)
    said = _spell_acronyms(said, lexicon)
    return _tidy(said, lexicon)


def _plain(text: str) -> str:
    """One kind of space and apostrophe; no emoji, control characters, stress marks or markup."""
    composed = unicodedata.normalize("NFC", text)
    kept = "".join(
        " " if character.isspace() else character
        for character in composed
        if character in _KEPT or character.isspace() or unicodedata.category(character) not in _DROPPED_CATEGORIES
    )
    kept = _APOSTROPHES.sub("'", _DECORATION.sub(" ", kept))
    kept = re.sub(r"(?<=[^\W\d_])-(?=\d)", " ", kept)
    return re.sub(r" {2,}", " ", kept).strip()


def _spell_acronyms(text: str, lexicon: Lexicon) -> str:
    """Acronyms that cannot be read as a word are said letter by letter: «ДТП» → «дэ тэ пэ»."""

    def said(match: re.Match[str]) -> str:
        word = match[0]
        if word in lexicon.acronyms:
            return lexicon.acronyms[word]
        if all(letter in lexicon.letters for letter in word):
            return " ".join(lexicon.letters[letter] for letter in word)
        return word

    return re.sub(r"(?<![\w-])[^\W\d_a-zа-яёєіїґ]{2,5}(?![\w])", said, text)


def _tidy(text: str, lexicon: Lexicon) -> str:
    for symbol, word in lexicon.symbols.items():
        text = text.replace(symbol, f" {word} ")
    text = re.sub(r"[/°$€₽₴]", " ", text)
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"(?<=[«(])\s+", "", re.sub(r"\s+(?=[,.!?;:…)»])", "", text)).strip()
    return text if any(character.isalpha() for character in text) else ""
