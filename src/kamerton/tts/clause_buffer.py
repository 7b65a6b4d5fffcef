"""Text that is still being written, cut into clauses as soon as each is certain to be whole.

Every cut is decided from the text before it and a few characters after it, never from where a piece happened to end.
The clauses are therefore the same however the text comes.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Final, Literal

from kamerton.tts.clauses import COMFORTABLE_CHARS, MAX_CHARS, MIN_CHARS, split_clauses
from kamerton.tts.sentence_ends import ends_sentence

FIRST_CHARS: Final = 12
"""The first clause may end inside a sentence from here on: some 0.8 s of speech, while the rest is being written."""

_Break = Literal["sentence", "inner", "none", "number"]

_INNER_MARK: Final = re.compile(r"[,;:][»\"”)]*$")
_NUMBER_GOES_ON: Final = re.compile(r"\d[,;:]?$")
_DASHES: Final = ("—", "–", "-")
_DASH_AND_NEXT: Final = 3
"""Characters from a space over a dash and its space to what follows: the farthest that a cut looks ahead."""
_BRACKETS: Final = re.compile(r"[«»()“”„\"]")
_CLOSERS: Final = {"«": "»", "(": ")", "“": "”", "„": "“", '"': '"'}


class ClauseBuffer:
    """Collects text that arrives in pieces and gives out its clauses.

    Sentences are clauses; a long one is also cut at a comma, semicolon, colon or dash, never inside quotes, brackets
    or a number. The first clause is given out early, so that speech can start.
    """

    def __init__(self) -> None:
        self._rest = ""
        self._search = _ClauseSearch(first=True)

    def push(self, piece: str) -> tuple[str, ...]:
        """Take a piece; return the clauses that it makes certain."""
        *lines, last = (self._rest + piece).split("\n")
        ready = [clause for line in lines for clause in self._cut(line, whole=True)]
        return (*ready, *self._cut(last, whole=False))

    def flush(self) -> tuple[str, ...]:
        """Return what waits: the text is over."""
        return tuple(self._cut(self._rest, whole=True))

    def flush_torn(self) -> tuple[str, ...]:
        """Return the whole clauses of what waits: the text broke off, and half a clause is not to be said."""
        clauses = self.flush()
        return clauses if clauses and ends_sentence(clauses[-1], "") else clauses[:-1]

    def _cut(self, line: str, *, whole: bool) -> list[str]:
        text = " ".join(line.split())
        if text and not whole and line[-1:].isspace():
            text += " "
        clauses: list[str] = []
        while text and (cut := self._search.cut(text, whole)) is not None:
            clause = text[:cut].rstrip()
            text = text[cut:].lstrip()
            clauses.append(clause)
            self._search = _ClauseSearch(first=self._search.first and not _says_something(clause))
        self._rest = text
        return clauses


async def clauses_of(text: str | AsyncIterable[str]) -> AsyncGenerator[str, None]:
    """Clauses of a text, or of a stream of text pieces as they become whole."""
    if isinstance(text, str):
        for clause in split_clauses(text):
            yield clause
        return
    buffer = ClauseBuffer()
    async for piece in text:
        for clause in buffer.push(piece):
            yield clause
    for clause in buffer.flush():
        yield clause


class _ClauseSearch:
    """Looks for the end of one clause in a text that grows; no place is looked at twice."""

    def __init__(self, *, first: bool) -> None:
        self.first = first
        self._places = _Places(first)
        self._nesting = _Nesting()
        self._looked_at = 0
        self._says_something = False

    def cut(self, text: str, whole: bool) -> int | None:
        """Where the clause ends; None while that is uncertain. A `whole` text ends with its last clause.

        Args:
            text: the text before, or the same with more at its end; not empty.
            whole: nothing more will come.
        """
        places = self._places
        while 0 <= (end := text.find(" ", self._looked_at)) <= MAX_CHARS:
            if places.best is not None and _worth_cutting(places.best, end):
                return places.best
            kind = _break_at(text, end, whole)
            if kind is None:
                return None
            if places.ends_at(end, kind, bare=self._bare_at(text, end)):
                return end
            self._looked_at = end + 1
        if len(text) > MAX_CHARS:
            return places.best or places.poor
        if not whole:
            return None
        return places.best if places.best is not None and _worth_cutting(places.best, len(text)) else len(text)

    def _bare_at(self, text: str, end: int) -> bool:
        """Whether there are words before a place, and no quotes or brackets around it."""
        self._says_something = self._says_something or _says_something(text[self._looked_at : end])
        return not self._nesting.read(text, self._looked_at, end) and self._says_something


class _Places:
    """Remembers where the text that was looked at could be cut."""

    def __init__(self, first: bool) -> None:
        self._first = first
        self._inside: int | None = None
        self._anywhere = MAX_CHARS
        self.best: int | None = None
        """The last comfortable place, else the first one after it."""

    @property
    def poor(self) -> int:
        """Where to cut when there is no good place: in a quote, or at any space outside a number."""
        return self._inside or self._anywhere

    def ends_at(self, end: int, kind: _Break, *, bare: bool) -> bool:
        """Take a place in. True when the clause ends here whatever follows.

        Args:
            end: the place.
            kind: what it separates.
            bare: there are words before it, and no quotes or brackets around it.
        """
        if kind != "number" and end >= MIN_CHARS:
            self._anywhere = end
        if kind not in ("sentence", "inner"):
            return False
        if not bare:
            self._inside = end if end >= MIN_CHARS else None
            return False
        if kind == "sentence" or self._first:
            return kind == "sentence" or end >= FIRST_CHARS
        if end >= MIN_CHARS and (self.best is None or end <= COMFORTABLE_CHARS):
            self.best = end
        return False


def _worth_cutting(cut: int, end: int) -> bool:
    """Whether a text up to `end` is too long for one clause, and its part after `cut` is not too short for another."""
    return end > COMFORTABLE_CHARS and end - cut >= MIN_CHARS


def _break_at(text: str, end: int, whole: bool) -> _Break | None:
    """What a space separates; None when the text after it is needed for that and not there yet."""
    following = text[end + 1 : end + 2]
    if not following:
        return None
    before = text[max(0, end - MAX_CHARS) : end]
    if ends_sentence(before, following):
        return "sentence"
    number = _NUMBER_GOES_ON.search(before) is not None
    if number and following.isdigit():
        return "number"
    if _INNER_MARK.search(before):
        return "inner"
    if following in _DASHES:
        return _dash_at(text, end, whole, number)
    return "number" if before[-1].isdigit() else "none"


def _dash_at(text: str, end: int, whole: bool, number: bool) -> _Break | None:
    """A dash between words is a break; one between numbers («5 — 10 дней») is not."""
    space, following = text[end + 2 : end + 3], text[end + _DASH_AND_NEXT : end + _DASH_AND_NEXT + 1]
    if space not in ("", " "):
        return "none"
    if not following:
        return "none" if whole else None
    return "number" if number and following.isdigit() else "inner"


class _Nesting:
    """Which quotes and brackets are open at a place."""

    def __init__(self) -> None:
        self._closers: list[str] = []

    def read(self, text: str, start: int, end: int) -> bool:
        """Read on from `start`; returns whether `end`, a space, is inside quotes or brackets."""
        for mark in _BRACKETS.finditer(text, start, end):
            if self._closers and mark[0] == self._closers[-1]:
                self._closers.pop()
            elif mark[0] in _CLOSERS and _opens(text, mark):
                self._closers.append(_CLOSERS[mark[0]])
        return bool(self._closers)


def _opens(text: str, mark: re.Match[str]) -> bool:
    """Not a smile `:(`, nor inches."""
    before, after = text[: mark.start()][-1:], text[mark.end() : mark.end() + 1]
    return not after.isspace() and (mark[0] != '"' or not before or before in " («")


def _says_something(text: str) -> bool:
    return any(character.isalpha() for character in text)
