"""Any text in the letters that a Russian-only voice knows.

Festival's Russian voice has letter-to-sound rules for the 33 Russian letters alone; anything else stops its interpreter
in mid-utterance. What passes here is therefore a closed alphabet, which also leaves nothing for its Scheme reader to
interpret.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from kamerton.tts.spoken.grammar import words

_DIGRAPHS: Final = {
    "shch": "щ",
    "sch": "ш",
    "tch": "ч",
    "sh": "ш",
    "ch": "ч",
    "zh": "ж",
    "kh": "х",
    "ts": "ц",
    "th": "т",
    "ph": "ф",
    "ck": "к",
    "qu": "кв",
    "oo": "у",
    "ee": "и",
    "yu": "ю",
    "ya": "я",
    "yo": "ё",
}
_LETTERS: Final = dict(
    zip("abcdefghijklmnopqrstuvwxyz", words("а б к д е ф г х и дж к л м н о п к р с т у в в кс й з"), strict=True)
)
_UKRAINIAN: Final = {"і": "и", "ї": "йи", "є": "е", "ґ": "г", "'": "ъ"}
_DIGITS: Final = ("ноль", "один", "два", "три", "четыре", "пять", "шесть", "семь", "восемь", "девять")
_PUNCTUATION: Final = {";": ",", ":": ",", "…": ".", "—": ",", "–": ",", ".": ".", ",": ",", "!": "!", "?": "?"}
_RUSSIAN: Final = frozenset("абвгдеёжзийклмнопрстуфхцчшщъыьэюя")
_LATIN: Final = re.compile("|".join((*_DIGRAPHS, "[a-z]")))


def russian_letters(text: str) -> str:
    """Small Russian letters, single spaces and `. , ! ?` right after a word; "" when no letter is left."""
    plain = unicodedata.normalize("NFC", text).lower()
    plain = "".join(_without_accent(character) for character in plain)
    plain = _LATIN.sub(lambda match: _DIGRAPHS.get(match[0]) or _LETTERS[match[0]], plain)
    said: list[str] = []
    for token in "".join(_passed(character) for character in plain).split():
        word = token.rstrip(".,!?")
        if word.strip("ъь"):
            said.append(word + token[len(word) : len(word) + 1])
        elif said and said[-1][-1] in _RUSSIAN and token[:1] in _PUNCTUATION:
            said[-1] += token[0]
    return " ".join(said)


def _passed(character: str) -> str:
    if character in _RUSSIAN:
        return character
    if character in _UKRAINIAN:
        return _UKRAINIAN[character]
    if character in _PUNCTUATION:
        return f"{_PUNCTUATION[character]} "
    if character.isdecimal():
        return f" {_DIGITS[int(character)]} "
    return " "


def _without_accent(character: str) -> str:
    """Latin letters without their accents («é» → «e»); Cyrillic ones, like «й» and «ё», are letters of their own."""
    if character.isascii() or character in _RUSSIAN or character in _UKRAINIAN:
        return character
    return "".join(part for part in unicodedata.normalize("NFD", character) if not unicodedata.combining(part))
