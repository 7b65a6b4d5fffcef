"""Agreement and refusal: «да, всё верно», «нет, неправильно», and the cases that are neither."""

from __future__ import annotations

from kamerton.intent_classifier.phrases import Phrasebook, holds_phrase, phrasebook
from kamerton.intent_classifier.words import language_code, word_texts

_SLIPS_OF_YES = {"ru": frozenset({"два", "дай", "дак"}), "uk": frozenset({"дак"})}
"""What a recogniser writes for a lone «да» («Два.» for «Да.»)."""

_FIRST_WORDS = 2


def yes_no(text: str, language: str = "ru", *, expected: bool = False) -> bool | None:
    """True for agreement, False for refusal, None when the words say neither or both.

    «да нет» is a refusal; «нет, всё верно» contradicts itself and is None, because acting on the wrong half is worse
    than asking again.

    Args:
        text: what was said.
        language: `ru` or `uk`.
        expected: a yes or no was asked for: a lone slip («Два.») counts as the «да» it probably was.
    """
    words = word_texts(text)
    if not words:
        return None
    book = phrasebook(language)
    if expected and len(words) == 1 and words[0] in _SLIPS_OF_YES[language_code(language)]:
        return True
    agreed = holds_phrase(words, book.yes_phrases)
    if holds_phrase(words, book.no_phrases) or book.wrong & set(words):
        return None if agreed and words[0] in book.yes else False
    return _plain(words, book, agreed=agreed)


def _plain(words: tuple[str, ...], book: Phrasebook, *, agreed: bool) -> bool | None:
    refused = words[0] in book.no or (len(words) > 1 and words[0] in book.fillers and words[1] in book.no)
    if refused:
        contradicted = agreed or bool(_affirmations(words, book))
        return None if contradicted and words[0] not in book.yes else False
    if agreed:
        return True
    started = [word for word in words[:_FIRST_WORDS] if word in book.yes]
    return True if started or (len(words) <= 3 and words[-1] in book.yes) else None


def _affirmations(words: tuple[str, ...], book: Phrasebook) -> set[str]:
    """Words of agreement that are more than a particle."""
    return {
        word for word in words[1:] if word in book.yes and word not in book.fillers and word not in book.backchannels
    }
