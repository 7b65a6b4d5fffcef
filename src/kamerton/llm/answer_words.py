"""The words of an answer as a voice can say them: no Markdown, links, addresses of pages, tags or emoji.

A word is certain when white space follows it, so that at most one word, or an unfinished link, is held back.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

LINK_WORDS: Final = 12
"""Longest text of a link; brackets around more are no link."""

LONGEST_WORD: Final = 60
"""Letters in a row that are spoken; what is longer is noise, or a loop of the model."""

_LINK: Final = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_ADDRESS: Final = re.compile(r"(?:https?://|ftp://|www\.)[^\s<>«»\"]*[^\s<>«»\".,!?;:)\]…*_`]", re.IGNORECASE)
_TAG: Final = re.compile(r"</?[A-Za-z][^<>]*>")
_INNER_MARK: Final = re.compile(r"(?<=\w)[*_|~](?=\w)")
_MARKS: Final = re.compile(r"[*_`|~\\]+")
_BRACKETS: Final = re.compile(r"\(\s*\)|\[\s*\]|[\[\]{}]")
_BULLET: Final = re.compile(r"[-*+•▪·–—>]|#{1,6}")
_NUMBER_MARK: Final = re.compile(r"\d{1,2}[.)]")
_RULE: Final = re.compile(r"[-=—–:]{2,}")
_GLUED: Final = re.compile(r"[.,!?;:…)»”\"']+")
_KEPT_SYMBOLS: Final = frozenset("№°%+=<>")


class SpokenWords:
    """Cuts decoded text into spoken words; the outcome does not depend on how the text was split.

    Each word carries what goes before it (a space, or nothing), so that joining all words gives the spoken text.
    """

    def __init__(self) -> None:
        self._token = ""
        self._link: list[str] = []
        self._breaks = 0
        self._line_start = True
        self._first_line = True
        self._said = ""

    def push(self, text: str) -> list[str]:
        """Take decoded text; return the words that it completes."""
        words: list[str] = []
        for char in text:
            if not char.isspace():
                self._token += char
                continue
            words += self._end_token()
            if char == "\n":
                words += self._end_link()
                self._first_line = self._first_line and not self._said
                self._breaks += 1
                self._line_start = True
        return words

    def finish(self) -> list[str]:
        """Return the words that wait: the text is over."""
        return self._end_token() + self._end_link()

    def _end_token(self) -> list[str]:
        token, self._token = self._token, ""
        if not token:
            return []
        if not self._link and not _opens_link(token):
            return self._say(token)
        self._link.append(token)
        if _opens_link(" ".join(self._link)) and len(self._link) < LINK_WORDS:
            return []
        return self._end_link()

    def _end_link(self) -> list[str]:
        tokens, self._link = self._link, []
        words: list[str] = []
        for token in _LINK.sub(r"\1", " ".join(tokens)).split():
            words += self._say(token)
        return words

    def _say(self, token: str) -> list[str]:
        if self._line_start and self._is_list_mark(token):
            return []
        spoken = clean_token(token)
        if not spoken:
            return []
        words = self._pause()
        self._line_start = False
        if _GLUED.fullmatch(spoken):
            words += [spoken] if self._said and self._said[-1].isalnum() else []
        else:
            words.append(f" {spoken}" if self._said else spoken)
        self._said = words[-1] if words else self._said
        return words

    def _is_list_mark(self, token: str) -> bool:
        if _NUMBER_MARK.fullmatch(token):
            return not self._first_line or token in ("1.", "1)")
        return _BULLET.fullmatch(token) is not None

    def _pause(self) -> list[str]:
        """What a line break stands for when the line before it ended without a mark."""
        breaks, self._breaks = self._breaks, 0
        if not breaks or not self._said:
            return []
        if not (self._said[-1].isalnum() or self._said[-1] in '»")'):
            return []
        self._said = "." if breaks > 1 else ","
        return [self._said]


def clean_token(token: str) -> str:
    """A word without marks that are not for the ear; empty when nothing of it is."""
    token = _LINK.sub(r"\1", unicodedata.normalize("NFC", token))
    token = _TAG.sub("", _ADDRESS.sub("", token))
    token = _MARKS.sub("", _INNER_MARK.sub(" ", token.replace("**", "").replace("__", "")))
    token = _BRACKETS.sub("", "".join(char for char in token if _is_spoken(char)))
    token = _RULE.sub("", token)
    return token.strip()[:LONGEST_WORD].rstrip()


def _is_spoken(char: str) -> bool:
    if char in _KEPT_SYMBOLS or char == "\u0301":
        return True
    return unicodedata.category(char)[0] in "LNPZS" and unicodedata.category(char) not in ("So", "Sk", "Sm", "Zl", "Zp")


def _opens_link(text: str) -> bool:
    """True while a link has begun and not ended."""
    rest = _LINK.sub("", text)
    start = rest.rfind("[")
    return start >= 0 and ("]" not in rest[start:] or ("](" in rest[start:] and ")" not in rest[start:]))
