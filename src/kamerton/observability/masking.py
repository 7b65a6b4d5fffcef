"""Personal data is masked before a line is written: phone numbers, e-mails, cards and names people give.

Works on text as recognisers and vendors write it (digits, any grouping). Prices, powers and ids stay readable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import accumulate
from typing import Any, Final

PHONE: Final = "[phone]"
EMAIL: Final = "[email]"
CARD: Final = "[card]"
NAME: Final = "[name]"

_SEPARATORS: Final = r"[\s().\-‐‑–—]{0,3}"
_START: Final = r"(?<![0-9A-Za-z_])(?<![0-9A-Za-z]-)"

_UUID: Final = r"(?P<keep>\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b)"
_PHONE_FORMS: Final = (
    rf"\+\d(?:{_SEPARATORS}\d){{7,14}}",  # any country, when it is written with its plus
    rf"\(?[78]{_SEPARATORS}[3-9](?:{_SEPARATORS}\d){{9}}",  # Russia and Kazakhstan
    rf"38{_SEPARATORS}0(?:{_SEPARATORS}\d){{9}}",  # Ukraine
    rf"\(?0\d{{2}}(?:{_SEPARATORS}\d){{7}}",  # Ukraine, inside the country
    rf"\(?9\d{{2}}(?:{_SEPARATORS}\d){{7}}",  # a Russian mobile number without its 8
    r"\d{3}-\d{2}-\d{2}(?!-)",  # a city number
)
_PHONE_RE: Final = re.compile(rf"{_UUID}|{_START}(?:{'|'.join(_PHONE_FORMS)})(?!\d)")
_EMAIL_RE: Final = re.compile(r"[\w.+%-]+\s?@\s?(?:[\w-]+\.)+\w{2,}")
_CARD_RE: Final = re.compile(r"(?<![\w-])\d(?:[ \u00a0\-]?\d){12,27}(?!\d)")
_CARD_DIGITS: Final = range(13, 20)

_WORD: Final = r"[^\W\d_]+(?:[-'’][^\W\d_]+)*"
_NAME_BEFORE: Final = (
    r"(?:меня|мене)\s+(?:зовут|звать|звати|кличуть|называют|называть)",
    r"(?:зовут|звать|звати|зовите|называйте|звіть)\s+(?:меня|мене)",
    r"мо[её]\s+(?:полное\s+)?имя",
    r"моє\s+(?:повне\s+)?ім['’ʼ]?я",
    r"моя\s+фамилия",
    r"мо[єе]\s+прізвище",
    r"(?:фамилия\s+имя\s+отчество|фамилия|прізвище)\s*[:—–-]",
    r"(?:вас\s+беспокоит|вас\s+турбує|с\s+вами\s+говорит|з\s+вами\s+говорить|(?:это|це)\s+говор(?:ить|ит))",
    r"my\s+name\s+is",
)
_NAME_RE: Final = re.compile(
    rf"(?P<lead>\b(?:{'|'.join(_NAME_BEFORE)})(?:\s*[,:—–-])?\s+(?:(?:это|це)\s+)?)(?P<name>{_WORD}(?:\s+{_WORD}){{0,2}})",
    re.IGNORECASE,
)
_SPEAKING_RE: Final = re.compile(
    rf"(?P<lead>\b(?:это|це)\s+)(?P<name>{_WORD}(?:\s+{_WORD}){{0,2}}?)(?P<tail>\s+(?:говорит|говорить|звонит|дзвонить|беспокоит)\b)",
    re.IGNORECASE,
)
_NAME_HINT_RE: Final = re.compile(
    r"зов[уи]т|зват|назыв|звіть|кличуть|имя|ім.{0,1}я|фамил|прізв|говор|звон|дзвон|беспоко|турбу|name", re.I
)
_NOT_NAMES: Final = frozenset(
    {
        "как",
        "не",
        "что",
        "так",
        "вы",
        "ты",
        "мы",
        "он",
        "она",
        "они",
        "кто",
        "а",
        "и",
        "но",
        "все",
        "всё",
        "просто",
        "як",
        "що",
        "ви",
        "ти",
        "ми",
        "він",
        "вона",
        "вони",
        "хто",
        "это",
        "це",
        "тот",
        "так-то",
    }
)
_LATER_NAME_RE: Final = re.compile(
    r"(?:ович|евич|йович|ич|овна|евна|івна|ївна|ична|ов|ев|ёв|ін|їн|ин|ын|ова|ева|ёва|ина|ына|ский|ская|цкий|цкая|ський|ська|цький|цька|енко|чук|юк|дзе|швили|ян)$",
    re.IGNORECASE,
)

_SENSITIVE_KEYS: Final[Mapping[str, str]] = {
    "phone": PHONE,
    "phone_number": PHONE,
    "caller_number": PHONE,
    "email": EMAIL,
    "card": CARD,
    "card_number": CARD,
    "user_name": NAME,
    "first_name": NAME,
    "last_name": NAME,
    "full_name": NAME,
}
"""Fields whose whole value is personal, whatever it looks like."""


def mask_text(text: str) -> str:
    """The text with phone numbers, e-mails, card numbers and introduced names replaced by their kind in brackets."""
    if "@" in text:
        text = _EMAIL_RE.sub(EMAIL, text)
    if any(char.isdigit() for char in text):
        text = _CARD_RE.sub(_masked_card, text)
        text = _PHONE_RE.sub(_masked_phone, text)
    if _NAME_HINT_RE.search(text):
        text = _NAME_RE.sub(_masked_name, text)
        text = _SPEAKING_RE.sub(_masked_speaker, text)
    return text


def mask_field(key: str, value: Any) -> Any:
    """A structured value fit for a log: strings masked, also inside mappings and sequences; known keys replaced."""
    token = _SENSITIVE_KEYS.get(key)
    if token is not None and value not in (None, ""):
        return token
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) < 10**9 or mask_text(str(value)) == str(value) else mask_text(str(value))
    if isinstance(value, Mapping):
        return {mask_text(str(name)): mask_field(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [mask_field("", inner) for inner in value]
    return value


def luhn_valid(digits: str) -> bool:
    """True when a string of digits carries the check digit of payment cards (ISO/IEC 7812)."""
    plain, doubled = digits[::-1][::2], digits[::-1][1::2]
    return (sum(map(int, plain)) + sum((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)[int(digit)] for digit in doubled)) % 10 == 0


def _masked_phone(found: re.Match[str]) -> str:
    return found.group() if found.group("keep") else PHONE


def _masked_card(found: re.Match[str]) -> str:
    """Mask the longest card number that starts and ends at a group's border inside a run of digits."""
    run = found.group()
    groups = [piece.span() for piece in re.finditer(r"\d+", run)]
    digits = re.sub(r"\D", "", run)
    begins = list(accumulate((end - start for start, end in groups), initial=0))
    windows = [
        (begins[last] - begins[first], first, last)
        for first in range(len(groups))
        for last in range(first + 1, len(groups) + 1)
        if begins[last] - begins[first] in _CARD_DIGITS
    ]
    for _, first, last in sorted(windows, reverse=True):
        number = digits[begins[first] : begins[last]]
        if luhn_valid(number) and len(set(number)) > 1:
            return run[: groups[first][0]] + CARD + run[groups[last - 1][1] :]
    return run


def _masked_name(found: re.Match[str]) -> str:
    words = list(re.finditer(_WORD, found.group("name")))
    if words[0].group().lower() in _NOT_NAMES:
        return found.group()
    last = words[0]
    for word in words[1:]:
        if word.group().lower() in _NOT_NAMES or not (word.group()[0].isupper() or _LATER_NAME_RE.search(word.group())):
            break
        last = word
    return found.group("lead") + NAME + found.group("name")[last.end() :]


def _masked_speaker(found: re.Match[str]) -> str:
    if found.group("name").split()[0].lower() in _NOT_NAMES:
        return found.group()
    return found.group("lead") + NAME + found.group("tail")
