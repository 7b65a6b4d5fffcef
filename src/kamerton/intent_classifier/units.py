"""Unit words next to a number («сто пятьдесят лошадиных сил», «водителей двое»)."""

from __future__ import annotations

from functools import lru_cache

from kamerton.intent_classifier.numbers import NumberSpan
from kamerton.intent_classifier.phrases import phrasebook
from kamerton.intent_classifier.words import Token, fold, word_texts

_SHORT_WORD = 4
_LONGEST_ENDING = 3
_LONGEST_UNIT_WORDS = 3


@lru_cache(maxsize=512)
def unit_near(tokens: tuple[Token, ...], span: NumberSpan, units: tuple[str, ...], language: str) -> str | None:
    """The unit said right after the number, or right before it: as `units` spells it, else as it was said."""
    after = _words(tokens[span.last + 1 : span.last + 1 + _LONGEST_UNIT_WORDS])
    found = _starting_unit(after, units, language)
    if found is not None:
        return found
    for length in range(min(_LONGEST_UNIT_WORDS, span.first), 0, -1):
        before = _words(tokens[span.first - length : span.first])
        found = _starting_unit(before, units, language, whole=True)
        if found is not None:
            return found
    return None


def is_expected_unit(unit: str, units: tuple[str, ...], language: str) -> bool:
    """Whether a unit means the same as one of the expected ones («лет» for «года»)."""
    words = word_texts(unit)
    if any(_covers(words, _unit_words(known)) for known in units):
        return True
    families = [family for family in phrasebook(language).units if " ".join(words) in family]
    return any(" ".join(_unit_words(known)) in family for family in families for known in units)


def unit_length(tokens: tuple[Token, ...], span: NumberSpan, unit: str) -> int:
    """How many tokens after the number belong to its unit."""
    wanted = "".join(_unit_words(unit))
    for length in range(1, _LONGEST_UNIT_WORDS + 1):
        words = _words(tokens[span.last + 1 : span.last + 1 + length])
        if words and ("".join(words) == wanted or _covers(words, _unit_words(unit))):
            return len(words)
    return 0


def _words(tokens: tuple[Token, ...]) -> tuple[str, ...]:
    return tuple(token.text for token in tokens)


@lru_cache(maxsize=512)
def _unit_words(unit: str) -> tuple[str, ...]:
    """«л.с.» is one word, as «л с» is."""
    words = word_texts(unit)
    return ("".join(words),) if len(words) > 1 and all(len(word) == 1 for word in words) else words


def _starting_unit(words: tuple[str, ...], units: tuple[str, ...], language: str, *, whole: bool = False) -> str | None:
    for unit in units:
        wanted = _unit_words(unit)
        length = _match_length(words, wanted)
        if length and (not whole or length == len(words)):
            return unit
    for length in range(len(words), 0, -1):
        said = " ".join(words[:length])
        joined = "".join(words[:length])
        for family in phrasebook(language).units:
            if (said in family or joined in family) and (not whole or length == len(words)):
                return said if said in family else joined
    return None


def _match_length(words: tuple[str, ...], wanted: tuple[str, ...]) -> int:
    if wanted and _covers(words[: len(wanted)], wanted):
        return len(wanted)
    if len(wanted) == 1 and len(wanted[0]) <= _SHORT_WORD:
        length = len(wanted[0])
        if len(words) >= length and "".join(words[:length]) == wanted[0]:
            return length
    return 0


def _covers(words: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    return len(words) == len(wanted) and all(_same_stem(one, other) for one, other in zip(words, wanted, strict=True))


def _same_stem(one: str, other: str) -> bool:
    """Equal up to the ending; short words must be equal."""
    if one == other:
        return True
    if min(len(one), len(other)) <= _SHORT_WORD or abs(len(one) - len(other)) > _LONGEST_ENDING:
        return False
    stem = max(_SHORT_WORD, max(len(one), len(other)) - _LONGEST_ENDING)
    return fold(one)[:stem] == fold(other)[:stem]
