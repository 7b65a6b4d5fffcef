"""Phone numbers said in groups, as people say them."""

from __future__ import annotations

import re
from typing import Final

from kamerton.tts.spoken.lexicon import Lexicon

_GAP: Final = r"[\s\-()]*"
_PHONES: Final = (
    rf"(?P<a1>\+?38){_GAP}(?P<a2>0{_GAP}\d\d){_GAP}(?P<a3>\d{{3}}){_GAP}(?P<a4>\d\d){_GAP}(?P<a5>\d\d)",
    rf"(?P<b1>\+7|8){_GAP}(?P<b2>\d{{3}}){_GAP}(?P<b3>\d{{3}}){_GAP}(?P<b4>\d\d){_GAP}(?P<b5>\d\d)",
    rf"(?P<c1>0){_GAP}(?P<c2>800){_GAP}(?P<c3>\d{{3}}){_GAP}(?P<c4>\d{{3}})",
    rf"(?P<d1>0\d\d){_GAP}(?P<d2>\d{{3}}){_GAP}(?P<d3>\d\d){_GAP}(?P<d4>\d\d)",
)
_PHONE: Final = re.compile(r"(?<![\d+,.])(?:" + "|".join(_PHONES) + r")(?![\d])")


def spell_phones(text: str, lexicon: Lexicon) -> str:
    """Russian (+7 or 8) and Ukrainian (+380, 0xx, 0 800) numbers: «восемь, восемьсот, сто двадцать три, …»."""

    def said(match: re.Match[str]) -> str:
        groups = [group for group in match.groups() if group]
        return ", ".join(_group(group, lexicon) for group in groups)

    return _PHONE.sub(said, text)


def _group(group: str, lexicon: Lexicon) -> str:
    if group.startswith("+"):
        return f"{lexicon.words.plus} {_group(group[1:], lexicon)}"
    return spell_digits(re.sub(r"\D", "", group), lexicon)


def spell_digits(digits: str, lexicon: Lexicon) -> str:
    """A group of digits: every leading zero is said, the rest is a number («ноль ноль семь»)."""
    rest = digits.lstrip("0")
    zeros = [lexicon.words.zero] * (len(digits) - len(rest))
    return " ".join([*zeros, lexicon.numerals.cardinal(int(rest), "n", "m")] if rest else zeros)
