"""Personal data is masked before a line is written: numbers, e-mails, names, birthdays and home addresses of people.

By meaning, in both forms in which a call has them: as written («8 912 345-67-89») and as said («восемь девятьсот
двенадцать …», «ivan собака mail точка ru»). Prices, powers, times, dates of documents and ids stay readable. Costs
20 to 300 µs a sentence: it belongs into the thread that writes the log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
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
from kamerton.observability.spoken_digits import digit_runs

__all__ = ["load_dictionaries", "mask_field", "mask_fields", "mask_text", "masked_report"]

_ROUNDS: Final = 3
"""What was masked may bring neighbours together; after so many rounds nothing new is found."""
_LEAST_PERSONAL_NUMBER: Final = 10**8
_ROUND_AMOUNT: Final = 10**4
_MOST_DIGITS: Final = 10**20
_LEAST_NEAR_DIGITS: Final = 4
_LEAST_FAR_DIGITS: Final = 6
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
    return _mask_value(key, value, _Hidden(), depth=0)


def mask_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of one record. What is masked in one text of it is masked in the others, its entities and variables.

    So a number that was understood out of a telephone number, the half of it that was heard before a cut, or a name
    that a reply repeats does not stay readable beside the text that hides it.
    """
    near = _hidden_in(fields.items())
    return {key: _mask_value(key, value, _Hidden(near, near), depth=0) for key, value in fields.items()}


def masked_report(value: Any) -> Any:
    """A whole report of a call, as plain values for JSON, with the personal data of all its parts masked.

    Each mapping in it is masked as a record is (`mask_fields`); what is masked in any text of the report is masked as a
    variable anywhere in it.
    """
    return _mask_value("", value, _Hidden(far=_hidden_in(_texts("", value))), depth=0)


@dataclass(frozen=True, slots=True)
class _Hidden:
    """What was masked in texts, as digits or lower-case words → kind: of the same record, and of the whole report."""

    near: Mapping[str, str] = field(default_factory=dict)
    far: Mapping[str, str] = field(default_factory=dict)

    def kind_of_number(self, digits: str) -> str | None:
        """What a number is part of: however short a part it is within one record, a long one elsewhere."""
        for number, kind in self.near.items():
            if number.isdigit() and digits in number:
                return kind
        if len(digits) >= _LEAST_FAR_DIGITS:
            for number, kind in self.far.items():
                if number.isdigit() and digits in number:
                    return kind
        return None

    def masked(self, text: str) -> str:
        """A text of the same record without the beginnings of hidden numbers and the words of hidden names."""
        for hidden, kind in self.near.items():
            if hidden.isdigit():
                parts = [run for run in digit_runs(text) if len(run.digits) >= _LEAST_NEAR_DIGITS]
                for run in reversed([run for run in parts if hidden.startswith(run.digits)]):
                    text = f"{text[: run.start]}{kind}{text[run.end :]}"
            elif kind == NAME:
                words = "|".join(re.escape(word) for word in hidden.split() if len(word) > 2)
                text = re.sub(rf"\b(?:{words})\b", kind, text, flags=re.IGNORECASE) if words else text
        return text


def _hidden_in(texts: Iterable[tuple[str, Any]]) -> dict[str, str]:
    hidden: dict[str, str] = {}
    for key, text in texts:
        if isinstance(text, str):
            hidden.update(_masked(text, key in _SAID_KEYS)[1])
    return hidden


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


def _mask_value(key: str, value: Any, hidden: _Hidden, *, depth: int) -> Any:
    kind = _kind_of_key(key, nested=depth > 0)
    if kind is not None and value not in (None, "") and not isinstance(value, bool):
        return kind
    if isinstance(value, str):
        return _mask_string(key, value, hidden, depth)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return _mask_number(value, hidden, told=depth > 0)
    if isinstance(value, Mapping):
        return _mask_mapping(key, value, hidden, depth)
    if isinstance(value, list | tuple | set | frozenset):
        return _mask_sequence(key, list(value), hidden, depth)
    return value


def _mask_string(key: str, text: str, hidden: _Hidden, depth: int) -> str:
    if depth and text.lower() in hidden.far:
        return hidden.far[text.lower()]
    masked = mask_text(text, said=key in _SAID_KEYS)
    return hidden.masked(masked) if key in _SAID_KEYS and hidden.near else masked


def _mask_mapping(key: str, values: Mapping[Any, Any], hidden: _Hidden, depth: int) -> dict[str, Any]:
    inside = depth + 1 if depth or key in _TOLD_KEYS else 0
    if not inside:
        hidden = _Hidden(_hidden_in((str(name), inner) for name, inner in values.items()), hidden.far)
    return {mask_text(str(name)): _mask_value(str(name), inner, hidden, depth=inside) for name, inner in values.items()}


def _mask_sequence(key: str, values: list[Any], hidden: _Hidden, depth: int) -> Any:
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


def _mask_number(value: float, hidden: _Hidden, *, told: bool) -> Any:
    """A number of a record. Inside what a caller told, whole numbers are shown without «.0» and long ones masked."""
    plain = _plain(value) if told else value
    if not isinstance(plain, int) or abs(plain) >= _MOST_DIGITS:
        return plain
    digits = str(plain)
    if told:
        kind = hidden.kind_of_number(digits)
        if kind is not None:
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
