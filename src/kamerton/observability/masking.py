"""Personal data is masked before a line is written: numbers, e-mails, names, birthdays and home addresses of people.

By meaning, in both forms in which a call has them: as written («8 912 345-67-89») and as said («восемь девятьсот
двенадцать …», «ivan собака mail точка ru»). Prices, powers, times, dates of documents and ids stay readable. Costs
20 to 300 µs a sentence: it belongs into the thread that writes the log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from kamerton.observability.personal_details import ADDRESS, BIRTH, EMAIL, personal_details
from kamerton.observability.personal_names import NAME, load_dictionaries, personal_names
from kamerton.observability.personal_numbers import (
    ACCOUNT,
    CARD,
    INN,
    NUMBER,
    PASSPORT,
    PHONE,
    SNILS,
    Finding,
    personal_numbers,
)

__all__ = ["load_dictionaries", "mask_field", "mask_fields", "mask_text", "masked_report"]

_ROUNDS: Final = 3
"""What was masked may bring neighbours together; after so many rounds nothing new is found."""
_LEAST_PERSONAL_NUMBER: Final = 10**8
_ROUND_AMOUNT: Final = 10**4
_MOST_DIGITS: Final = 10**20
_KEPT_TEXTS: Final = 256
"""Texts whose masked form is remembered: what the bot says repeats, and a record holds its reply twice."""
_PLAIN_RE: Final = re.compile(r"[A-Za-z_.\-]*")
"""Names of states, intents and paths: nothing in them can be personal."""

_KEYED_NUMBER_RE: Final = re.compile(
    r"[\"']\w*(?:number|phone|answer|digits)\w*[\"']\s*[:=]\s*\[?(?P<value>\d{9,15}(?:\.0)?)(?![\d.])"
)

_KINDS_OF_KEYS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("phone", "tel", "telephone", "mobile", "msisdn"), PHONE),
    **dict.fromkeys(("email", "mail"), EMAIL),
    **dict.fromkeys(("card", "pan", "cvv", "cvc"), CARD),
    **dict.fromkeys(("passport",), PASSPORT),
    **dict.fromkeys(("snils",), SNILS),
    **dict.fromkeys(("inn", "ipn"), INN),
    **dict.fromkeys(("iban",), ACCOUNT),
    **dict.fromkeys(("surname", "lastname", "firstname", "fullname", "patronymic", "fio"), NAME),
    **dict.fromkeys(("birthday", "birthdate", "dob"), BIRTH),
}
"""Last part of a field's name → what its whole value is, whatever it looks like."""
_WHOLE_KEYS: Final[Mapping[str, str]] = {
    "phone_number": PHONE,
    "caller_number": PHONE,
    "card_number": CARD,
    "passport_number": PASSPORT,
    "birth_date": BIRTH,
    "date_of_birth": BIRTH,
    **{
        f"{whose}_name": NAME
        for whose in ("user", "client", "caller", "customer", "first", "last", "full", "middle", "driver", "owner")
    },
}
_NESTED_KEYS: Final[Mapping[str, str]] = {"name": NAME, "address": ADDRESS}
"""Only inside a structure: the fields of a log record itself use these words for other things."""
_TOLD_KEYS: Final = frozenset({"entities", "variables", "state"})
"""Fields that hold what was taken from a caller: numbers in them may be parts of a masked one."""
_SAID_KEYS: Final = frozenset({"text", "reply", "heard", "user_text", "reply_text", "heard_text", "transcript", "said"})


def mask_text(text: str, *, said: bool = False) -> str:
    """The text with personal data replaced by its kind in brackets.

    Args:
        text: any text.
        said: it is what a caller or the bot said, so that a long run of digits is somebody's number.
    """
    return _masked(text, said)[0]


def mask_field(key: str, value: Any) -> Any:
    """A structured value fit for a log: strings masked, also inside mappings and sequences; known keys replaced."""
    return _mask_value(key, value, {}, depth=0)


def mask_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of one record. What is masked in one text of it is masked as an entity or variable as well.

    So a number that was understood out of a telephone number, or a name that a variable took over, does not stay
    readable beside the text that hides it.
    """
    hidden: dict[str, str] = {}
    for key, value in fields.items():
        if isinstance(value, str):
            hidden.update(_masked(value, key in _SAID_KEYS)[1])
    return {key: _mask_value(key, value, hidden, depth=0) for key, value in fields.items()}


def masked_report(value: Any) -> Any:
    """A whole report of a call, as plain values for JSON, with the personal data of all its parts masked.

    What is masked in any text of it is masked as an entity or variable anywhere in it.
    """
    hidden: dict[str, str] = {}
    for key, text in _texts("", value):
        hidden.update(_masked(text, key in _SAID_KEYS)[1])
    return _mask_value("", value, hidden, depth=0)


@lru_cache(maxsize=_KEPT_TEXTS)
def _masked(text: str, said: bool) -> tuple[str, dict[str, str]]:
    """The masked text, and what was masked: digits and lower-case words → kind. Not to be changed."""
    hidden: dict[str, str] = {}
    if _PLAIN_RE.fullmatch(text):
        return text, hidden
    for _ in range(_ROUNDS):
        pieces: list[str] = []
        done = 0
        for found in _apart(_findings(text, said)):
            pieces += (text[done : found.start], found.kind)
            done = found.end
            if found.value:
                hidden[found.value] = found.kind
        if not pieces:
            break
        text = "".join((*pieces, text[done:]))
    return text, hidden


def _findings(text: str, said: bool) -> Iterator[Finding]:
    for found in _KEYED_NUMBER_RE.finditer(text):
        yield Finding(*found.span("value"), PHONE, found["value"])
    yield from personal_details(text)
    yield from personal_numbers(text, said=said)
    yield from personal_names(text)


def _apart(findings: Iterable[Finding]) -> Iterator[Finding]:
    """In order; of those that overlap the one that begins first, then the longest."""
    done = 0
    for found in sorted(findings, key=lambda each: (each.start, -each.end)):
        if found.start >= done:
            yield found
            done = found.end


def _texts(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(str(name), inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(key, inner)


def _mask_value(key: str, value: Any, hidden: Mapping[str, str], *, depth: int) -> Any:
    kind = _kind_of_key(key, nested=depth > 0)
    if kind is not None and value not in (None, "") and not isinstance(value, bool):
        return kind
    if isinstance(value, str):
        if depth and value.lower() in hidden:
            return hidden[value.lower()]
        return mask_text(value, said=key in _SAID_KEYS)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return _mask_number(value, hidden, told=depth > 0)
    if isinstance(value, Mapping):
        inside = depth + 1 if depth or key in _TOLD_KEYS else 0
        return {
            mask_text(str(name)): _mask_value(str(name), inner, hidden, depth=inside) for name, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return _mask_sequence(key, list(value), hidden, depth)
    return value


def _mask_sequence(key: str, values: list[Any], hidden: Mapping[str, str], depth: int) -> Any:
    """Numbers that together are a telephone number or a card are masked as one."""
    if depth and len(values) > 1 and all(isinstance(each, int | float) for each in values):
        together = " ".join(str(_plain(each)) for each in values)
        masked = mask_text(together, said=True)
        if masked != together:
            return [masked]
    return [_mask_value(key, inner, hidden, depth=depth) for inner in values]


def _kind_of_key(key: str, *, nested: bool) -> str | None:
    lower = key.lower()
    kind = _WHOLE_KEYS.get(lower) or _KINDS_OF_KEYS.get(lower.rpartition("_")[2])
    return kind or (_NESTED_KEYS.get(lower) if nested else None)


def _mask_number(value: float, hidden: Mapping[str, str], *, told: bool) -> Any:
    """A number of a record. Inside what a caller told, whole numbers are shown without «.0» and long ones masked."""
    plain = _plain(value) if told else value
    if not isinstance(plain, int) or abs(plain) >= _MOST_DIGITS:
        return plain
    digits = str(plain)
    if told:
        for number, kind in hidden.items():
            if number.isdigit() and digits in number:
                return kind
        if abs(plain) >= _LEAST_PERSONAL_NUMBER and plain % _ROUND_AMOUNT:
            masked = mask_text(digits, said=True)
            return masked if masked != digits else NUMBER
    if abs(plain) < 10**9:
        return plain
    masked = mask_text(digits)
    return plain if masked == digits else masked


def _plain(value: float) -> float:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _MOST_DIGITS else value
