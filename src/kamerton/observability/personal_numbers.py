"""Which runs of digits are somebody's: telephone, card, account, passport, СНИЛС, ИНН. Amounts and ids are nobody's.

Forms: telephone plans of Russia, Kazakhstan, Ukraine and their neighbours; cards by ISO/IEC 7812; a Russian passport
has 4 + 6 digits, a Ukrainian one two letters + 6, or 9; СНИЛС 3-3-3-2; ИНН 10 or 12 digits, of persons 12 with two
check digits (order of the tax service); Ukraine's tax number has 10.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from kamerton.observability.spoken_digits import DigitRun, digit_runs

PHONE: Final = "[phone]"
CARD: Final = "[card]"
ACCOUNT: Final = "[account]"
PASSPORT: Final = "[passport]"
SNILS: Final = "[snils]"
INN: Final = "[inn]"
NUMBER: Final = "[number]"

_LEAST_SAID: Final = 9
"""Digits of a run in a caller's words that is taken for somebody's number whatever it is."""
_LEAST_IN_WORDS: Final = 10
_LEAST_LISTED: Final = 11
"""With commas in it, it may be a list of answers."""
_LEAST_DIGITS: Final = 5
_CONTEXT_CHARS: Final = 48
_CARD_DIGITS: Final = range(13, 20)
_ACCOUNTS: Final = ("408", "423", "426")
"""Balance accounts of the Bank of Russia's plan that belong to persons."""
_CIS_CODES: Final = ("380", "375", "373", "374", "992", "994", "995", "996", "998")
_UKRAINIAN_CODES: Final = frozenset((39, 50, 63, 66, 67, 68, 73, 75, 77, 89, *range(91, 100)))
_PHONE_SHAPES: Final = frozenset(
    {(10,), (3, 7), (3, 3, 4), (3, 3, 2, 2), (3, 2, 2, 3), (3, 2, 3, 2), (3, 4, 3), (2,) * 5, (1,) * 10}
)
"""How ten digits of a telephone number are grouped; only these are looked for inside longer runs."""
_PASSPORT_SHAPES: Final = frozenset({(2, 2, 6), (4, 6), (2, 2, 3, 3)})

_CUES: Final = (
    (PASSPORT, r"паспорт\w*|сери[яюи]|серії|серія|загранник\w*|водительск\w+"),
    (SNILS, r"снилс\w*|страхово\w+\sномер\w*\sиндивид\w+"),
    (INN, r"(?<!\w)инн(?!\w)|(?<!\w)[іи]пн(?!\w)|(?<!\w)інн(?!\w)|рнокпп|ідентифікаційн\w+|идентификационн\w+"),
    (CARD, r"(?<!\w)карт[аыуеою]\w*|картк\w+|card"),
    (ACCOUNT, r"(?<!\w)счет[ауе]?(?!\w)|(?<!\w)счёт[ауе]?(?!\w)|рахун\w+|iban"),
    (
        PHONE,
        r"телефон\w*|(?<!\w)тел(?!\w)|(?:пере|по)?звоните|(?:пере|по)звони\w*|набер\w+|мобильн\w+|мобільн\w+"
        r"|дзвоніть|(?:за|пере)?телефону\w+|передзвон\w+|phone|мой\s+номер|мій\s+номер",
    ),
)
_CUE_RE: Final = re.compile("|".join(f"(?P<k{index}>{words})" for index, (_, words) in enumerate(_CUES)), re.IGNORECASE)
_LEAST_AFTER_CUE: Final = {PASSPORT: (6, 10), SNILS: (11, 11), INN: (10, 12), CARD: (13, 19), ACCOUNT: (14, 29)}
_UNIT_RE: Final = re.compile(
    r"\s*(?:руб|р\b|₽|грн|₴|гривн|гривен|коп|тыс|тис|доллар|долар|евро|євро|\$|€|км|кілом|килом|байт|byte|штук|лошад|кінськ)",
    re.IGNORECASE,
)
_YEAR_RE: Final = re.compile(r"\s*(?:год|рок|року|г\.)", re.IGNORECASE)
_DIGIT_RE: Final = re.compile(r"\d")
_CITY_NUMBER_RE: Final = re.compile(r"\d{3}-\d\d-\d\d")
_NUMBER_BEFORE_RE: Final = re.compile(r"\bномер\W*$", re.IGNORECASE)
_SERIES_RE: Final = re.compile(r"\b[А-ЯІЇЄҐ]{2}\s?№?\s?(\d{6})(?!\d)")
_CODE_RE: Final = re.compile(
    r"\b(?:cvv2?|cvc2?|цвв|цвц|си\s?ви\s?ви|код\w*\s+(?:с|на)\s+(?:обор|обрат|звор)\w+)\D{0,24}?(\d{3}|\d \d \d)(?!\d)",
    re.IGNORECASE,
)
_WRITTEN_FORMS: Final = (
    (re.compile(r"\bкод\w*\D{0,12}?(\d{3})(?!\d)", re.IGNORECASE), CARD),
    (_CODE_RE, CARD),
    (_SERIES_RE, PASSPORT),
    (re.compile(r"\b(UA\s?\d{2}(?:\s?\d){25})(?!\d)"), ACCOUNT),
)
"""What runs of digits alone do not tell; the first one only beside the number of a card."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A stretch of text that is personal, what it is, and its value: digits, or a name in lower case."""

    start: int
    end: int
    kind: str
    value: str = ""


def personal_numbers(text: str, *, said: bool) -> Iterator[Finding]:
    """The personal numbers of a text, in no order, none within another.

    Args:
        text: any text.
        said: it is what a caller or the bot said, so that a long run of digits is somebody's number.
    """
    with_card = False
    for run in digit_runs(text):
        for finding in _found(run, text, said):
            with_card = with_card or finding.kind == CARD
            yield finding
    if _DIGIT_RE.search(text):
        for pattern, kind in _WRITTEN_FORMS if with_card or CARD in text else _WRITTEN_FORMS[1:]:
            for found in pattern.finditer(text):
                yield Finding(found.start(1), found.end(1), kind, re.sub(r"\D", "", found[1]))


def luhn_valid(digits: str) -> bool:
    """True when a string of digits carries the check digit of payment cards (ISO/IEC 7812)."""
    plain, doubled = digits[::-1][::2], digits[::-1][1::2]
    return (sum(map(int, plain)) + sum((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)[int(digit)] for digit in doubled)) % 10 == 0


def _found(run: DigitRun, text: str, said: bool) -> Iterator[Finding]:
    if len(run.digits) < _LEAST_DIGITS or _is_amount(run, text):
        return
    kind = _kind_of_whole(run, text, said)
    if kind is not None:
        yield Finding(run.start, run.end, kind, run.digits)
        return
    for first, last in run.parts(9, 20):
        part = run.part(first, last)
        kind = _card_kind(part, text) or _grouped_kind(part, text)
        if kind is not None:
            yield Finding(part.start, part.end, kind, part.digits)
            for begin, end in ((0, first), (last, len(run.groups))):
                if begin < end:
                    yield from _found(run.part(begin, end), text, said)
            return
    if _is_somebodys(run, text, said):
        yield Finding(run.start, run.end, NUMBER, run.digits)


def _kind_of_whole(run: DigitRun, text: str, said: bool) -> str | None:
    cue = _cue(text, run.start)
    return (
        _card_kind(run, text) or _told_kind(run, cue, text) or _grouped_kind(run, text) or _phone_kind(run, text, said)
    )


def _is_somebodys(run: DigitRun, text: str, said: bool) -> bool:
    """Whether a run that is of no known form is too long for anything but an identifier."""
    if run.digits.endswith("0000") or _counts(run):
        return False
    listed = "," in text[run.start : run.end]
    least = _LEAST_LISTED if listed else _LEAST_SAID if said else _LEAST_IN_WORDS
    return len(run.digits) >= least and (said or run.in_words)


def _counts(run: DigitRun) -> bool:
    """Whether somebody counts: «один, два, три …»."""
    values = [int(group.digits[:9]) for group in run.groups]
    return len(values) > 2 and all(after - before == 1 for before, after in pairwise(values))


def _card_kind(run: DigitRun, text: str) -> str | None:
    digits = run.digits
    if len(digits) == 20 and digits.startswith(_ACCOUNTS):
        return ACCOUNT
    if run.plus or len(digits) not in _CARD_DIGITS or len(set(digits)) == 1:
        return None
    if len(digits) == 16 and digits[0] in "23456" and max(run.shape) in (1, 2, 4, 16):
        return CARD
    listed = not run.in_words and not {",", "."}.isdisjoint(text[run.start : run.end])
    return CARD if luhn_valid(digits) and (not listed or set(run.shape[:-1]) == {4}) else None


def _told_kind(run: DigitRun, cue: str | None, text: str) -> str | None:
    """What the words before a run say that it is, if it can be that."""
    count = len(run.digits)
    if cue == PHONE:
        long_enough = count >= 7 or (count >= 5 and len(run.groups) > 1)
        return PHONE if long_enough and count <= 15 and not _YEAR_RE.match(text, run.end) else None
    least, most = _LEAST_AFTER_CUE.get(cue or "", (1, 0))
    return cue if least <= count <= most else None


def _grouped_kind(run: DigitRun, text: str) -> str | None:
    """What the grouping of a run's digits alone says."""
    digits, shape = run.digits, run.shape
    if shape == (3, 3, 3, 2):
        return SNILS
    if shape in _PASSPORT_SHAPES and "," not in text[run.start : run.end]:
        return PASSPORT
    if len(digits) == 12 and len(shape) == 1 and not digits.startswith(_CIS_CODES) and _is_inn(digits):
        return INN
    national = _national(run)
    return PHONE if national in _PHONE_SHAPES and _is_phone(digits) else None


def _phone_kind(run: DigitRun, text: str, said: bool) -> str | None:
    digits = run.digits
    if run.plus and 8 <= len(digits) <= 15:
        return PHONE
    if _CITY_NUMBER_RE.fullmatch(text, run.start, run.end):
        return PHONE
    if run.shape == (3, 2, 2) and _NUMBER_BEFORE_RE.search(text, max(0, run.start - 12), run.start):
        return PHONE
    if said and len(digits) == 9 and int(digits[:2]) in _UKRAINIAN_CODES:
        return PHONE
    return PHONE if _is_phone(digits) and not (len(digits) == 10 and digits[0] == "9" and not said) else None


def _is_phone(digits: str) -> bool:
    match len(digits):
        case 10:
            return digits[0] == "9" or (digits[0] == "0" and digits[1] != "0")
        case 11:
            return digits[0] in "78" and digits[1] in "3456789"
        case 12:
            return digits.startswith(_CIS_CODES)
        case _:
            return False


def _national(run: DigitRun) -> tuple[int, ...]:
    """How the last ten digits are grouped; a country's code before them may be joined to the first group."""
    over = len(run.digits) - 10
    shape = list(run.shape)
    while over > 0 and shape:
        cut = min(over, shape[0])
        shape[0] -= cut
        over -= cut
        if shape[0] == 0:
            shape.pop(0)
    return tuple(shape)


def _is_inn(digits: str) -> bool:
    def check(weights: tuple[int, ...]) -> int:
        return sum(weight * int(digit) for weight, digit in zip(weights, digits, strict=False)) % 11 % 10

    return int(digits[10]) == check((7, 2, 4, 10, 3, 5, 9, 4, 6, 8)) and int(digits[11]) == check(
        (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)
    )


def _is_amount(run: DigitRun, text: str) -> bool:
    """Thousands in threes, one amount or several with commas between, and a unit after them."""
    if run.in_words or not _UNIT_RE.match(text, run.end):
        return False
    for position, group in enumerate(run.groups):
        gap = text[run.groups[position - 1].end : group.start] if position else ""
        goes_on = len(gap) == 1 and gap.isspace()
        if goes_on and len(group.digits) != 3:
            return False
        if not goes_on and len(group.digits) > 3 and len(run.groups) > 1:
            return False
    return True


def _cue(text: str, start: int) -> str | None:
    """What the last words before a place announce, within the same sentence."""
    before = re.split(r"[!?\n]|\.\s", text[max(0, start - _CONTEXT_CHARS) : start])[-1]
    kind = None
    for found in _CUE_RE.finditer(before):
        kind = _CUES[int((found.lastgroup or "k0")[1:])][0]
    return kind
