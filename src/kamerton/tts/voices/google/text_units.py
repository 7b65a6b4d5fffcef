"""A text cut into what one request says: sentences of bounded size."""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing

from kamerton.tts.clause_buffer import clauses_of
from kamerton.tts.sentence_ends import ends_sentence


async def units_of(text: str | AsyncIterable[str], *, sentences: bool, max_bytes: int) -> AsyncGenerator[str, None]:
    """Yield what is to be said in one request each, in order; joined with spaces they are the text.

    Of a text that is being written the first clause goes alone, so that speech can start. Clauses are some 180
    characters at most, so that a sentence that is too long is cut between two of them.

    Args:
        text: whole, or as it comes.
        sentences: False: each clause by itself.
        max_bytes: of a unit that is more than one clause.
    """
    alone = not isinstance(text, str)
    unit = ""
    async with aclosing(clauses_of(text)) as clauses:
        async for clause in clauses:
            joined = f"{unit} {clause}" if unit else clause
            if unit and size_of(joined) > max_bytes:
                yield unit
                joined = clause
            unit = joined
            if alone or not sentences or ends_sentence(unit, ""):
                yield unit
                alone, unit = alone and not says_something(unit), ""
    if unit:
        yield unit


def size_of(text: str) -> int:
    """Bytes of a text as it is sent."""
    return len(text.encode("utf-8", "ignore"))


def says_something(text: str) -> bool:
    """Whether a text has anything to say."""
    return any(character.isalnum() for character in text)


def sendable(text: str) -> str:
    """The text without what is no text: control characters, halves of characters, what stands for none."""
    return " ".join("".join(" " if unicodedata.category(one) in ("Cc", "Cs", "Cn") else one for one in text).split())
