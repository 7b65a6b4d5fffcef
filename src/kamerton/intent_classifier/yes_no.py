"""Agreement and refusal. Consent is explicit: a yes counts when nothing in the utterance negates, limits or mocks it.

«конечно, нет», «не всё верно» and «мы не согласны» refuse; «да, но дорого», «да ладно!», «верно?» do neither, and
are asked again, because acting on the wrong half is worse than asking.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import lru_cache

from kamerton.intent_classifier.agreement_words import agreement_words
from kamerton.intent_classifier.phrases import phrasebook
from kamerton.intent_classifier.words import language_code, tokenize, word_texts

_SLIPS_OF_YES = {"ru": frozenset({"два", "дай", "дак"}), "uk": frozenset({"дак"})}
"""What a recogniser writes for a lone «да» («Два.» for «Да.»)."""

_LONGEST_SCOPE = 5
"""Words that one «не» is taken to negate when no punctuation ends it."""

_STOPS = frozenset(",.!?;:…—–")
_CLOSING = " \t\n\"'»”)"


class Stance(StrEnum):
    """What an utterance does about a yes or no."""

    AGREES = "agrees"
    REFUSES = "refuses"
    DOUBTS = "doubts"
    """It takes an agreement back, contradicts itself, asks, mocks or puts off: no yes may be read into it."""
    SILENT = "silent"
    """Nothing of all this."""


class _Part(StrEnum):
    """What a stretch of an utterance does."""

    STRONG = "agrees"
    NEGATIVE_ASSENT = "agrees by a negation: «не против»"
    CLAUSAL = "agrees as a clause: «отлично»"
    PARTICLE = "agrees if nothing refuses: «да», «конечно»"
    WEAK = "agrees beside other agreement: «так»"
    NO = "«нет» at the beginning"
    MILD_NO = "«да нет» at the beginning"
    REFUSAL = "refuses"
    PART_REFUSAL = "refuses a part: «не всё», or anything after «но»"
    WRONG = "calls something wrong"
    DOUBT = "limits, asks, mocks, or negates something else"
    OTHER = "anything else"


_REFUSING = (_Part.NO, _Part.MILD_NO, _Part.REFUSAL, _Part.PART_REFUSAL, _Part.WRONG)
_AGREEING = (_Part.STRONG, _Part.NEGATIVE_ASSENT, _Part.CLAUSAL, _Part.PARTICLE)


def yes_no(text: str, language: str = "ru", *, expected: bool = False) -> bool | None:
    """True for agreement, False for refusal, None when the words say neither or both.

    «да нет» is a refusal, «да нет, всё верно» agrees; «нет, всё верно» contradicts itself and is None.

    Args:
        text: what was said.
        language: `ru` or `uk`.
        expected: a yes or no was asked for: a lone slip («Два.») counts as the «да» it probably was.
    """
    return {Stance.AGREES: True, Stance.REFUSES: False}.get(stance(text, language, expected=expected))


@lru_cache(maxsize=1024)
def stance(text: str, language: str = "ru", *, expected: bool = False) -> Stance:
    """What the whole utterance does; the arguments are those of `yes_no`.

    Raises:
        ConfigurationError: there are no tables for the language.
    """
    words = word_texts(text)
    if expected and len(words) == 1 and words[0] in _SLIPS_OF_YES[language_code(language)]:
        return Stance.AGREES
    count = Counter(_Utterance(text, language).parts())
    if words and text.rstrip(_CLOSING).endswith("?"):
        return Stance.DOUBTS
    if any(count[part] for part in _REFUSING):
        return _refused(count)
    if count[_Part.DOUBT]:
        return Stance.DOUBTS
    return Stance.AGREES if any(count[part] for part in _AGREEING) else Stance.SILENT


def _refused(count: Counter[_Part]) -> Stance:
    """The stance of an utterance that refuses somewhere."""
    if count[_Part.PART_REFUSAL]:
        return Stance.REFUSES
    more = count[_Part.REFUSAL] or count[_Part.WRONG] or count[_Part.DOUBT]
    if not more and (count[_Part.NEGATIVE_ASSENT] or (count[_Part.MILD_NO] and count[_Part.STRONG])):
        return Stance.AGREES
    if count[_Part.STRONG] or count[_Part.NEGATIVE_ASSENT] or count[_Part.CLAUSAL]:
        return Stance.DOUBTS
    only_wrong = not any(count[part] for part in _REFUSING if part is not _Part.WRONG)
    return Stance.DOUBTS if only_wrong and count[_Part.PARTICLE] else Stance.REFUSES


class _Utterance:
    """An utterance, taken apart from left to right."""

    def __init__(self, text: str, language: str) -> None:
        self._tokens = tokenize(text)
        self._words = tuple(token.text for token in self._tokens)
        self._table = agreement_words(language)
        self._book = phrasebook(language)
        self._phrases = _phrase_parts(language_code(language))
        self._longest = max(len(phrase) for phrase in self._phrases)

    def parts(self) -> Iterator[_Part]:
        """What each stretch does, in order; a plain yes behind a refusal contradicts it like strong agreement."""
        place, refused, excepted = 0, False, False
        while place < len(self._words):
            part, after = self._read(place)
            if refused and part is _Part.PARTICLE and self._words[place] in self._table.plain_yes:
                part = _Part.STRONG
            if excepted and part in (_Part.REFUSAL, _Part.WRONG):
                part = _Part.PART_REFUSAL
            yield part
            refused = refused or part in _REFUSING
            excepted = excepted or self._words[place] in self._book.exception
            place = after

    def _read(self, place: int) -> tuple[_Part, int]:
        phrase = self._phrase_at(place)
        if phrase:
            return self._phrase(place, phrase)
        word = self._words[place]
        if word in self._table.negators:
            return self._negation(place, place + 1)
        if word in self._table.answers_no:
            return self._answers_no(place, place + 1), place + 1
        return self._single(place), place + 1

    def _phrase_at(self, place: int) -> tuple[str, ...]:
        for length in range(min(self._longest, len(self._words) - place), 1, -1):
            phrase = self._words[place : place + length]
            part = self._phrases.get(phrase)
            if part is _Part.DOUBT or (part is not None and not self._is_broken(place, length)):
                return phrase
        return ()

    def _is_broken(self, place: int, length: int) -> bool:
        """Whether punctuation stands inside («не, всё верно»); only mockery is the same with it («ага, щас»)."""
        return any(self._stops(inner) for inner in range(place + 1, place + length))

    def _phrase(self, place: int, phrase: tuple[str, ...]) -> tuple[_Part, int]:
        part, after = self._phrases[phrase], place + len(phrase)
        if part not in (_Part.REFUSAL, _Part.PART_REFUSAL) or phrase[0] not in self._table.negators:
            return part, after
        end = max(after, self._scope_end(place + 1))
        return (_Part.OTHER if self._is_about_changes(place, end) else part), end

    def _negation(self, place: int, after: int) -> tuple[_Part, int]:
        """«не» and the words that it negates."""
        while after < len(self._words) and self._words[after] in self._table.negators and not self._stops(after):
            after += 1
        if self._is_drawled_no(after):
            return self._answers_no(place, after + 1), after + 1
        end = self._scope_end(after)
        scope = self._words[after:end]
        if not scope:
            return self._answers_no(place, after), after
        if self._is_about_changes(place, end):
            return _Part.OTHER, end
        refused = any(self._table.consents.fullmatch(word) for word in scope)
        return (_Part.REFUSAL if refused else _Part.DOUBT), end

    def _is_drawled_no(self, after: int) -> bool:
        """«не-а»."""
        return after < len(self._words) and self._words[after] == "а" and self._tokens[after].gap == "-"

    def _scope_end(self, start: int) -> int:
        """Where the words end that a «не» before `start` negates."""
        end = start
        while end < len(self._words) and end - start < _LONGEST_SCOPE and not self._stops(end):
            if end > start and self._words[end] in self._table.clause_words:
                break
            end += 1
        return end

    def _is_about_changes(self, place: int, end: int) -> bool:
        """Whether the clause around a negation speaks of changing something («менять ничего не надо»)."""
        start = place
        while start > 0 and place - start < _LONGEST_SCOPE and not self._stops(start):
            start -= 1
        return any(self._table.changes.fullmatch(word) for word in self._words[start:end])

    def _answers_no(self, place: int, after: int) -> _Part:
        """«нет»: an answer at the beginning, a refusal at the end of a clause, else something that is not there."""
        before = self._words[:place]
        openers = self._book.fillers | self._table.particles
        if all(word in openers for word in before):
            mild = bool(before) and before[-1] in self._table.plain_yes and not self._stops(place)
            return _Part.MILD_NO if mild else _Part.NO
        return _Part.REFUSAL if self._stops(after) else _Part.DOUBT

    def _single(self, place: int) -> _Part:
        word, table = self._words[place], self._table
        if word in table.refusing:
            return _Part.REFUSAL
        if word in self._book.wrong or word in table.cancelling:
            return _Part.WRONG
        if (word in self._book.exception and place > 0) or (word in table.doubts and not self._is_indefinite(place)):
            return _Part.DOUBT
        if word in table.strong:
            return _Part.STRONG
        if word not in table.clausal or not self._is_clause(place):
            return _Part.OTHER
        if word in table.weak:
            return _Part.WEAK
        return _Part.PARTICLE if word in table.particles else _Part.CLAUSAL

    def _is_indefinite(self, place: int) -> bool:
        """«где-то», «какой-нибудь»: no question."""
        return place + 1 < len(self._tokens) and self._tokens[place + 1].gap == "-"

    def _is_clause(self, place: int) -> bool:
        """Whether a clausal agreement stands alone or beside other agreement: «да», but not «да у меня …»."""
        after = place + 1
        if self._stops(after):
            return True
        word, table = self._words[after], self._table
        return word in table.agreeing | table.after_clausal | table.clause_words or self._continues(after)

    def _continues(self, place: int) -> bool:
        """Whether an agreement in several words begins there («да я не против»)."""
        skipped = place
        while (
            skipped < len(self._words) and self._words[skipped] in self._book.fillers and not self._phrase_at(skipped)
        ):
            skipped += 1
        if skipped >= len(self._words):
            return False
        phrase = self._phrase_at(skipped)
        if phrase:
            return self._phrases[phrase] in _AGREEING
        return self._words[skipped] in self._table.strong

    def _stops(self, place: int) -> bool:
        """Whether a clause ends before the token there."""
        return place >= len(self._tokens) or bool(_STOPS & set(self._tokens[place].gap))


@lru_cache(maxsize=4)
def _phrase_parts(language: str) -> Mapping[tuple[str, ...], _Part]:
    table = agreement_words(language)
    groups = (
        (table.assents, _Part.STRONG),
        (table.negative_assents, _Part.NEGATIVE_ASSENT),
        (table.refusals, _Part.REFUSAL),
        (table.part_refusals, _Part.PART_REFUSAL),
        (table.settled, _Part.OTHER),
        (table.doubt_phrases, _Part.DOUBT),
    )
    return {phrase: part for phrases, part in groups for phrase in phrases}
