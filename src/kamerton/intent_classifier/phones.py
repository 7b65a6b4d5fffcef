"""Phone numbers, typed or said in words, as E.164; Russia's and Ukraine's plans by default of the language."""

from __future__ import annotations

import re
from functools import lru_cache

import phonenumbers

from kamerton.intent_classifier.number_words import number_words
from kamerton.intent_classifier.numbers import find_numbers
from kamerton.intent_classifier.words import Token, language_code, listed, tokenize

_REGIONS = {"ru": "RU", "uk": "UA"}
_PLUS = frozenset({"плюс"})
_LINKS = frozenset(listed("тире дефис черта дальше далее потом затем потім далі скобка и і"))
_LEAST_DIGITS = 9
_MOST_DIGITS = 15
_DIGITS = re.compile(r"\d")


def count_digits(text: str, language: str = "ru") -> int:
    """How many digits of a phone number the text holds so far, words counted by the digits they stand for."""
    return max((len(run.lstrip("+")) for run in _runs(text, language)), default=0)


@lru_cache(maxsize=512)
def find_phone(text: str, language: str = "ru") -> str | None:
    """The last valid phone number of a text («+79123456789»), or None.

    Raises:
        ConfigurationError: there are no tables for the language.
    """
    region = _REGIONS[language_code(language)]
    for run in reversed(_runs(text, language)):
        if not _LEAST_DIGITS <= len(run.lstrip("+")) <= _MOST_DIGITS:
            continue
        for candidate in (run, f"+{run}"):
            found = _valid(candidate, region)
            if found is not None:
                return found
    return None


def _valid(digits: str, region: str) -> str | None:
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _runs(text: str, language: str) -> list[str]:
    """Digit strings said in one go; «плюс» and written «+» stay in front."""
    tokens = tokenize(text)
    table = number_words(language)
    runs: list[str] = []
    current = ""
    place = 0
    while place < len(tokens):
        token = tokens[place]
        if token.is_digits:
            current += _written(token, fresh=not current)
            place += 1
        elif token.text in table and not table[token.text].ordinal:
            digits, place = _said(text, tokens, place, language)
            current += digits
        else:
            place += 1
            if token.text in _PLUS:
                runs, current = [*runs, current], "+"
            elif token.text not in _LINKS:
                runs, current = [*runs, current], ""
    return [run for run in (*runs, current) if _DIGITS.search(run)]


def _written(token: Token, *, fresh: bool) -> str:
    digits = re.sub(r"\D", "", token.text)
    return f"+{digits}" if fresh and "+" in token.gap else digits


def _said(text: str, tokens: tuple[Token, ...], place: int, language: str) -> tuple[str, int]:
    """Digits of a stretch of number words, and the token after it."""
    table = number_words(language)
    end = place
    while end < len(tokens) and not tokens[end].is_digits and tokens[end].text in table:
        end += 1
    stretch = text[tokens[place].start : tokens[end - 1].end]
    return "".join(str(int(span.value)) for span in find_numbers(stretch, language)), end
