"""Amounts, ordinals, ranges and sizes in words, in the case that the words around them ask for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from kamerton.tts.spoken.dates import word_before
from kamerton.tts.spoken.grammar import Case, Noun
from kamerton.tts.spoken.lexicon import Lexicon, Unit
from kamerton.tts.spoken.phones import spell_digits

_WHOLE: Final = r"\d{1,3}(?: \d{3})+(?!\d)|\d+"
_AMOUNT: Final = rf"(?:{_WHOLE})(?:[.,]\d+)?"
_WORDS_AFTER: Final = re.compile(r"\s?([^\W\d_][\w'-]*)?(?:\s([^\W\d_][\w'-]*))?")
_TYRE: Final = re.compile(r"(?<!\d)(\d{3})/(\d{2})[\s/]*[RrРр]\s?(\d{2})(?!\d)")


@dataclass(frozen=True, slots=True)
class _Amount:
    """A number as written: whole part and fraction, both digits only."""

    digits: str
    fraction: str

    @property
    def value(self) -> int:
        return int(self.digits)


@dataclass(frozen=True, slots=True)
class _Patterns:
    amount: re.Pattern[str]
    ordinal: re.Pattern[str]
    compound: re.Pattern[str]
    units: tuple[tuple[re.Pattern[str], Unit], ...]


def spell_numbers(text: str, lexicon: Lexicon) -> str:
    """Spell every number left in the text."""
    patterns = _patterns(lexicon)
    text = _TYRE.sub(lambda match: _tyre(match, lexicon), text)
    text = patterns.compound.sub(lambda match: _compound(match, lexicon), text)
    text = patterns.ordinal.sub(lambda match: _ordinal(match, lexicon), text)
    text = re.sub(rf"([$€₽₴])\s?({_AMOUNT})", r"\2 \1", text)
    return patterns.amount.sub(_AmountSpeller(lexicon, patterns), text)


class _AmountSpeller:
    """Spells one amount after another; remembers the case of the last one for «между пятью и десятью»."""

    def __init__(self, lexicon: Lexicon, patterns: _Patterns) -> None:
        self._lexicon = lexicon
        self._patterns = patterns
        self._last_end = -1
        self._last_case: Case = "n"

    def __call__(self, match: re.Match[str]) -> str:
        high = _amount_of(match["amount"], match["multiplier"], self._lexicon)
        low = _amount_of(match["low"], match["multiplier"], self._lexicon) if match["low"] else None
        unit = self._unit(match["unit"])
        after = ("", "") if unit else _words_after(match)
        case = self._case(match, after[0])
        self._last_end, self._last_case = match.end(), case
        opened = case == "n" and word_before(match.string, match.start()) not in self._lexicon.plain_prepositions
        if low is None:
            said = self._amount(high, unit, case, after)
        elif opened and low.value < high.value:
            said = self._from_to(low, high, unit, after)
        else:
            said = f"{self._bare(low, unit, case, after)}, {self._amount(high, unit, case, after)}"
        full_stop = "." if match[0].endswith(".") and _sentence_ends(match) else ""
        return f" {self._sign(match['sign'])} {said}{full_stop} "

    def _sign(self, sign: str | None) -> str:
        if not sign:
            return ""
        return self._lexicon.words.plus if sign == "+" else self._lexicon.words.minus

    def _case(self, match: re.Match[str], after: str) -> Case:
        start = match.start()
        before = word_before(match.string, start)
        between = match.string[self._last_end : start].strip().lower() if self._last_end >= 0 else "-"
        if between in self._lexicon.joints:
            return self._last_case
        shown = self._lexicon.case_of(before, after)
        return shown or self._lexicon.governors.get(before, "n")

    def _unit(self, written: str | None) -> Unit | None:
        if not written:
            return None
        return next(unit for pattern, unit in self._patterns.units if pattern.fullmatch(written))

    def _from_to(self, low: _Amount, high: _Amount, unit: Unit | None, after: tuple[str, str]) -> str:
        words = self._lexicon.words
        first, second = self._bare(low, unit, "g", after), self._amount(high, unit, "g", after)
        return f"{words.number_from} {first} {words.number_to} {second}"

    def _bare(self, amount: _Amount, unit: Unit | None, case: Case, after: tuple[str, str]) -> str:
        """The number of an amount without its unit."""
        numerals = self._lexicon.numerals
        if amount.value > numerals.LARGEST or (len(amount.digits) > 1 and amount.digits.startswith("0")):
            return _digits_in_threes(amount.digits, self._lexicon)
        if amount.fraction:
            return self._fraction(amount, case)
        gender = unit.said.gender if unit else self._lexicon.gender_of(amount.value, case, *after)
        return numerals.cardinal(amount.value, case, gender)

    def _amount(self, amount: _Amount, unit: Unit | None, case: Case, after: tuple[str, str]) -> str:
        if unit is None:
            return self._bare(amount, None, case, after)
        if unit.hundredth and len(amount.fraction) == 2:
            return self._money(amount, unit, unit.hundredth, case)
        noun = unit.said.of_fraction if amount.fraction else unit.said.agreeing(amount.value, case)
        return f"{self._bare(amount, unit, case, after)} {noun}"

    def _money(self, amount: _Amount, unit: Unit, coin: Noun, case: Case) -> str:
        numerals = self._lexicon.numerals
        whole = f"{numerals.cardinal(amount.value, case, unit.said.gender)} {unit.said.agreeing(amount.value, case)}"
        coins = int(amount.fraction)
        if not coins:
            return whole
        return f"{whole} {numerals.cardinal(coins, case, coin.gender)} {coin.agreeing(coins, case)}"

    def _fraction(self, amount: _Amount, case: Case) -> str:
        if len(amount.fraction) <= 3 and int(amount.fraction):
            return self._lexicon.numerals.decimal(amount.value, amount.fraction, case)
        whole = self._lexicon.numerals.cardinal(amount.value, case, "m")
        if not int(amount.fraction):
            return whole
        return f"{whole} {self._lexicon.words.point} {_digits_in_threes(amount.fraction, self._lexicon)}"


@lru_cache
def _patterns(lexicon: Lexicon) -> _Patterns:
    units = "|".join(unit.written for unit in lexicon.units)
    multipliers = "|".join(pattern for pattern, _ in lexicon.multipliers)
    endings = "|".join(sorted((*lexicon.ordinal_endings, *lexicon.cardinal_endings), key=len, reverse=True))
    stems = "|".join(lexicon.compound_stems)
    dash = rf"\s?[–—]\s?|\s-\s|-(?=(?:{_AMOUNT})\s?(?:[^\W\d_]|[%₽₴€$]))"
    return _Patterns(
        amount=re.compile(
            rf"(?:(?<![\w)%])(?P<sign>[+\-−–])(?=\d))?"
            rf"(?:(?P<low>{_AMOUNT})(?:{dash}))?"
            rf"(?P<amount>{_AMOUNT})"
            rf"(?:\s?(?P<multiplier>{multipliers})(?!\w))?"
            rf"(?:\s?(?P<unit>{units})(?!\w))?"
        ),
        ordinal=re.compile(rf"(?<![\d.,])(\d{{1,6}})-({endings})(?!\w)"),
        compound=re.compile(rf"(?<![\d.,])(\d{{1,3}})-?(?=(?:{stems})\w)"),
        units=tuple((re.compile(unit.written), unit) for unit in lexicon.units),
    )


def _amount_of(written: str, multiplier: str | None, lexicon: Lexicon) -> _Amount:
    whole, _, fraction = written.replace(" ", "").replace(",", ".").partition(".")
    if not multiplier:
        return _Amount(whole, fraction)
    factor = next(size for pattern, size in lexicon.multipliers if re.fullmatch(pattern, multiplier))
    return _Amount(str(int(whole + fraction) * factor // 10 ** len(fraction)), "")


def _words_after(match: re.Match[str]) -> tuple[str, str]:
    found = _WORDS_AFTER.match(match.string, match.end())
    if found is None:
        return "", ""
    return (found[1] or "").lower(), (found[2] or "").lower()


def _sentence_ends(match: re.Match[str]) -> bool:
    """Whether the dot of an abbreviation also ends the sentence: nothing or a capital letter follows."""
    rest = match.string[match.end() :].lstrip(" »")
    return not rest or rest[0].isupper()


def _digits_in_threes(digits: str, lexicon: Lexicon) -> str:
    """A long row of digits (an account, a code); leading zeros of each group are said."""
    return ", ".join(spell_digits(digits[at : at + 3], lexicon) for at in range(0, len(digits), 3))


def _ordinal(match: re.Match[str], lexicon: Lexicon) -> str:
    number, ending = int(match[1]), match[2]
    numerals = lexicon.numerals
    if ending in lexicon.cardinal_endings or (ending == "х" and number < 5):
        return numerals.cardinal(number, "g", "m")
    case, gender = lexicon.ordinal_endings[ending]
    if ending in ("х", "ых", "их") or (ending in ("е", "і") and number % 10 == 0):
        return numerals.plural_ordinal(number, case)
    return numerals.ordinal(number, case, gender)


def _compound(match: re.Match[str], lexicon: Lexicon) -> str:
    words = lexicon.numerals.cardinal(int(match[1]), "g", "m").split()
    return "".join(lexicon.compound_exceptions.get(word, word) for word in words)


def _tyre(match: re.Match[str], lexicon: Lexicon) -> str:
    width, profile, radius = (lexicon.numerals.cardinal(int(part), "n", "m") for part in match.groups())
    return f"{width} {lexicon.words.onto} {profile}, {lexicon.words.radius} {radius}"
