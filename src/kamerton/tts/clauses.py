"""Text cut into clauses: the unit in which speech is synthesised, accounted as heard, and resumed.

A clause ends with its sentence; a long sentence is also cut at semicolons, dashes, colons and commas, so that the first
audio does not wait for all of it. Joining the clauses with single spaces gives the text back.
"""

from __future__ import annotations

import re
from typing import Final

from kamerton.tts.sentence_ends import ends_sentence

MAX_CHARS: Final = 180
"""A clause is cut at a space at the latest here: some 12 s of speech, 0.3 s of Festival's time."""
COMFORTABLE_CHARS: Final = 70
"""A sentence up to this length stays whole: some 5 s of speech."""
MIN_CHARS: Final = 18
"""No cut inside a sentence leaves less than this: shorter pieces lose their intonation."""

_SENTENCE_END: Final = re.compile(r"[.!?…]+[»\"”')\]]*(?=\s|$)|\n+")
_INNER_BREAK: Final = re.compile(r"(?<=[,;:])[»\"”)]*\s|\s(?=[—–-]\s)")
_CLOSERS: Final = {"«": "»", "(": ")", "“": "”"}


def split_clauses(text: str) -> tuple[str, ...]:
    """Cut a whole text into clauses, in order; nothing but white space gives none."""
    clauses: list[str] = []
    for sentence in _sentences(text):
        clauses += _split_sentence(sentence)
    return tuple(clauses)


def pause_after_ms(clause: str) -> float:
    """The silence that a reader leaves after a clause, before the next one."""
    last = clause.rstrip("»\"”')] ")[-1:]
    if last in (".", "!", "?", "…"):
        return 260.0
    return 140.0 if last in (",", ";", ":") else 90.0


def _sentences(text: str) -> list[str]:
    sentences: list[str] = []
    start = 0
    for match in _SENTENCE_END.finditer(text):
        if "\n" not in match[0] and not ends_sentence(text[: match.end()], text[match.end() :].lstrip()[:1]):
            continue
        sentences.append(" ".join(text[start : match.end()].split()))
        start = match.end()
    sentences.append(" ".join(text[start:].split()))
    return [sentence for sentence in sentences if sentence]


def _split_sentence(sentence: str) -> list[str]:
    if len(sentence) <= COMFORTABLE_CHARS:
        return [sentence]
    pieces: list[str] = []
    start = 0
    for cut in _inner_cuts(sentence):
        if cut - start >= MIN_CHARS and len(sentence) - cut >= MIN_CHARS:
            pieces.append(sentence[start:cut].strip())
            start = cut
    pieces.append(sentence[start:].strip())
    return [part for piece in _joined(pieces) for part in _hard_cut(piece)]


def _inner_cuts(sentence: str) -> list[int]:
    """Places where a long sentence may be cut: after , ; : and before a dash, never inside quotes or brackets."""
    cuts = []
    closers: list[str] = []
    position = 0
    for match in _INNER_BREAK.finditer(sentence):
        for character in sentence[position : match.end()]:
            if closers and character == closers[-1]:
                closers.pop()
            elif character in _CLOSERS:
                closers.append(_CLOSERS[character])
        position = match.end()
        if not closers:
            cuts.append(match.end())
    return cuts


def _joined(pieces: list[str]) -> list[str]:
    """Neighbours put together again while they stay comfortable; the first stays short for the sake of latency."""
    joined = [pieces[0]]
    for piece in pieces[1:]:
        if len(joined) > 1 and len(joined[-1]) + 1 + len(piece) <= COMFORTABLE_CHARS:
            joined[-1] = f"{joined[-1]} {piece}"
        else:
            joined.append(piece)
    return joined


def _hard_cut(piece: str) -> list[str]:
    parts = []
    while len(piece) > MAX_CHARS:
        cut = piece.rfind(" ", MIN_CHARS, MAX_CHARS)
        cut = cut if cut > 0 else MAX_CHARS
        parts.append(piece[:cut].rstrip())
        piece = piece[cut:].lstrip()
    return [*parts, piece]
