"""Number words of Russian and Ukrainian in all their cases, as one table per language, built once.

Forms are folded as `words.fold` does it, so «п'ять» and «пять» share a spelling. The Ukrainian table includes the
Russian one, because callers mix the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from kamerton.intent_classifier.words import fold, language_code, listed


@dataclass(frozen=True, slots=True)
class NumberWord:
    """What a word contributes to a number."""

    value: float
    multiplies: bool = False
    """True for «тысяч», «сотни»: it multiplies what stands before it."""
    ordinal: bool = False


_RU_UNITS: Mapping[float, str] = {
    0: "ноль нуль ноля нуля нолем нулем нолю нулю",
    1: "один одна одно одного одной одному одним одну одном одною",
    2: "два две двух двум двумя двое двоих двоим двоими оба обе обоих пара пару парой",
    3: "три трех трем тремя трое троих троим троими",
    4: "четыре четырех четырем четырьмя четверо четверых четверым четверыми",
    5: "пять пяти пятью пятеро пятерых пятерым",
    6: "шесть шести шестью шестеро шестерых шестерым",
    7: "семь семи семью семеро семерых семерым",
    8: "восемь восьми восемью восьмью восьмеро восьмерых",
    9: "девять девяти девятью девятеро девятерых",
    10: "десять десяти десятью десятеро десятерых",
    40: "сорок сорока",
    50: "полсотни полста писят пиисят",
    60: "шисят шейсят шиисят",
    90: "девяносто девяноста",
    100: "сто ста",
    150: "полтораста",
    200: "двести двухсот двумстам двумястами двухстах",
    300: "триста трехсот тремстам тремястами трехстах",
    400: "четыреста четырехсот четыремстам четырьмястами четырехстах",
    1.5: "полтора полторы полутора",
}
_RU_TEENS = listed("одиннадцат двенадцат тринадцат четырнадцат пятнадцат шестнадцат семнадцат восемнадцат девятнадцат")
_RU_FIVE_TO_NINE = (("пять", "пяти"), ("шесть", "шести"), ("семь", "семи"), ("восемь", "восьми"), ("девять", "девяти"))
_RU_MULTIPLIERS: Mapping[float, str] = {
    10: "десяток десятка десятков",
    100: "сотня сотни сотню сотен сотней",
    1000: "тысяча тысячи тысячу тысяч тысячей тысячью тысячам тысячами тысячах тыс тыща тыщи тыщу тыщ",
    1_000_000: "миллион миллиона миллионов миллиону миллионом миллионами млн",
}
_RU_ORDINALS: Mapping[float, str] = {
    1: "перв", 2: "втор", 4: "четверт", 5: "пят", 6: "шест", 7: "седьм", 8: "восьм", 9: "девят", 10: "десят",
    20: "двадцат", 30: "тридцат", 40: "сороков", 50: "пятидесят", 60: "шестидесят", 70: "семидесят",
    80: "восьмидесят", 90: "девяност", 100: "сот",
}  # fmt: skip
_RU_THIRD = "третий третья третье третьего третьей третьему третьим третью третьем третьих"
_RU_ENDINGS = listed("ый ой ая ое ые ого ому ым ом ую ых")

_UK_UNITS: Mapping[float, str] = {
    0: "нуль нуля нулем",
    1: "один одна одне одно одного однієї одному одній одним одну одною однією",
    2: "два дві двох двом двома двоє обидва обидві пара пару",
    3: "три трьох трьом трьома троє",
    4: "чотири чотирьох чотирьом чотирма четверо",
    5: "п'ять п'яти п'ятьох п'ятьма п'ятьом п'ятеро",
    6: "шість шести шістьох шістьма шістьом шестеро",
    7: "сім семи сімох сімома сімом семеро",
    8: "вісім восьми вісьмох вісьмома восьмеро",
    9: "дев'ять дев'яти дев'ятьох дев'ятьма дев'ятеро",
    10: "десять десяти десятьох десятьма десятеро",
    40: "сорок сорока",
    50: "півсотні",
    90: "дев'яносто дев'яноста",
    100: "сто ста",
    150: "півтораста",
    200: "двісті двохсот двомстам двомастами",
    300: "триста трьохсот трьомстам трьомастами",
    400: "чотириста чотирьохсот чотирьомстам",
    1.5: "півтора півтори",
}
_UK_TEENS = listed("одинадцят дванадцят тринадцят чотирнадцят п'ятнадцят шістнадцят сімнадцят вісімнадцят дев'ятнадцят")
_UK_FIVE_TO_NINE = (("п'ят", "п'яти"), ("шіст", "шести"), ("сім", "семи"), ("вісім", "восьми"), ("дев'ят", "дев'яти"))
_UK_MULTIPLIERS: Mapping[float, str] = {
    10: "десяток десятка десятків",
    100: "сотня сотні сотню сотень",
    1000: "тисяча тисячі тисячу тисяч тисячею тисячам тисячами тис",
    1_000_000: "мільйон мільйона мільйони мільйонів мільйоном млн",
}
_UK_ORDINALS: Mapping[float, str] = {
    1: "перш", 2: "друг", 4: "четверт", 5: "п'ят", 6: "шост", 7: "сьом", 8: "восьм", 9: "дев'ят", 10: "десят",
    20: "двадцят", 30: "тридцят", 40: "сороков", 50: "п'ятдесят", 60: "шістдесят", 70: "сімдесят",
    80: "вісімдесят", 90: "дев'яност", 100: "сот",
}  # fmt: skip
_UK_THIRD = "третій третя третє третього третьої третьому третім третю"
_UK_ENDINGS = listed("ий а е ого ої ому ій им у их")


@lru_cache(maxsize=4)
def number_words(language: str) -> Mapping[str, NumberWord]:
    """Folded form → what it means, for `ru` or `uk`."""
    table: dict[str, NumberWord] = {}
    readers = (_russian,) if language_code(language) == "ru" else (_ukrainian, _russian)
    for reader in readers:
        for form, word in reader():
            table.setdefault(fold(form), word)
    return MappingProxyType(table)


def _russian() -> Iterator[tuple[str, NumberWord]]:
    yield from _listed(_RU_UNITS)
    for offset, stem in enumerate(_RU_TEENS):
        yield from _each(11 + offset, (f"{stem}ь", f"{stem}и", f"{stem}ью"))
    for value, stem in ((20, "двадцат"), (30, "тридцат")):
        yield from _each(value, (f"{stem}ь", f"{stem}и", f"{stem}ью"))
    for digit, (name, oblique) in enumerate(_RU_FIVE_TO_NINE, start=5):
        if digit != 9:
            yield from _each(digit * 10, (f"{name}десят", f"{oblique}десяти", f"{name}юдесятью"))
        yield from _each(digit * 100, (f"{name}сот", *(f"{oblique}{end}" for end in ("сот", "стам", "стах"))))
        yield f"{name}юстами", NumberWord(digit * 100)
    yield from _multiplied(_RU_MULTIPLIERS)
    yield from _ordinals(_RU_ORDINALS, _RU_TEENS, _RU_ENDINGS, _RU_THIRD)


def _ukrainian() -> Iterator[tuple[str, NumberWord]]:
    yield from _listed(_UK_UNITS)
    for offset, stem in enumerate(_UK_TEENS):
        yield from _each(11 + offset, (f"{stem}ь", f"{stem}и", f"{stem}ьох", f"{stem}ьма"))
    for value, stem in ((20, "двадцят"), (30, "тридцят")):
        yield from _each(value, (f"{stem}ь", f"{stem}и", f"{stem}ьох", f"{stem}ьма"))
    for digit, (name, oblique) in enumerate(_UK_FIVE_TO_NINE, start=5):
        if digit != 9:
            yield from _each(digit * 10, (f"{name}десят", f"{name}десяти", f"{name}десятьох", f"{name}десятьма"))
        yield from _each(digit * 100, (f"{name}сот", f"{oblique}сот", f"{oblique}стам"))
    yield from _multiplied(_UK_MULTIPLIERS)
    yield from _ordinals(_UK_ORDINALS, _UK_TEENS, _UK_ENDINGS, _UK_THIRD)


def _each(value: float, forms: tuple[str, ...]) -> Iterator[tuple[str, NumberWord]]:
    return ((form, NumberWord(value)) for form in forms)


def _listed(table: Mapping[float, str]) -> Iterator[tuple[str, NumberWord]]:
    return ((form, NumberWord(value)) for value, forms in table.items() for form in forms.split())


def _multiplied(table: Mapping[float, str]) -> Iterator[tuple[str, NumberWord]]:
    return ((form, NumberWord(value, multiplies=True)) for value, forms in table.items() for form in forms.split())


def _ordinals(
    stems: Mapping[float, str], teens: tuple[str, ...], endings: tuple[str, ...], third: str
) -> Iterator[tuple[str, NumberWord]]:
    numbered = [*stems.items(), *((11.0 + offset, stem) for offset, stem in enumerate(teens))]
    for value, stem in numbered:
        for ending in endings:
            yield f"{stem}{ending}", NumberWord(value, ordinal=True)
    for form in third.split():
        yield form, NumberWord(3, ordinal=True)
