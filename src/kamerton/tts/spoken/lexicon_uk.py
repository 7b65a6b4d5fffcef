"""Ukrainian words for `spoken_text`."""

from __future__ import annotations

from typing import Final

from kamerton.tts.spoken import numbers_uk
from kamerton.tts.spoken.grammar import Case, Gender, Noun, noun, words
from kamerton.tts.spoken.lexicon import Lexicon, SmallWords, Unit


def _masculine(stem: str, *, genitive: str = "а") -> Noun:
    """A noun of the pattern of «кілометр»; after 2, 3, 4 it stands in the nominative plural («два кілометри»)."""
    return noun(
        "m",
        f"{stem}, {stem}{genitive}, {stem}у, {stem}, {stem}ом, {stem}і",
        f"{stem}и, {stem}ів, {stem}ам, {stem}и, {stem}ами, {stem}ах",
        f"{stem}и",
    )


def _feminine(stem: str, genitive_plural: str, *, dative: str = "") -> Noun:
    """A noun of the pattern of «хвилина»; `dative` where the stem changes («копійка», «копійці»)."""
    dative = dative or f"{stem}і"
    return noun(
        "f",
        f"{stem}а, {stem}и, {dative}, {stem}у, {stem}ою, {dative}",
        f"{stem}и, {genitive_plural}, {stem}ам, {stem}и, {stem}ами, {stem}ах",
        f"{stem}и",
    )


_HRYVNIA = noun(
    "f",
    "гривня, гривні, гривні, гривню, гривнею, гривні",
    "гривні, гривень, гривням, гривні, гривнями, гривнях",
    "гривні",
)
_RUBLE = noun(
    "m", "рубль, рубля, рублю, рубль, рублем, рублі", "рублі, рублів, рублям, рублі, рублями, рублях", "рублі"
)
_KOPECK = _feminine("копійк", "копійок", dative="копійці")
_CENT = _masculine("цент")
_KILOMETRE = _masculine("кілометр")
_SPEED = Noun(
    "m",
    tuple(f"{form} на годину" for form in _KILOMETRE.singular),
    tuple(f"{form} на годину" for form in _KILOMETRE.plural),
    f"{_KILOMETRE.paucal} на годину",
)
_HORSEPOWER = noun(
    "f",
    "кінська сила, кінської сили, кінській силі, кінську силу, кінською силою, кінській силі",
    "кінські сили, кінських сил, кінським силам, кінські сили, кінськими силами, кінських силах",
    "кінські сили",
)
_KILOWATT = noun(
    "m",
    "кіловат, кіловата, кіловату, кіловат, кіловатом, кіловаті",
    "кіловати, кіловат, кіловатам, кіловати, кіловатами, кіловатах",
    "кіловати",
)
_DAY = noun("m", "день, дня, дню, день, днем, дні", "дні, днів, дням, дні, днями, днях", "дні")
_MONTH = noun(
    "m",
    "місяць, місяця, місяцю, місяць, місяцем, місяці",
    "місяці, місяців, місяцям, місяці, місяцями, місяцях",
    "місяці",
)
_YEAR = noun("m", "рік, року, року, рік, роком, році", "роки, років, рокам, роки, роками, роках", "роки")
_HOUR = _feminine("годин", "годин")
_PERSON = noun(
    "f",
    "особа, особи, особі, особу, особою, особі",
    "особи, осіб, особам, осіб, особами, особах",
    "особи",
)

_UNITS: Final = (
    Unit(r"₴|грн\.?", _HRYVNIA, _KOPECK),
    Unit(r"коп\.?", _KOPECK),
    Unit(r"₽|руб\.?", _RUBLE, _KOPECK),
    Unit(r"\$|дол\.?", _masculine("долар"), _CENT),
    Unit(r"€", noun("m", "євро", "євро"), _CENT),
    Unit(
        r"%",
        noun(
            "m",
            "відсоток, відсотка, відсотку, відсоток, відсотком, відсотку",
            "відсотки, відсотків, відсоткам, відсотки, відсотками, відсотках",
            "відсотки",
        ),
    ),
    Unit(r"к\.\s?с\.|кс", _HORSEPOWER),
    Unit(r"км/год", _SPEED),
    Unit(r"км", _KILOMETRE),
    Unit(r"см", _masculine("сантиметр")),
    Unit(r"мм", _masculine("міліметр")),
    Unit(r"м", _masculine("метр")),
    Unit(r"кг", _masculine("кілограм")),
    Unit(r"кВт", _KILOWATT),
    Unit(r"л", _masculine("літр")),
    Unit(r"хв\.?", _feminine("хвилин", "хвилин")),
    Unit(r"сек\.?", _feminine("секунд", "секунд")),
    Unit(r"год\.?", _HOUR),
    Unit(r"дн\.", _DAY),
    Unit(r"міс\.?", _MONTH),
    Unit(r"ос\.", _PERSON),
    Unit(r"шт\.?", _feminine("штук", "штук", dative="штуці")),
    Unit(r"°\s?C|°\s?С|°", _masculine("градус")),
)

_GENITIVE: Final = (
    "від од до близько біля без для з із зі після більше менше протягом впродовж крім замість вище нижче "
    "старше молодше дорожче дешевше"
)
_GOVERNORS: Final[dict[str, Case]] = {
    **dict.fromkeys(words(_GENITIVE), "g"),
    "понад": "a",
    "через": "a",
    "між": "i",
    "над": "i",
    "перед": "i",
    "при": "p",
}

_ORDINAL_ENDINGS: Final[dict[str, tuple[Case, Gender]]] = {
    "й": ("n", "m"),
    "ий": ("n", "m"),
    "ій": ("p", "f"),
    "а": ("n", "f"),
    "я": ("n", "f"),
    "е": ("n", "n"),
    "є": ("n", "n"),
    "го": ("g", "m"),
    "ого": ("g", "m"),
    "му": ("d", "m"),
    "ому": ("d", "m"),
    "м": ("i", "m"),
    "ї": ("g", "f"),
    "ої": ("g", "f"),
    "у": ("a", "f"),
    "ю": ("a", "f"),
    "х": ("g", "m"),
    "их": ("g", "m"),
}

_ABBREVIATIONS: Final = (
    (r"(?i)\b(?:і|та)\s+т\.\s?д\.", "і так далі"),
    (r"(?i)\b(?:і|та)\s+т\.\s?п\.", "тощо"),
    (r"(?i)\b(?:і|та)\s+ін\.", "та інші"),
    (r"(?i)\bнапр\.", "наприклад"),
    (r"(?i)\bтел\.", "телефон"),
    (r"(?i)\bвул\.(?=\s)", "вулиця"),
    (r"(?i)\bбуд\.\s?(?=\d)", "будинок "),
    (r"(?i)\bкв\.\s?(?=\d)", "квартира "),
    (r"(?i)\bкорп\.\s?(?=\d)", "корпус "),
    (r"(?i)\bдод\.\s?(?=\d)", "додатковий "),
    (r"(?i)\bпр-т\b", "проспект"),
    (r"(?i)\bобл\.", "область"),
    (r"(?<!\d)(?<!\d\s)\bм\.\s?(?=[А-ЯЄІЇҐ])", "місто "),
    (r"(?i)(?<!\d)(?<!\d\s)\bгрн\.?(?!\w)", "гривень"),
    (r"(?i)(?<!\d)(?<!\d\s)\bк\.\s?с\.", "кінських сил"),
    (r"(?i)\b24/7\b", "цілодобово"),
)

_ACRONYMS: Final = {
    "ІПН": "і пе ен",
    "ДАІ": "даі",
    "ТОВ": "тов",
    "ФОП": "фоп",
    "ОСАГО": "осаго",
    "КАСКО": "каско",
    "АЗС": "а зе ес",
    "США": "сполучені штати америки",
    "СТО": "ес те о",
    "СМС": "есемес",
    "SMS": "есемес",
    "VIN": "він",
}

_LETTERS: Final = dict(
    zip(
        "БВГҐДЖЗЙКЛМНПРСТФХЦЧШЩ",
        words("бе ве ге ґе де же зе йот ка ел ем ен пе ер ес те еф ха це че ша ща"),
        strict=True,
    )
)

_FEMININE_STEMS: Final = words(
    "гривн годин хвилин секунд машин тисяч шин копійк покришк заявк особ пар штук адрес вулиц кімнат камер послуг "
    "дат сил умов зустріч розмов знижк тон доб"
)


_FEMININE_AFTER_ONE: Final[dict[Case, tuple[str, ...]]] = {
    "n": ("а", "я"),
    "g": ("и", "ої", "ньої"),
    "d": ("ій",),
    "a": ("у", "ю"),
    "i": ("ою", "ею", "єю"),
    "p": ("ій",),
}
_NO_NOUNS: Final = frozenset(
    words("а або чи та для до за на ні ця вона мене тебе себе це все вже ще де сьогодні завтра")
)


def _gender_of(number: int, case: Case, first: str, second: str) -> Gender:
    """Gender shown by the noun after a number; after 2, 3, 4 the ending does not tell, so common nouns are listed."""
    if any(word.startswith(stem) for stem in _FEMININE_STEMS for word in (first, second)):
        return "f"
    if number % 10 != 1 or number % 100 == 11 or first in _NO_NOUNS:
        return "m"
    if case in ("n", "a") and first.endswith(("о", "е", "є", "м'я")):
        return "n"
    return "f" if first.endswith(_FEMININE_AFTER_ONE[case]) else "m"


def _case_of(before: str, after: str) -> Case | None:
    """Case shown by the ending of the noun after a number."""
    if after.endswith(("ами", "ями")):
        return "i"
    if before in ("в", "у", "на", "о", "об", "при", "по") and after.endswith(("ах", "ях")):
        return "p"
    if before in ("з", "із", "зі") and after.endswith(("ом", "ем", "єм", "ою", "ею", "єю")):
        return "i"
    return "a" if after.endswith(("у", "ю")) else None


UKRAINIAN: Final = Lexicon(
    numerals=numbers_uk,
    words=SmallWords(
        zero="нуль",
        minus="мінус",
        plus="плюс",
        point="кома",
        number="номер",
        number_from="від",
        number_to="до",
        onto="на",
        radius="радіус",
        year=_YEAR,
        hour=_HOUR,
    ),
    units=_UNITS,
    multipliers=((r"тис\.?", 1_000), (r"млн\.?", 1_000_000), (r"млрд\.?", 1_000_000_000)),
    governors=_GOVERNORS,
    joints=frozenset({"і", "й", "та", "або", "чи"}),
    plain_prepositions=frozenset({"на", "в", "у", "за", "через", "по", "о"}),
    months=words("січня лютого березня квітня травня червня липня серпня вересня жовтня листопада грудня"),
    date_governors={"на": "n", "по": "n", "за": "n"},
    year_words={"рік": "n", "року": "g", "році": "p", "роком": "i", "р.": "g"},
    ordinal_endings=_ORDINAL_ENDINGS,
    cardinal_endings=frozenset({"ти", "и", "ма"}),
    compound_stems=("річн", "хвилинн", "годинн", "денн", "відсотков", "місячн"),
    compound_exceptions={"ста": "сто", "дев'яноста": "дев'яносто", "одного": "одно", "однієї": "одно"},
    abbreviations=_ABBREVIATIONS,
    acronyms=_ACRONYMS,
    letters=_LETTERS,
    vowels="АЕЄИІЇОУЮЯ",
    symbols={"&": "та", "@": "собака", "=": "дорівнює", "+": "плюс", "№": "номер", "%": "відсоток"},
    hour_is_ordinal=True,
    gender_of=_gender_of,
    case_of=_case_of,
)
"""The Ukrainian lexicon."""
