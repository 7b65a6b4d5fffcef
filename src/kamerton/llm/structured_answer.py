"""The structured answer of a model, read while it is being written: first the verdict, then the words.

The object is `{"is_safe": true, "answer": "…", "thought": "…"}` with the verdict first, so that nothing is spoken
before it is known to be safe. `thought` is optional; other keys after the verdict are skipped.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

from kamerton.domain.errors import EngineError
from kamerton.domain.language_model import AnswerSchema

SPOKEN_ANSWER: Final = AnswerSchema(
    "spoken_answer",
    {
        "type": "object",
        "properties": {"is_safe": {"type": "boolean"}, "answer": {"type": "string"}},
        "required": ["is_safe", "answer"],
        "additionalProperties": False,
    },
)
"""For servers that can promise one. No `thought`: the last clause would wait for it."""

MAX_DEPTH: Final = 16
"""Deepest nesting of a skipped value."""

_SPACE: Final = " \t\r\n"
_ESCAPES: Final = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LITERALS: Final[dict[str, tuple[str, bool | None]]] = {
    "t": ("true", True),
    "f": ("false", False),
    "n": ("null", None),
}
_NUMBER: Final = frozenset("+-.0123456789eE")
_REPLACEMENT: Final = "\ufffd"

_Reading = Generator[None, str, None]


@dataclass(frozen=True, slots=True)
class LLMStructuredResponse:
    """A whole answer. Of an unsafe one nothing but the verdict is read."""

    is_safe: bool
    answer: str = ""
    thought: str | None = None


class _MalformedAnswer(Exception):
    """The text is no structured answer; ends the reading."""


class StructuredAnswerParser:
    """Reads one answer from pieces of text; the outcome does not depend on how the text was split.

    Accepts white space, a byte order mark and a code fence around the object, raw line breaks inside strings, and
    ignores whatever follows the object.
    """

    def __init__(self) -> None:
        self.is_safe: bool | None = None
        """The verdict, as soon as it was read."""
        self.failure: str | None = None
        """What is wrong with the text; nothing is read after it."""
        self.complete = False
        """The object was closed, or the verdict is unsafe: nothing more is read."""
        self._decoded: list[str] = []
        self._answer: str | None = None
        self._thought: str | None = None
        self._string: list[str] = []
        self._reading = self._read_document()
        next(self._reading)

    def push(self, text: str) -> str:
        """Take a piece of the model's output; return what it adds to the answer, decoded."""
        for char in text:
            if self.complete or self.failure is not None:
                break
            self._read(char)
        decoded = "".join(self._decoded)
        self._decoded.clear()
        return decoded

    def finish(self) -> LLMStructuredResponse:
        """Return the whole answer; the text is over.

        Raises:
            EngineError: the answer is malformed or was cut off.
        """
        if self.failure is None and not self.complete:
            self.failure = "it was cut off before its end" if self.is_safe is not None else "it has no verdict"
        if self.failure is not None:
            what = f"the language model's answer cannot be used: {self.failure}; ask again"
            raise EngineError(what, "model_answer")
        return LLMStructuredResponse(bool(self.is_safe), self._answer or "", self._thought)

    def _read(self, char: str) -> None:
        try:
            self._reading.send(char)
        except StopIteration:
            self.complete = True
        except _MalformedAnswer as malformed:
            self.failure = str(malformed)

    # Each reader below is a coroutine fed with one character per `yield`. A reader of a value returns the first
    # character after it that is not white space.

    def _read_document(self) -> _Reading:
        char = yield from _next_visible("\ufeff")
        if char == "`":
            char = yield from _skip_fence()
        if char != "{":
            raise _MalformedAnswer("it does not begin with a JSON object")
        char = yield from _next_visible()
        key = yield from self._key(char)
        if key != "is_safe":
            raise _MalformedAnswer("the verdict is_safe does not come first")
        char = yield from self._read_verdict()
        if self.is_safe:
            yield from self._read_members(char)

    def _read_verdict(self) -> Generator[None, str, str]:
        char = yield from _next_visible()
        if char not in ("t", "f"):
            raise _MalformedAnswer("the verdict is_safe is neither true nor false")
        self.is_safe = yield from _literal(char)
        if not self.is_safe:
            return ""
        return (yield from _next_visible())

    def _read_members(self, char: str) -> _Reading:
        seen = {"is_safe"}
        while char == ",":
            char = yield from _next_visible()
            key = yield from self._key(char)
            if key in seen:
                raise _MalformedAnswer("a key comes twice")
            seen.add(key)
            char = yield from _next_visible()
            char = yield from self._member(key, char)
        if char != "}":
            raise _MalformedAnswer("it is not valid JSON after a value")
        if self._answer is None:
            raise _MalformedAnswer("it has a verdict but no answer")

    def _member(self, key: str, char: str) -> Generator[None, str, str]:
        if key == "answer":
            if char != '"':
                raise _MalformedAnswer("the answer is not a string")
            yield from self._text(self._decoded)
            self._answer = "".join(self._string)
            return (yield from _next_visible())
        if key == "thought" and char == '"':
            yield from self._text()
            self._thought = "".join(self._string)
            return (yield from _next_visible())
        if key == "thought" and char != "n":
            raise _MalformedAnswer("the thought is not a string")
        return (yield from self._skip_value(char, 0))

    def _key(self, char: str) -> Generator[None, str, str]:
        if char != '"':
            raise _MalformedAnswer("it is not valid JSON where a key should be")
        yield from self._text()
        key = "".join(self._string)
        char = yield from _next_visible()
        if char != ":":
            raise _MalformedAnswer("it is not valid JSON after a key")
        return key

    def _text(self, echo: list[str] | None = None) -> _Reading:
        """Read a string up to its closing quote into `_string`, and into `echo` as it comes."""
        self._string = []
        high = ""
        while (char := (yield)) != '"':
            if char == "\\":
                char = yield from _escape()
            joined, high = _join_surrogates(high, char)
            if joined:
                self._string.append(joined)
                if echo is not None:
                    echo.append(joined)
        if high:
            self._string.append(_REPLACEMENT)
            if echo is not None:
                echo.append(_REPLACEMENT)

    def _skip_value(self, char: str, depth: int) -> Generator[None, str, str]:
        if depth > MAX_DEPTH:
            raise _MalformedAnswer("it is nested too deeply")
        if char == '"':
            yield from self._text()
        elif char in _LITERALS:
            yield from _literal(char)
        elif char in _NUMBER:
            while char in _NUMBER:
                char = yield
            return char if char not in _SPACE else (yield from _next_visible())
        elif char in "[{":
            yield from self._skip_container(char, depth)
        else:
            raise _MalformedAnswer("it is not valid JSON where a value should be")
        return (yield from _next_visible())

    def _skip_container(self, opening: str, depth: int) -> _Reading:
        closing = "}" if opening == "{" else "]"
        char = yield from _next_visible()
        while char != closing:
            if opening == "{":
                yield from self._key(char)
                char = yield from _next_visible()
            char = yield from self._skip_value(char, depth + 1)
            if char == ",":
                char = yield from _next_visible()
            elif char != closing:
                raise _MalformedAnswer("it is not valid JSON inside a list or object")


def _next_visible(also_skipped: str = "") -> Generator[None, str, str]:
    while True:
        char = yield
        if char not in _SPACE and char not in (also_skipped or _SPACE):
            return char


def _skip_fence() -> Generator[None, str, str]:
    """Skip the rest of an opening code fence and its language word; returns the character after it."""
    for _ in range(2):
        if (yield) != "`":
            raise _MalformedAnswer("it does not begin with a JSON object")
    while (char := (yield)).isalpha():
        pass
    return char if char not in _SPACE else (yield from _next_visible())


def _literal(first: str) -> Generator[None, str, bool | None]:
    word, value = _LITERALS[first]
    for expected in word[1:]:
        if (yield) != expected:
            raise _MalformedAnswer("it holds a word that JSON does not know")
    return value


def _escape() -> Generator[None, str, str]:
    char = yield
    if char != "u":
        if char not in _ESCAPES:
            raise _MalformedAnswer("it holds an escape that JSON does not know")
        return _ESCAPES[char]
    digits = ""
    for _ in range(4):
        digit = yield
        if digit not in "0123456789abcdefABCDEF":
            raise _MalformedAnswer("it holds a broken \\u escape")
        digits += digit
    return chr(int(digits, 16))


def _join_surrogates(high: str, char: str) -> tuple[str, str]:
    """Join a waiting high surrogate with the next character; returns the text that is certain, and what waits."""
    if "\udc00" <= char <= "\udfff":
        if not high:
            return _REPLACEMENT, ""
        return chr(0x10000 + ((ord(high) - 0xD800) << 10) + (ord(char) - 0xDC00)), ""
    lost = _REPLACEMENT if high else ""
    if "\ud800" <= char <= "\udbff":
        return lost, char
    return lost + char, ""
