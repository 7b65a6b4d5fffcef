"""Russian words for `spoken_text`."""

from __future__ import annotations

from typing import Final

from kamerton.tts.spoken import numbers_ru
from kamerton.tts.spoken.grammar import Case, Gender, Noun, noun, words
from kamerton.tts.spoken.lexicon import Lexicon, SmallWords, Unit


def _masculine(stem: str) -> Noun:
    """A noun of the pattern of «километр»."""
    return noun(
        "m",
        f"{stem}, {stem}а, {stem}у, {stem}, {stem}ом, {stem}е",
        f"{stem}ы, {stem}ов, {stem}ам, {stem}ы, {stem}ами, {stem}ах",
    )


def _feminine(stem: str, genitive_plural: str, *, many: str = "ы") -> Noun:
    """A noun of the pattern of «минута»; `many` is the ending of its genitive singular and nominative plural."""
    return noun(
        "f",
        f"{stem}а, {stem}{many}, {stem}е, {stem}у, {stem}ой, {stem}е",
        f"{stem}{many}, {genitive_plural}, {stem}ам, {stem}{many}, {stem}ами, {stem}ах",
    )


def _followed(head: Noun, tail: str) -> Noun:
    return Noun(head.gender, tuple(f"{f} {tail}" for f in head.singular), tuple(f"{f} {tail}" for f in head.plural))


_RUBLE = noun("m", "рубль, рубля, рублю, рубль, рублём, рубле", "рубли, рублей, рублям, рубли, рублями, рублях")
_KOPECK = _feminine("копейк", "копеек", many="и")
_CENT = _masculine("цент")
_HRYVNIA = _feminine("гривн", "гривен")
_KILOMETRE = _masculine("километр")
_YEAR = noun("m", "год, года, году, год, годом, годе", "годы, лет, годам, годы, годами, годах")
_HOUR = _masculine("час")
_DAY = noun("m", "день, дня, дню, день, днём, дне", "дни, дней, дням, дни, днями, днях")
_MONTH = noun(
    "m", "месяц, месяца, месяцу, месяц, месяцем, месяце", "месяцы, месяцев, месяцам, месяцы, месяцами, месяцах"
)
_PERSON = noun(
    "m",
    "человек, человека, человеку, человека, человеком, человеке",
    "люди, человек, людям, людей, людьми, людях",
)
_KILOWATT = noun(
    "m",
    "киловатт, киловатта, киловатту, киловатт, киловаттом, киловатте",
    "киловатты, киловатт, киловаттам, киловатты, киловаттами, киловаттах",
)
_HORSEPOWER = noun(
    "f",
    "лошадиная сила, лошадиной силы, лошадиной силе, лошадиную силу, лошадиной силой, лошадиной силе",
    "лошадиные силы, лошадиных сил, лошадиным силам, лошадиные силы, лошадиными силами, лошадиных силах",
    "лошадиные силы",
)

_UNITS: Final = (
    Unit(r"₽|руб\.?|р\.", _RUBLE, _KOPECK),
    Unit(r"коп\.?", _KOPECK),
    Unit(r"₴|грн\.?", _HRYVNIA, _KOPECK),
    Unit(r"\$|долл\.?", _masculine("доллар"), _CENT),
    Unit(r"€", noun("m", "евро", "евро"), _CENT),
    Unit(r"%", _masculine("процент")),
    Unit(r"л\.\s?с\.|лс", _HORSEPOWER),
    Unit(r"км/ч", _followed(_KILOMETRE, "в час")),
    Unit(r"км", _KILOMETRE),
    Unit(r"см", _masculine("сантиметр")),
    Unit(r"мм", _masculine("миллиметр")),
    Unit(r"м", _masculine("метр")),
    Unit(r"кг", _masculine("килограмм")),
    Unit(r"кВт", _KILOWATT),
    Unit(r"л", _masculine("литр")),
    Unit(r"мин\.?", _feminine("минут", "минут")),
    Unit(r"сек\.?", _feminine("секунд", "секунд")),
    Unit(r"ч\.?", _HOUR),
    Unit(r"дн\.", _DAY),
    Unit(r"мес\.?", _MONTH),
    Unit(r"чел\.?", _PERSON),
    Unit(r"шт\.?", _feminine("штук", "штук", many="и")),
    Unit(r"°\s?C|°\s?С|°", _masculine("градус")),
)

_GENITIVE: Final = (
    "от до около свыше более менее больше меньше без для из с со после кроме порядка течение выше ниже старше младше "
    "моложе дороже дешевле"
)
_GOVERNORS: Final[dict[str, Case]] = {
    **dict.fromkeys(words(_GENITIVE), "g"),
    "к": "d",
    "ко": "d",
    "равен": "d",
    "равна": "d",
    "равно": "d",
    "между": "i",
    "над": "i",
    "перед": "i",
    "о": "p",
    "об": "p",
    "при": "p",
}

_ORDINAL_ENDINGS: Final[dict[str, tuple[Case, Gender]]] = {
    "й": ("n", "m"),
    "ый": ("n", "m"),
    "ой": ("n", "m"),
    "ий": ("n", "m"),
    "я": ("n", "f"),
    "ая": ("n", "f"),
    "е": ("n", "n"),
    "ое": ("n", "n"),
    "го": ("g", "m"),
    "ого": ("g", "m"),
    "его": ("g", "m"),
    "му": ("d", "m"),
    "ому": ("d", "m"),
    "м": ("p", "m"),
    "ом": ("p", "m"),
    "ым": ("i", "m"),
    "ю": ("a", "f"),
    "ую": ("a", "f"),
    "х": ("g", "m"),
    "ых": ("g", "m"),
}

_ABBREVIATIONS: Final = (
    (r"(?i)\bт\.\s?е\.", "то есть"),
    (r"(?i)\bт\.\s?к\.", "так как"),
    (r"(?i)\bи\s+т\.\s?д\.", "и так далее"),
    (r"(?i)\bи\s+т\.\s?п\.", "и тому подобное"),
    (r"(?i)\bи\s+др\.", "и другие"),
    (r"(?i)\bнапр\.", "например"),
    (r"(?i)\bтел\.", "телефон"),
    (r"(?i)\bул\.(?=\s)", "улица"),
    (r"(?i)\bд\.\s?(?=\d)", "дом "),
    (r"(?i)\bкв\.\s?(?=\d)", "квартира "),
    (r"(?i)\bкорп\.\s?(?=\d)", "корпус "),
    (r"(?i)\bстр\.\s?(?=\d)", "строение "),
    (r"(?i)\bдоб\.\s?(?=\d)", "добавочный "),
    (r"(?i)\bпр-т\b", "проспект"),
    (r"(?i)\bобл\.", "область"),
    (r"(?<!\d)(?<!\d\s)\bг\.\s?(?=[А-ЯЁ])", "город "),
    (r"(?i)(?<!\d)(?<!\d\s)\bруб\.?(?!\w)", "рублей"),
    (r"(?i)(?<!\d)(?<!\d\s)\bл\.\s?с\.", "лошадиных сил"),
    (r"(?i)\b24/7\b", "круглосуточно"),
)

_ACRONYMS: Final = {
    "ГИБДД": "гэ и бэ дэ дэ",
    "ИНН": "и эн эн",
    "ОСАГО": "осаго",
    "КАСКО": "каско",
    "АЗС": "а зэ эс",
    "США": "сэ шэ а",
    "УСН": "у эс эн",
    "ЭЦП": "э цэ пэ",
    "ИП": "и пэ",
    "АО": "а о",
    "ООО": "о о о",
    "СМС": "эсэмэс",
    "SMS": "эсэмэс",
    "VIN": "вин",
}

_LETTERS: Final = dict(
    zip(
        "БВГДЖЗКЛМНПРСТФХЦЧШЩ",
        words("бэ вэ гэ дэ жэ зэ ка эл эм эн пэ эр эс тэ эф ха цэ че ша ща"),
        strict=True,
    )
)

_MASCULINE_IN_A: Final = frozenset({"мужчина", "папа", "дядя", "судья"})
_NO_NOUNS: Final = frozenset(
    words(
        "а и или либо да для до за если же ли мы вы ты они меня тебя себя она это все уже еще ещё где на не но при "
        "после хотя когда тогда сегодня завтра"
    )
)
_FEMININE_AFTER_ONE: Final[dict[Case, tuple[str, ...]]] = {
    "n": ("а", "я"),
    "g": ("ы", "и", "ой", "ей"),
    "d": ("е", "и", "ой", "ей"),
    "a": ("у", "ю"),
    "i": ("ой", "ей"),
    "p": ("ой", "ей"),
}


def _gender_of(number: int, case: Case, first: str, second: str) -> Gender:
    """Gender shown by the noun after a number: «одна машина», «две заявки», «одно окно»."""
    word = second if first.endswith(("ых", "их")) and second else first
    if word in _NO_NOUNS or word in _MASCULINE_IN_A:
        return "m"
    if number % 10 == 1 and number % 100 != 11:
        if case in ("n", "a") and word.endswith(("о", "е", "мя")):
            return "n"
        return "f" if word.endswith(_FEMININE_AFTER_ONE[case]) else "m"
    return "f" if word.endswith(("ы", "и", "ые", "ие")) else "m"


def _case_of(before: str, after: str) -> Case | None:
    """Case shown by the ending of the noun after a number."""
    if after.endswith(("ами", "ями")):
        return "i"
    if before in ("в", "во", "на", "о", "об", "при", "по") and after.endswith(("ах", "ях")):
        return "p"
    if before in ("к", "ко", "по", "благодаря") and after.endswith(("ам", "ям")):
        return "d"
    if before in ("с", "со") and after.endswith(("ом", "ем", "ём", "ой")):
        return "i"
    if after.endswith(("у", "ю")) and before not in ("к", "ко", "по"):
        return "a"
    return None


RUSSIAN: Final = Lexicon(
    numerals=numbers_ru,
    words=SmallWords(
        zero="ноль",
        minus="минус",
        plus="плюс",
        point="запятая",
        number="номер",
        number_from="от",
        number_to="до",
        onto="на",
        radius="радиус",
        year=_YEAR,
        hour=_HOUR,
    ),
    units=_UNITS,
    multipliers=((r"тыс\.?", 1_000), (r"млн\.?", 1_000_000), (r"млрд\.?", 1_000_000_000)),
    governors=_GOVERNORS,
    joints=frozenset({"и", "или", "либо"}),
    plain_prepositions=frozenset({"на", "в", "во", "за", "через", "по"}),
    months=words("января февраля марта апреля мая июня июля августа сентября октября ноября декабря"),
    date_governors={"к": "d", "на": "n", "по": "n", "за": "n"},
    year_words={"год": "n", "года": "g", "году": "p", "годом": "i", "годе": "p", "г.": "g"},
    ordinal_endings=_ORDINAL_ENDINGS,
    cardinal_endings=frozenset({"ти", "и", "ми", "та"}),
    compound_stems=("летн", "минутн", "часов", "дневн", "процентн", "месячн"),
    compound_exceptions={"ста": "сто", "девяноста": "девяносто", "одного": "одно", "одной": "одно"},
    abbreviations=_ABBREVIATIONS,
    acronyms=_ACRONYMS,
    letters=_LETTERS,
    vowels="АЕЁИОУЫЭЮЯ",
    symbols={"&": "и", "@": "собака", "=": "равно", "+": "плюс", "№": "номер", "%": "процент"},
    hour_is_ordinal=False,
    gender_of=_gender_of,
    case_of=_case_of,
)
"""The Russian lexicon."""
