"""Words that a recogniser wrote instead of a number word, read the way a person would.

Two strengths: in free talk only a long word one letter off counts; where a number is expected, shorter and further
ones do, and two pieces of one word may be put together («девя носто»).
"""

from __future__ import annotations

from functools import lru_cache

from rapidfuzz import process
from rapidfuzz.distance import OSA

from kamerton.intent_classifier.number_words import NumberWord, number_words
from kamerton.intent_classifier.words import listed

_HUNDRED_SLIPS = frozenset(listed("сток стоп стой стон стог вто втон сдо зто стоо"))
"""What Whisper base writes for «сто» before another number word; alone they are words of their own."""

_COMMANDS = frozenset({"стоп", "стой"})
"""Slips that a caller also says as such: with punctuation after them they keep their meaning («стоп, двадцать
пять»)."""

_REAL_WORDS = frozenset(
    listed(
        """опять срок сроки срока сроков семья семье семьи семей родин одни двор дворе твое твои свое свои дверь парк
        пора
    троя честь часть сесть сессия десант пятно пятна пятка пятки сорт вторник пятница пятницу пятницы восток востока
    одиноко однако двери четверг четверга порядок оплата полис полиса сутки строк строка сейчас девочка девушка
    стоит стоить стоимость паров парам сорит сода соты сота двинуть отдать сидеть смотреть честно"""
    )
)
"""Common words within a few letters of a number word, which must stay what they are."""

_MIN_FREE_LETTERS = 7
_MIN_EXPECTED_LETTERS = 4
_LOOSE_DISTANCE = 3
_LOOSE_SHARED_LETTERS = 5


def is_hundred_slip(word: str, gap_after: str) -> bool:
    """Whether «сто» may stand behind a word such as «сток»; believe it only when a smaller number follows."""
    return word in _HUNDRED_SLIPS and not (gap_after and word in _COMMANDS)


@lru_cache(maxsize=4)
def _cardinals(language: str) -> tuple[str, ...]:
    table = number_words(language)
    return tuple(form for form, word in table.items() if len(form) >= _MIN_EXPECTED_LETTERS and not word.ordinal)


@lru_cache(maxsize=4096)
def slip(word: str, language: str, *, expected: bool) -> NumberWord | None:
    """The number word that `word` probably was, or None. `word` is folded and is not a number word itself."""
    least = _MIN_EXPECTED_LETTERS if expected else _MIN_FREE_LETTERS
    if len(word) < least or word in _REAL_WORDS:
        return None
    found = process.extractOne(word, _cardinals(language), scorer=OSA.distance, score_cutoff=_allowed(word, expected))
    if found is not None and _alike(word, found[0]):
        return number_words(language)[found[0]]
    return _loose(word, language) if expected else None


def _allowed(word: str, expected: bool) -> int:
    return 2 if expected and len(word) >= _MIN_FREE_LETTERS else 1


def _alike(word: str, form: str) -> bool:
    if len(word) >= _MIN_FREE_LETTERS:
        return word[0] == form[0] or word[-3:] == form[-3:]
    return word[0] == form[0] and len(form) >= len(word) - 1


def _loose(word: str, language: str) -> NumberWord | None:
    """«пидесят», «двасуть»: up to three letters off, if the beginning and the end are right."""
    if len(word) < _MIN_FREE_LETTERS:
        return None
    near = process.extract(word, _cardinals(language), scorer=OSA.distance, score_cutoff=_LOOSE_DISTANCE, limit=5)
    fitting = [form for form, _, _ in near if len(form) >= len(word) and _shared_ends(word, form)]
    values = {number_words(language)[form].value for form in fitting}
    return number_words(language)[fitting[0]] if len(values) == 1 else None


def _shared_ends(word: str, form: str) -> bool:
    prefix = _shared_prefix(word, form)
    suffix = _shared_prefix(word[::-1], form[::-1])
    return prefix >= 1 and suffix >= 2 and prefix + suffix >= _LOOSE_SHARED_LETTERS


def _shared_prefix(one: str, other: str) -> int:
    count = 0
    for first, second in zip(one, other, strict=False):
        if first != second:
            break
        count += 1
    return count
