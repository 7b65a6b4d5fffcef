"""Digits of something longer: a card, a phone, a passport, said or written in pieces. None of them answers a number.

Two signs: so many digits follow one another that no single number has them («1111 2222 3333 4444», «восемь девятьсот
двенадцать триста сорок пять …»), or a word before them says what they belong to («номер карты 1111»).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kamerton.intent_classifier.numbers import NumberSpan
from kamerton.intent_classifier.words import Token, listed

LEAST_RUN_DIGITS = 7
"""A run of several numbers with at least so many digits is a code. Local phone numbers have seven; «сто сорок, сто
пятьдесят» has six."""

LEAST_WRITTEN_DIGITS = 9
"""One string of at least so many digits is a code. Phones and documents have nine and more."""

LEAST_REPEATED_DIGITS = 4
"""One number said again and again is an answer that is insisted on, unless it has so many digits («1111 1111»)."""

_LINKS = frozenset(
    listed(
        "и і й а тире дефис дефіс минус мінус черта риска пробел пробіл плюс скобка дужка дальше далее далі потом "
        "потім затем ещё еще ну э ээ эээ эм мм серия серії номер код"
    )
)
"""Words that may stand between two pieces of a code."""

_OWNERS = re.compile(
    r"(?:карт|телефон|мобильн|мобільн|снилс|инн|іпн|огрн|пароль|парол|индекс|індекс|госномер|рахунк)\w{0,4}|"
    r"(?:номер|код|серия|сери|серія|сері)(?:а|ом|у|е|ю|ей|ї|єю)?|счет(?:а|у|е)?|рахунок"
)
"""Words for things that have a number of their own."""

_OWNER_WORDS = 3
"""How many words back the thing may stand («номер карты вот такой: 1111»)."""

_ENDS = frozenset(".;!?…")


def coded(tokens: Sequence[Token], spans: Sequence[NumberSpan], with_unit: Sequence[bool]) -> frozenset[int]:
    """Places in `spans` of the numbers that are pieces of a code.

    Args:
        tokens: the words of the utterance.
        spans: its numbers in order.
        with_unit: for each of them whether it has a unit («сто лошадиных сил»), and so stands for itself.
    """
    found: set[int] = set()
    for run in _runs(tokens, spans, with_unit):
        if _is_code(tokens, [spans[place] for place in run]):
            found.update(run)
    return frozenset(found)


def _runs(tokens: Sequence[Token], spans: Sequence[NumberSpan], with_unit: Sequence[bool]) -> list[list[int]]:
    """Numbers without a unit that follow one another with nothing but links between them."""
    runs: list[list[int]] = []
    last: NumberSpan | None = None
    for place, span in enumerate(spans):
        if with_unit[place]:
            last = None
            continue
        linked = last is not None and all(token.text in _LINKS for token in tokens[last.last + 1 : span.first])
        if linked:
            runs[-1].append(place)
        else:
            runs.append([place])
        last = span
    return runs


def _is_code(tokens: Sequence[Token], run: Sequence[NumberSpan]) -> bool:
    digits = [_digits(tokens, span) for span in run]
    if _is_owned(tokens, run[0]) or (run[0].digits and digits[0] >= LEAST_WRITTEN_DIGITS):
        return True
    insisted = len({span.value for span in run}) == 1 and digits[0] < LEAST_REPEATED_DIGITS
    return len(run) > 1 and sum(digits) >= LEAST_RUN_DIGITS and not insisted


def _digits(tokens: Sequence[Token], span: NumberSpan) -> int:
    """Digits of a number as written («0015» has four), or as its value is written."""
    covered = tokens[span.first : span.last + 1]
    if all(token.is_digits for token in covered):
        return sum(len(token.text.replace(".", "").replace(",", "")) for token in covered)
    return len(str(int(span.value)))


def _is_owned(tokens: Sequence[Token], span: NumberSpan) -> bool:
    """Whether words of the same sentence before the number say that it belongs to a document or the like."""
    place = span.first
    while place > max(0, span.first - _OWNER_WORDS) and not _ENDS & set(tokens[place].gap):
        place -= 1
        if _OWNERS.fullmatch(tokens[place].text):
            return True
    return False
