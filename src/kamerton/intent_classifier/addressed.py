"""What of an utterance is said to us: without sign-offs to an audience, and without a «пока» that means «for now».

A recogniser that hears noise writes what its training ended with («Всем пока!», «Спасибо за просмотр»), and «пока»
is a good-bye only among words of parting: «пока не надо» is none.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

from kamerton.intent_classifier.words import fold, language_code, listed, tokenize, word_texts

_AUDIENCE = {
    "ru": "всем пока|пока всем|всем спасибо|всем привет|всем до свидания|до свидания всем|всем удачи|до новых встреч|"
    "до встречи в следующем|до встречи в следующей|спасибо за просмотр|спасибо за внимание|благодарю за внимание|"
    "продолжение следует|подписывайтесь на канал|подписывайтесь на мой канал|подписывайтесь|ставьте лайки|"
    "ставьте лайк|смотрите в следующей серии|смотрите далее|увидимся в следующем видео|увидимся в следующей серии|"
    "дорогие друзья|с вами был|с вами была|субтитры сделал|субтитры создавал|субтитры подготовил|"
    "редактор субтитров|корректор субтитров",
    "uk": "всім пока|усім пока|всім дякую|усім дякую|дякую всім|всім привіт|всім до побачення|до нових зустрічей|"
    "до зустрічі в наступному|дякую за перегляд|дякую за увагу|далі буде|підписуйтесь на канал|"
    "підписуйтесь на мій канал|підписуйтеся на канал|підписуйтесь|підписуйтеся|ставте лайки|"
    "дивіться в наступній серії|побачимось у наступному відео|дорогі друзі|з вами був|з вами була|"
    "субтитри створював|субтитри зробив|редактор субтитрів|всем пока|спасибо за просмотр|продолжение следует|"
    "до новых встреч",
}
_PARTING = {
    "ru": "пока все ну ладно хорошо давайте давай спасибо большое огромное тогда да угу ага ок окей понятно "
    "ясно до свидания свиданья всего доброго хорошего удачи счастливо вам вот и благодарю встречи вас вы извините "
    "простите перезвоню потом позже я мне пора отбой прощайте дня вечера доброй ночи это конец",
    "uk": "пока все ну гаразд добре давайте давай дякую дуже щиро тоді да угу ага ок окей зрозуміло ясно до "
    "побачення зустрічі всього найкращого на все доброго хай щастить бувайте вам от і вас ви вибачте передзвоню "
    "потім пізніше я мені час відбій прощавайте дня вечора доброї ночі це кінець спасибо свидания",
}
_AFTER_BYE = frozenset(
    listed("пока спасибо дякую благодарю и і до давайте всего всього удачи счастливо вам вас хорошего доброго бувайте")
)
"""What may follow a good-bye «пока» without punctuation; «пока все», «пока мне …» mean «for now»."""

_FOR_NOW_TAILS = frozenset(listed("что еще"))
"""Words that go with «пока» in its other sense («пока что»)."""

_STOPS = frozenset(",.!?;:…—–-")


@lru_cache(maxsize=1024)
def addressed(text: str, language: str = "ru") -> str:
    """The words that are said to us, folded and joined by blanks; empty when none are.

    Raises:
        ConfigurationError: there are no tables for the language.
    """
    code = language_code(language)
    words = word_texts(text)
    kept = _without_phrases(words, _phrases(code))
    if len(kept) < len(words) and all(word in _parting(code) for word in kept):
        return ""
    if "пока" in kept and not (_is_bye(text) and all(word in _parting(code) for word in kept)):
        kept = _without_for_now(kept)
    return " ".join(kept)


def _is_bye(text: str) -> bool:
    """Whether every «пока» ends its clause or goes on with words of parting."""
    tokens = tokenize(text)
    return all(
        after.text in _AFTER_BYE or _STOPS & set(after.gap) for token, after in pairwise(tokens) if token.text == "пока"
    )


def _without_for_now(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        word
        for place, word in enumerate(words)
        if word != "пока" and not (place and words[place - 1] == "пока" and word in _FOR_NOW_TAILS)
    )


def _without_phrases(words: tuple[str, ...], phrases: frozenset[tuple[str, ...]]) -> tuple[str, ...]:
    longest = max(len(phrase) for phrase in phrases)
    kept: list[str] = []
    place = 0
    while place < len(words):
        length = next((n for n in range(longest, 0, -1) if words[place : place + n] in phrases), 0)
        if not length:
            kept.append(words[place])
        place += max(1, length)
    return tuple(kept)


@lru_cache(maxsize=4)
def _phrases(code: str) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(phrase.split()) for phrase in fold(_AUDIENCE[code]).split("|"))


@lru_cache(maxsize=4)
def _parting(code: str) -> frozenset[str]:
    return frozenset(listed(_PARTING[code]))
