"""Dates, years and times of day in words."""

from __future__ import annotations

import re
from typing import Final

from kamerton.tts.spoken.grammar import CASES, Case
from kamerton.tts.spoken.lexicon import Lexicon

_YEARS: Final = range(1000, 2200)
_WORD_BEFORE: Final = re.compile(r"([\w']+)[\s(«\"]*$")


def spell_dates(text: str, lexicon: Lexicon) -> str:
    """Spell `05.03.2024`, `5 марта [2024 года]`, `2024 год`, `10:30`."""
    months = "|".join(lexicon.months)
    years = "|".join(re.escape(word) for word in sorted(lexicon.year_words, key=len, reverse=True))
    text = re.sub(
        rf"(?<![\d.])(\d{{1,2}})\.(\d{{1,2}})\.(\d{{4}})(?![\d.]\d)(?:\s*(?:{years})(?!\w))?",
        lambda match: _numeric_date(match, lexicon),
        text,
    )
    text = re.sub(
        rf"(?<![\d.,-])(\d{{1,2}})(?=\s+(?:по|до)\s+\d{{1,2}}\s+(?:{months})(?!\w))",
        lambda match: _day(match, int(match[1]), lexicon),
        text,
    )
    text = re.sub(
        rf"(?<![\d.,-])(\d{{1,2}})\s+({months})(?:\s+(\d{{4}})(?:\s*(?:{years})(?!\w))?)?(?!\w)",
        lambda match: _named_date(match, lexicon),
        text,
        flags=re.IGNORECASE,
    )
    text = re.sub(rf"(?<![\d.,])(\d{{4}})\s?({years})(?!\w)", lambda match: _year(match, lexicon), text)
    return re.sub(
        r"(?<![\d:])([01]?\d|2[0-4]):([0-5]\d)(?![\d:])",
        lambda match: _time(match, lexicon),
        text,
    )


def word_before(text: str, end: int) -> str:
    """The word that ends right before a place, in small letters; "" when a sentence or the text begins there."""
    found = _WORD_BEFORE.search(text[max(0, end - 40) : end])
    return found[1].lower() if found else ""


def _numeric_date(match: re.Match[str], lexicon: Lexicon) -> str:
    day, month, year = int(match[1]), int(match[2]), int(match[3])
    if not (1 <= day <= 31 and 1 <= month <= 12 and year in _YEARS):
        return match[0]
    return f"{_day(match, day, lexicon)} {lexicon.months[month - 1]} {_year_of_date(year, lexicon)}"


def _named_date(match: re.Match[str], lexicon: Lexicon) -> str:
    day = int(match[1])
    if not 1 <= day <= 31:
        return match[0]
    said = f"{_day(match, day, lexicon)} {match[2]}"
    return f"{said} {_year_of_date(int(match[3]), lexicon)}" if match[3] else said


def _day(match: re.Match[str], day: int, lexicon: Lexicon) -> str:
    case = lexicon.date_governors.get(word_before(match.string, match.start()), "g")
    return lexicon.numerals.ordinal(day, case, "n")


def _year_of_date(year: int, lexicon: Lexicon) -> str:
    return f"{lexicon.numerals.ordinal(year, 'g', 'm')} {lexicon.words.year.singular[CASES.index('g')]}"


def _year(match: re.Match[str], lexicon: Lexicon) -> str:
    year = int(match[1])
    if year not in _YEARS:
        return match[0]
    case = lexicon.year_words[match[2]]
    if case == "p" and word_before(match.string, match.start()) in ("к", "ко"):
        case = "d"
    noun = match[2] if match[2].isalpha() else lexicon.words.year.singular[CASES.index(case)]
    return f"{lexicon.numerals.ordinal(year, case, 'm')} {noun}"


def _time(match: re.Match[str], lexicon: Lexicon) -> str:
    hour, minute = int(match[1]), int(match[2])
    before = word_before(match.string, match.start())
    case: Case = lexicon.governors.get(before, "n")
    if lexicon.hour_is_ordinal:
        if before in ("о", "об"):
            case = "p"
        said = lexicon.numerals.ordinal(hour, case, "f")
        noun = lexicon.words.hour.singular[CASES.index(case)]
    else:
        said = lexicon.numerals.cardinal(hour, case, "m")
        noun = lexicon.words.hour.agreeing(hour, case)
    if minute == 0:
        return f"{said} {noun}"
    zero = f"{lexicon.words.zero} " if minute < 10 else ""
    minute_case: Case = case if case == "g" and not lexicon.hour_is_ordinal else "n"
    return f"{said} {zero}{lexicon.numerals.cardinal(minute, minute_case, 'f' if lexicon.hour_is_ordinal else 'm')}"
