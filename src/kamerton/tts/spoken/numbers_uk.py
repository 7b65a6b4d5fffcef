"""Ukrainian numerals in words, in any case and gender."""

from __future__ import annotations

from kamerton.tts.spoken.grammar import CASES, Case, Gender, Noun, noun

LARGEST = 10**12 - 1
"""The largest whole number said as a number."""


def _row(forms: str) -> tuple[str, ...]:
    return tuple(forms.split())


def _teen(stem: str) -> tuple[str, ...]:
    return (f"{stem}ь", f"{stem}и", f"{stem}и", f"{stem}ь", f"{stem}ьма", f"{stem}и")


_ZERO = _row("нуль нуля нулю нуль нулем нулі")
_ONE: dict[Gender, tuple[str, ...]] = {
    "m": _row("один одного одному один одним одному"),
    "f": _row("одна однієї одній одну однією одній"),
    "n": _row("одне одного одному одне одним одному"),
}
_TWO: dict[Gender, tuple[str, ...]] = {
    "m": _row("два двох двом два двома двох"),
    "f": _row("дві двох двом дві двома двох"),
    "n": _row("два двох двом два двома двох"),
}
_UNITS: dict[int, tuple[str, ...]] = {
    3: _row("три трьох трьом три трьома трьох"),
    4: _row("чотири чотирьох чотирьом чотири чотирма чотирьох"),
    5: _row("п'ять п'яти п'яти п'ять п'ятьма п'яти"),
    6: _row("шість шести шести шість шістьма шести"),
    7: _row("сім семи семи сім сьома семи"),
    8: _row("вісім восьми восьми вісім вісьма восьми"),
    9: _row("дев'ять дев'яти дев'яти дев'ять дев'ятьма дев'яти"),
    10: _teen("десят"),
    11: _teen("одинадцят"),
    12: _teen("дванадцят"),
    13: _teen("тринадцят"),
    14: _teen("чотирнадцят"),
    15: _teen("п'ятнадцят"),
    16: _teen("шістнадцят"),
    17: _teen("сімнадцят"),
    18: _teen("вісімнадцят"),
    19: _teen("дев'ятнадцят"),
}
_TENS: dict[int, tuple[str, ...]] = {
    2: _teen("двадцят"),
    3: _teen("тридцят"),
    4: _row("сорок сорока сорока сорок сорока сорока"),
    5: _row("п'ятдесят п'ятдесяти п'ятдесяти п'ятдесят п'ятдесятьма п'ятдесяти"),
    6: _row("шістдесят шістдесяти шістдесяти шістдесят шістдесятьма шістдесяти"),
    7: _row("сімдесят сімдесяти сімдесяти сімдесят сімдесятьма сімдесяти"),
    8: _row("вісімдесят вісімдесяти вісімдесяти вісімдесят вісімдесятьма вісімдесяти"),
    9: _row("дев'яносто дев'яноста дев'яноста дев'яносто дев'яноста дев'яноста"),
}
_HUNDREDS: dict[int, tuple[str, ...]] = {
    1: _row("сто ста ста сто ста ста"),
    2: _row("двісті двохсот двомстам двісті двомастами двохстах"),
    3: _row("триста трьохсот трьомстам триста трьомастами трьохстах"),
    4: _row("чотириста чотирьохсот чотирьомстам чотириста чотирмастами чотирьохстах"),
    5: _row("п'ятсот п'ятисот п'ятистам п'ятсот п'ятьмастами п'ятистах"),
    6: _row("шістсот шестисот шестистам шістсот шістьмастами шестистах"),
    7: _row("сімсот семисот семистам сімсот сьомастами семистах"),
    8: _row("вісімсот восьмисот восьмистам вісімсот вісьмастами восьмистах"),
    9: _row("дев'ятсот дев'ятисот дев'ятистам дев'ятсот дев'ятьмастами дев'ятистах"),
}
_SCALES: tuple[Noun, ...] = (
    noun("f", "тисяча, тисячі, тисячі, тисячу, тисячею, тисячі", "тисячі, тисяч, тисячам, тисячі, тисячами, тисячах"),
    noun(
        "m",
        "мільйон, мільйона, мільйону, мільйон, мільйоном, мільйоні",
        "мільйони, мільйонів, мільйонам, мільйони, мільйонами, мільйонах",
        "мільйони",
    ),
    noun(
        "m",
        "мільярд, мільярда, мільярду, мільярд, мільярдом, мільярді",
        "мільярди, мільярдів, мільярдам, мільярди, мільярдами, мільярдах",
        "мільярди",
    ),
)
_WHOLE = noun("f", "ціла, цілої, цілій, цілу, цілою, цілій", "цілих, цілих, цілим, цілих, цілими, цілих", "цілі")
_FRACTIONS: dict[int, Noun] = {
    places: noun(
        "f",
        f"{stem}а, {stem}ої, {stem}ій, {stem}у, {stem}ою, {stem}ій",
        f"{stem}их, {stem}их, {stem}им, {stem}их, {stem}ими, {stem}их",
        f"{stem}і",
    )
    for places, stem in ((1, "десят"), (2, "сот"), (3, "тисячн"))
}
_ORDINAL_STEMS: dict[int, str] = {
    0: "нульов",
    1: "перш",
    2: "друг",
    4: "четверт",
    5: "п'ят",
    6: "шост",
    7: "сьом",
    8: "восьм",
    9: "дев'ят",
    40: "сороков",
    50: "п'ятдесят",
    60: "шістдесят",
    70: "сімдесят",
    80: "вісімдесят",
    90: "дев'яност",
    100: "сот",
    1000: "тисячн",
}
_HARD: dict[Gender, tuple[str, ...]] = {
    "m": _row("ий ого ому ий им ому"),
    "f": _row("а ої ій у ою ій"),
    "n": _row("е ого ому е им ому"),
}
_SOFT: dict[Gender, tuple[str, ...]] = {
    "m": _row("ій ього ьому ій ім ьому"),
    "f": _row("я ьої ій ю ьою ій"),
    "n": _row("є ього ьому є ім ьому"),
}


def cardinal(number: int, case: Case = "n", gender: Gender = "m") -> str:
    """The number in words: 21, genitive, feminine → «двадцяти однієї»."""
    if number < 0:
        return f"мінус {cardinal(-number, case, gender)}"
    if number == 0:
        return _ZERO[CASES.index(case)]
    words: list[str] = []
    for power in range(len(_SCALES), 0, -1):
        group = number // 1000**power % 1000
        if group:
            scale = _SCALES[power - 1]
            words += _below_thousand(group, case, scale.gender)
            words.append(scale.agreeing(group, case))
    return " ".join(words + _below_thousand(number % 1000, case, gender))


def ordinal(number: int, case: Case = "n", gender: Gender = "m") -> str:
    """The place in words: 2024, genitive → «дві тисячі двадцять четвертого». Only the last word declines."""
    tail = _ordinal_tail(number)
    head = cardinal(number - tail).removeprefix("одна ") if number > tail else ""
    stem, endings = _ordinal_stem(tail)
    word = stem + endings[gender][CASES.index(case)]
    return f"{head} {word}" if head else word


def plural_ordinal(number: int, case: Case = "n") -> str:
    """The place in the plural: 90 → «дев'яності»."""
    soft = ordinal(number).endswith("ій")
    endings = {"n": "і", "a": "і", "g": "іх" if soft else "их", "p": "іх" if soft else "их", "d": "им", "i": "ими"}
    return ordinal(number)[:-2] + endings[case]


def decimal(whole: int, fraction: str, case: Case = "n") -> str:
    """A decimal fraction of up to three places: (1, "5") → «одна ціла п'ять десятих»."""
    part = int(fraction)
    return " ".join(
        (
            cardinal(whole, case, "f"),
            _WHOLE.agreeing(whole, case),
            cardinal(part, case, "f"),
            _FRACTIONS[len(fraction)].agreeing(part, case),
        )
    )


def _below_thousand(number: int, case: Case, gender: Gender) -> list[str]:
    at = CASES.index(case)
    words = []
    if number >= 100:
        words.append(_HUNDREDS[number // 100][at])
    number %= 100
    if number >= 20:
        words.append(_TENS[number // 10][at])
        number %= 10
    if number in (1, 2):
        words.append((_ONE if number == 1 else _TWO)[gender][at])
    elif number:
        words.append(_UNITS[number][at])
    return words


def _ordinal_tail(number: int) -> int:
    """The last part, the one that declines: 2024 → 4, 1990 → 90, 2000 → 2000."""
    if number % 100 in range(1, 20):
        return number % 100
    for size in (10, 100, 1000):
        if number % size:
            return number % size
    return number


def _ordinal_stem(tail: int) -> tuple[str, dict[Gender, tuple[str, ...]]]:
    if tail == 3:
        return "трет", _SOFT
    if tail in _ORDINAL_STEMS:
        return _ORDINAL_STEMS[tail], _HARD
    if tail < 100:
        row = _UNITS[tail] if tail < 20 else _TENS[tail // 10]
        return row[0].removesuffix("ь"), _HARD
    if tail < 1000:
        return _HUNDREDS[tail // 100][1], _HARD
    return cardinal(tail // 1000, "g").replace(" ", "") + "тисячн", _HARD
