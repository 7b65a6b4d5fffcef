"""E-mail addresses, birthdays and home addresses, as written and as said («ivan собака mail точка ru»)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from kamerton.observability.personal_numbers import Finding

EMAIL: Final = "[email]"
BIRTH: Final = "[birthday]"
ADDRESS: Final = "[address]"

_DOT: Final = r"(?:\s*\.\s?|\s+(?:точка|крапка|дот|dot)\s+)"
_HAND: Final = r"(?:\s+(?:нижнее\s+)?(?:точка|крапка|дефис|тире|подч[её]ркивание|підкреслення|мінус)\s+|\s?\.\s?)"
_PROVIDER: Final = (
    r"(?:mail|gmail|yandex|ya|ukr|inbox|bk|list|rambler|icloud|outlook|hotmail"
    r"|мейл|мэйл|мэил|майл|джимейл|гмейл|гмаил|яндекс|инбокс|рамблер|укр)"
)
_BEFORE_AT: Final = r"(?<![\w.+%'’-])[\w.+%'’-]{1,64}"
_SPELLED_AFTER: Final = "|".join(f"(?<={word} )" for word in ("почта", "почту", "пошта", "mail", "имейл", "емейл"))
_EMAIL_RE: Final = re.compile(
    rf"{_BEFORE_AT}\s?@\s?(?:[\w-]+\.)+\w{{2,}}|{_BEFORE_AT}@\w[\w-]*"
    rf"|(?:{_SPELLED_AFTER})(?:[\w-]+\s+){{2,6}}?(?:собака|собачка)\s+[\w-]+(?:\s+(?:точка|крапка)\s+\w+)*"
    rf"|{_BEFORE_AT}(?:{_HAND}[\w+%'’-]{{1,64}})*\s+(?:собака|собачка|песик|равлик|эт|at|@)\s+"
    rf"(?:[\w-]+(?:{_DOT}[\w-]+)*{_DOT}(?:ru|com|net|org|ua|info|by|kz|me|рф|ру|ком|нет|юа|уа|нэт)\b"
    rf"|{_PROVIDER}(?:\s+(?:ru|com|net|ру|ком|нет|юа|ua))?\b)",
    re.IGNORECASE,
)
_EMAIL_HINT_RE: Final = re.compile(r"@|соба[кч]|\bat\b|\bэт\b|равлик|песик", re.IGNORECASE)

_MONTH: Final = (
    r"(?:январ|феврал|март|апрел|ма[йяю]|июн|июл|август|сентябр|октябр|ноябр|декабр"
    r"|січ|лют|берез|квіт|трав|черв|лип|серп|верес|жовт|листопад|груд)\w*"
)
_BIRTH_YEAR: Final = r"(?:19[2-9]\d|200\d|2010)"
_FIRST_TEN: Final = (
    r"(?:перв|втор|трет|четв[её]рт|пят|шест|седьм|восьм|девят|десят|перш|друг|п['’ʼ]ят|шост|сьом|дев['’ʼ]ят)"
)
_BIRTH_YEAR_WORDS: Final = (
    r"(?:(?:тысяча\s+девятьсот|тисяча\s+дев['’ʼ]ятсот)(?:\s+\w+(?:['’ʼ]\w+)?){1,2}?"
    rf"|двухтысячн\w+|двотисячн\w+|дв[еі]\s+(?:тысячи|тисячі)\s+{_FIRST_TEN}\w*)\s+(?:год|рок)\w*"
)
_DAY_WORDS: Final = r"\b(?:(?:двадцать|тридцать|двадцять|тридцять)\s+)?[^\W\d]{2,16}(?:го|ое|е|ье|тє|є)"
_DATE: Final = (
    rf"(?:\d\d?[./ -]\d\d?[./ -](?:\d{{4}}|\d\d)|\d{{4}}-\d\d-\d\d"
    rf"|\d\d?\s+{_MONTH}(?:\s+\d{{4}})?(?:\s*(?:год|г\.|рок)\w*)?"
    rf"|{_DAY_WORDS}\s+{_MONTH}(?:\s+{_BIRTH_YEAR_WORDS}|(?:\s+\w+){{1,2}}\s+(?:год|рок)\w*)?|(?:19|20)\d\d)"
)
_BIRTH_RE: Final = re.compile(
    rf"\b(?:родил(?:ся|ась)|(?:дата|день|год)\s+рождения|др\b|народи(?:вся|лася)|(?:дата|день|рік)\s+народження)"
    rf"(?:\s*[:,—–-])?(?:\s+(?:моя|у|меня|мене|мо[йє]|это|це|в|была|был\w*))*\s+(?P<date>{_DATE})"
    rf"|(?P<plain>(?<![\d.\-/])\d\d?[./-]\d\d?[./-]{_BIRTH_YEAR}(?![\d.\-/])|(?<![\d-]){_BIRTH_YEAR}-\d\d-\d\d(?![\d-])"
    rf"|\b\d\d?\s+{_MONTH}\s+{_BIRTH_YEAR}\b|{_DAY_WORDS}\s+{_MONTH}\s+{_BIRTH_YEAR_WORDS})"
    rf"|(?P<after>{_DATE})\s*(?:г\.?\s?р\b|г(?:ода|\.)?\s+рождения|року?\s+народження)",
    re.IGNORECASE,
)
_BIRTH_HINT_RE: Final = re.compile(
    rf"роди|рожд|народ|\bдр\b|г\.?\s?р\b|{_BIRTH_YEAR}|девят|дев['’ʼ]ят|тысяч|тисяч", re.IGNORECASE
)

_STREET: Final = (
    r"\b(?:ул(?:иц[аеы])?\b\.?|проспект[ае]?\b|пр-т\b|пр\.|переул(?:ок|ке)\b|пер\.|бульвар[ае]?\b|шоссе\b|набережн\w+"
    r"|вул(?:иц[яі])?\b\.?|просп\.|провул(?:ок|ку)\b)"
)
_STREET_NAME: Final = r"\s*(?:[^\W\d]+[\s,]+){1,3}?"
_HOUSE: Final = r"(?:(?:(?:дом|д\.|буд(?:инок|\.)|б\.)\s*)?\w*\d\w*(?:/\d+)?|(?:дом|будинок)\s+\w+(?:\s+\w+)?)"
_FLAT: Final = r"кв(?:артира|\.)?\s*(?:\d+|\w+(?:\s+\w+)?)"
_ADDRESS_RE: Final = re.compile(
    rf"\b(?:живу|проживаю|прописан\w*|зарегистрирован\w*|мешкаю|прописк\w+|мой\s+адрес|моя\s+адреса|адрес\s+проживания)"
    rf"\b[^.!?\n]{{0,40}}?(?P<told>{_STREET}{_STREET_NAME}{_HOUSE}(?:[\s,]+(?:{_FLAT}|\d+))?)"
    rf"|(?P<full>{_STREET}{_STREET_NAME}{_HOUSE}[\s,]+{_FLAT})",
    re.IGNORECASE,
)
_ADDRESS_HINT_RE: Final = re.compile(r"ул|просп|пр-т|пр\.|пер|бульв|шоссе|набереж|пров", re.IGNORECASE)


def personal_details(text: str) -> Iterator[Finding]:
    """The e-mails, birthdays and home addresses of a text; findings may overlap.

    A date is a birthday when it is said to be one, or when it is a whole date of 1920 to 2010. A street is an address
    of a person when a flat is named, or when somebody lives or is registered there.
    """
    if _EMAIL_HINT_RE.search(text):
        yield from (Finding(*found.span(), EMAIL, found.group().lower()) for found in _EMAIL_RE.finditer(text))
    if _BIRTH_HINT_RE.search(text):
        yield from _named_groups(_BIRTH_RE, text, BIRTH)
    if _ADDRESS_HINT_RE.search(text):
        yield from _named_groups(_ADDRESS_RE, text, ADDRESS)


def _named_groups(pattern: re.Pattern[str], text: str, kind: str) -> Iterator[Finding]:
    for found in pattern.finditer(text):
        if found.lastgroup is not None:
            yield Finding(*found.span(found.lastgroup), kind)
