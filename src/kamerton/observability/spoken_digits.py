"""Digits as people write and say them, gathered into runs: «8 912 345-67-89», «восемь девятьсот двенадцать …».

A reader of its own, apart from the one that understands callers: here nothing is forgiven and nothing is computed, and
amounts («тринадцать тысяч») end a run, because no identifier is said with thousands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

_RUSSIAN: Final = """
0 ноль нуль ноля нуля
1 один одна одно
2 два две
3 три
4 четыре
5 пять
6 шесть
7 семь
8 восемь
9 девять
10 десять
11 одиннадцать
12 двенадцать
13 тринадцать
14 четырнадцать
15 пятнадцать
16 шестнадцать
17 семнадцать
18 восемнадцать
19 девятнадцать
20 двадцать
30 тридцать
40 сорок
50 пятьдесят
60 шестьдесят
70 семьдесят
80 восемьдесят
90 девяносто
100 сто
200 двести
300 триста
400 четыреста
500 пятьсот
600 шестьсот
700 семьсот
800 восемьсот
900 девятьсот
"""
_UKRAINIAN: Final = """
0 нуль нуля
1 один одна одне одно
2 два дві
3 три
4 чотири
5 п'ять
6 шість
7 сім
8 вісім
9 дев'ять
10 десять
11 одинадцять
12 дванадцять
13 тринадцять
14 чотирнадцять
15 п'ятнадцять
16 шістнадцять
17 сімнадцять
18 вісімнадцять
19 дев'ятнадцять
20 двадцять
30 тридцять
40 сорок
50 п'ятдесят
60 шістдесят
70 сімдесят
80 вісімдесят
90 дев'яносто
100 сто
200 двісті
300 триста
400 чотириста
500 п'ятсот
600 шістсот
700 сімсот
800 вісімсот
900 дев'ятсот
"""
_REPEATED: Final = """
0 нуля нулей ноля нолика нуликов нулі нулів
1 единицы единички единиц одиниці одинички
2 двойки двоек двійки двійок
3 тройки троек трійки трійок
4 четверки четверок четвірки четвірок
5 пятерки пятерок п'ятірки п'ятірок
6 шестерки шестерок шістки шісток
7 семерки семерок сімки сімок
8 восьмерки восьмерок вісімки вісімок
9 девятки девяток дев'ятки дев'яток
"""
"""«Три семёрки»: the digit that is said so many times."""

_FILLERS: Final = "тире|дефис|дефіс|черта|дробь|скобка|дальше|далее|потом|затем|потім|далі|плюс|и|і|э+|ну|так|номер"
_GAP_RE: Final = re.compile(rf"(?:[\s,.;/()\-‐‑–—+№#_…*]|\b(?:{_FILLERS})\b){{0,28}}", re.IGNORECASE)
_APOSTROPHES: Final = str.maketrans(dict.fromkeys("’ʼ‘＇`", "'") | {"ё": "е"})
_MULTIPLIER_RE: Final = re.compile(
    r"\s*(?:тысяч|тыс\b|тисяч|тис\b|миллион|миллиард|млн|млрд|мільйон|мільярд)", re.IGNORECASE
)
_LEAD_RE: Final = re.compile(r"(?P<word>\bплюс\s?)?(?P<lead>(?:\+\s?)?\(?)$", re.IGNORECASE)

_UUID: Final = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_OCTET: Final = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_DATE: Final = r"(?:0?[1-9]|[12]\d|3[01])(?P<point>[./])(?:0?[1-9]|1[0-2])(?P=point)(?:19|20)\d\d"
_ISO_DATE: Final = r"(?:19|20)\d\d-(?:0\d|1[0-2])-[0-3]\d(?:[T ]\d\d:\d\d)?"
_TOKEN_RE: Final = re.compile(
    rf"(?P<kept>\b{_UUID}\b|(?<![\d.+(])(?<!\d[\s.)-])(?<!\d[\s.)-][\s(.-])(?:{_OCTET}\.){{3}}{_OCTET}(?::\d+)?(?![\d\s().\-]{{0,3}}\d)"
    rf"|(?<![\d.\-/+(]){_ISO_DATE}(?![\d-])|(?<![\d.\-/+(]){_DATE}(?![\d./])|(?:(?<=[^\W\d_]\s)|(?<=[=:]))0\.\d+)"
    r"|(?P<digits>(?<![A-Za-z_])(?<![A-Za-z]-)\d+(?![A-Za-z_\d]))"
    r"|\w+(?:['’ʼ‘＇]\w+)*"
)
"""Ids, addresses of machines, dates and fractions are kept whole and belong to no run."""


def _table(listing: str) -> dict[str, int]:
    lines = (line.split() for line in listing.strip().splitlines())
    return {word: int(value) for value, *words in lines for word in words}


_VALUES: Final = {**_table(_UKRAINIAN), **_table(_RUSSIAN)}
_REPEATS: Final = _table(_REPEATED)
_MOST_GROUPS: Final = 40
"""A run ends here at the latest: numbers of people have 29 digits at most, and rules look at every part of a run."""
_TORN: Final = {"сот": 100, "десят": 10}
"""Recognisers tear «девятьсот» and «пятьдесят» apart."""
_LETTERS_RE: Final = re.compile(r"[^\W\d_]+")
_DIGIT_RE: Final = re.compile(r"\d")
_HINTS: Final = frozenset(word.rpartition("'")[2] for word in _VALUES)
"""What is left of number words when they are cut at apostrophes: none of them in a text, no number in words."""


@dataclass(frozen=True, slots=True)
class DigitGroup:
    """Digits written together, or number words that make one number, and where they stand in the text."""

    digits: str
    start: int
    end: int
    in_words: bool = False


@dataclass(frozen=True, slots=True)
class DigitRun:
    """Groups said one after the other."""

    groups: tuple[DigitGroup, ...]
    plus: bool = False
    """A «+», or «плюс», stands before the first one."""
    lead: int = 0
    """Characters of a «+» and a bracket right before the first one."""
    digits: str = field(init=False)
    shape: tuple[int, ...] = field(init=False)
    """Digits in each group."""

    def __post_init__(self) -> None:
        """Work out once what every rule asks for."""
        object.__setattr__(self, "digits", "".join(group.digits for group in self.groups))
        object.__setattr__(self, "shape", tuple(len(group.digits) for group in self.groups))

    @property
    def start(self) -> int:
        """Where it begins in the text."""
        return self.groups[0].start - self.lead

    @property
    def end(self) -> int:
        """Where it ends in the text."""
        return self.groups[-1].end

    @property
    def in_words(self) -> bool:
        """Whether any of it is in words."""
        return any(group.in_words for group in self.groups)

    def parts(self, least: int, most: int) -> list[tuple[int, int]]:
        """Stretches of groups, as (first, after the last), of so many digits; the longest first."""
        ends = list(accumulate(self.shape, initial=0))
        count = len(self.groups)
        found = [
            (first, last)
            for first in range(count)
            for last in range(first + 1, count + 1)
            if least <= ends[last] - ends[first] <= most and last - first < count
        ]
        return sorted(found, key=lambda part: (ends[part[0]] - ends[part[1]], part[0]))

    def part(self, first: int, last: int) -> DigitRun:
        """A stretch of its groups."""
        return DigitRun(self.groups[first:last], self.plus and first == 0, self.lead if first == 0 else 0)


def digit_runs(text: str) -> list[DigitRun]:
    """All runs of a text in order, however short."""
    if not _DIGIT_RE.search(text) and _HINTS.isdisjoint(_LETTERS_RE.findall(text.lower())):
        return []
    runs: list[DigitRun] = []
    current: list[DigitGroup] = []
    for group in _groups(text):
        if len(current) == _MOST_GROUPS or (current and not _GAP_RE.fullmatch(text, current[-1].end, group.start)):
            runs += _run(text, current)
            current = []
        current.append(group)
    return runs + _run(text, current)


def _run(text: str, groups: list[DigitGroup]) -> list[DigitRun]:
    kept = groups[:-1] if groups and _MULTIPLIER_RE.match(text, groups[-1].end) else groups
    if not kept:
        return []
    before = _LEAD_RE.search(text, max(0, kept[0].start - 8), kept[0].start)
    word, lead = (before["word"], before["lead"]) if before is not None else (None, "")
    return [DigitRun(tuple(kept), bool(word) or "+" in lead, len(lead))]


def _groups(text: str) -> list[DigitGroup]:
    groups: list[DigitGroup] = []
    room = 0
    for token in _TOKEN_RE.finditer(text):
        start, end = token.span()
        if token["kept"]:
            continue
        if token["digits"]:
            groups.append(DigitGroup(token["digits"], start, end))
            room = 0
            continue
        word = token.group().lower().translate(_APOSTROPHES)
        last = groups[-1] if groups and text[groups[-1].end : start] in (" ", "-", "\u00a0") else None
        if word in _REPEATS and last is not None and last.digits in ("2", "3", "4", "5"):
            groups[-1] = DigitGroup(str(_REPEATS[word]) * int(last.digits), last.start, end, in_words=True)
            room = 0
            continue
        if word in _TORN and last is not None and last.in_words and last.digits in "56789":
            groups[-1] = DigitGroup(str(int(last.digits) * _TORN[word]), last.start, end, in_words=True)
            room = _TORN[word]
            continue
        value = _VALUES.get(word)
        if value is None:
            continue
        if last is not None and last.in_words and 0 < value < room:
            groups[-1] = DigitGroup(str(int(last.digits) + value), last.start, end, in_words=True)
        else:
            groups.append(DigitGroup(str(value), start, end, in_words=True))
        room = 100 if value >= 100 else 10 if value >= 20 else 0
    return groups
