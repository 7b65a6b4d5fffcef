"""Which words of an utterance are negated, and whether that turns an intent around («не надо оператора»)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from kamerton.intent_classifier.stem_overlap import stems
from kamerton.intent_classifier.words import Token, language_code, listed, tokenize

_NEGATORS = frozenset(listed("не без зачем навіщо"))
_IMPERATIVES = ("йте", "ите", "ьте", "іть")
_PASSING_ON = {
    "ru": frozenset(
        listed(
            "надо нужно нужен нужна нужны хочу хотим хочется хотел хотела буду будем стоит могу можем собираюсь "
            "собираемся планирую планируем готов готова готовы просил просила прошу меня мне нас нам вас вам "
            "ни никакого никакой никаких"
        )
    ),
    "uk": frozenset(
        listed(
            "треба потрібно потрібен потрібна потрібні хочу хочемо хочеться хотів хотіла буду будемо варто можу можемо "
            "збираюся збираємося планую готовий готова готові просив просила прошу мене мені нас нам вас вам ні "
            "ніякого ніякої жодного"
        )
    ),
}
"""Words that hand their «не» on to what follows («не надо переключать»)."""

_STOPS = frozenset(",.!?;:…—–")


_NEEDED = {
    "ru": frozenset(listed("надо нужно нужен нужна нужны стоит")),
    "uk": frozenset(listed("треба потрібно потрібен потрібна потрібні варто")),
}
"""Words whose negation looks back at the end of a clause («оператор не нужен»)."""


@lru_cache(maxsize=1024)
def negated_stems(text: str, language: str = "ru") -> frozenset[str]:
    """Stems of the words that a «не», «без» or a rhetorical «зачем» negates.

    That is the next word and, through «надо» and its like or an imperative, the one after; at the end of a clause the
    one before («оператор не нужен»).

    Raises:
        ConfigurationError: there are no tables for the language.
    """
    return stems(" ".join(_negated(tokenize(text), language_code(language))), language)


def _negated(tokens: Sequence[Token], code: str) -> Iterator[str]:
    for place, token in enumerate(tokens):
        if token.text not in _NEGATORS:
            continue
        end = place + 1
        while end < len(tokens) and not _STOPS & set(tokens[end].gap):
            word = tokens[end].text
            end += 1
            if word in _PASSING_ON[code]:
                continue
            yield word
            if not word.endswith(_IMPERATIVES):
                break
        ends_clause = end == len(tokens) or _STOPS & set(tokens[end].gap)
        if place and ends_clause and tokens[end - 1].text in _NEEDED[code] and not _STOPS & set(token.gap):
            yield tokens[place - 1].text


class Turnarounds:
    """What each label's examples say without negation, so that its negation can be told from it. Immutable."""

    def __init__(self, examples: Iterable[tuple[int, str]], language: str) -> None:
        self._language = language
        self._said: dict[int, set[str]] = {}
        self._negated: dict[int, set[str]] = {}
        for label, text in examples:
            negated = negated_stems(text, language)
            words = " ".join(token.text for token in tokenize(text))
            self._negated.setdefault(label, set()).update(negated)
            self._said.setdefault(label, set()).update(stems(words, language) - negated)

    def unlike(self, label: int, text: str) -> bool:
        """Whether the text negates anything that no example of the label negates («до свидания не говорите»)."""
        return bool(negated_stems(text, self._language) - self._negated.get(label, set()))

    def turned(self, label: int, text: str) -> bool:
        """Whether the text negates what the label's examples say («не переключайте меня»)."""
        negated = negated_stems(text, self._language) - self._negated.get(label, set())
        return bool(negated & self._said.get(label, set()))
