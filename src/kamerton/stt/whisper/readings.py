"""Choosing between a recogniser's readings of one turn. Pure; every threshold was measured on recordings.

A small recogniser reads one piece of audio twice: once hinted with the answers that the dialogue expects, once
plainly. The hint turns «Сурок» into «Сорок», but it also pulls free speech and noise towards the expected words, so
the two readings are weighed against each other.

The figures come from Whisper base int8 on 30 recordings (8 kHz, human and synthetic) cut as a call cuts them, and on
14 noises (silence, hum, breath, cough, knocks, beeps, reversed speech, «угу»). Scores are average log-probabilities
per token:

===========================  =============  ===============  =============  ================
what was said                plain score    plain no-speech  hinted score   hinted no-speech
===========================  =============  ===============  =============  ================
a number, number hint        -0.5 … -1.6    0.04 … 0.55      -0.05 … -0.4   up to 0.1
«да», number hint            -0.8           0.1              -0.3 … -0.7    0.02
free speech                  -0.1 … -0.5    0.02 … 0.35      -0.1 … -0.6    up to 0.16
noise                        -1.0 … -3.7    0.44 … 0.67      -0.67 … -1.8   0.17 … 0.5
«угу» (no word for Whisper)  -1.8 … -2.9    0.29             -0.7 … -1.1    0.02
===========================  =============  ===============  =============  ================
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

CONFIDENT_HINTED_SCORE: Final = -0.2
"""A hinted reading at least this good needs no second opinion: noise never scored above -0.6."""

HINT_ADVANTAGE: Final = 0.1
"""What a hint adds to the score of any text; the hinted reading must beat the plain one by more to come first."""

NO_SPEECH_PROBABILITY: Final = 0.5
UNSURE_SCORE: Final = -0.7
"""With a no-speech probability above the limit, a plain reading below this score is taken for noise."""

WORDLESS_SCORE: Final = -1.7
"""A plain reading below this is taken for noise whatever its no-speech probability is."""

RESCUING_SCORE: Final = -0.5
RESCUING_NO_SPEECH: Final = 0.15
"""A hinted reading at least this good and below this no-speech probability shows that there were words after all."""

AGREEING_SCORE: Final = -0.8
AGREEING_NO_SPEECH: Final = 0.2
"""A hinted reading at least this good that says the same as the plain one shows words as well: «один» under noise is
read -1.9 plainly and -0.5 with a hint. In 22 noises the readings agreed once, at -1.8 and 0.5."""

SHORT_ANSWERS: Final = ("да", "нет", "один", "два")
"""The hint of one more reading of a short sound in which no words were found. Of «да», «один» and «два» in noise 10 and
5 dB below them, without a hint of the dialogue, 13 of 18 are then read right instead of 4, and none wrong."""

LOOP_REPEATS: Final = 5
"""So many repeats of a phrase in a row are a decoder's loop, never speech («пять пять пять» is a phone number)."""

CUT_LOOP_REPEATS: Final = 3
"""The same for a text that the length limit cut off."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One decoding of a turn's audio."""

    text: str
    score: float
    """Average log-probability per token, at most 0."""
    no_speech: float = 0.0
    """Probability that there was no speech. A hint lowers it, so the limits differ for the two readings."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a turn is taken to say: the most trusted reading, the other ones, and how sure that is (0 … 1)."""

    text: str = ""
    alternatives: tuple[str, ...] = ()
    confidence: float = 0.0


def needs_plain_reading(hinted: Reading) -> bool:
    """Whether a hinted reading is doubtful enough to pay for a second, plain one."""
    return hinted.score < CONFIDENT_HINTED_SCORE or not _letters(hinted.text)


def transcript_of(plain: Reading | None, hinted: Reading | None) -> Transcript:
    """Weigh the readings of one turn.

    Args:
        plain: The reading without a hint; None when the hinted one needed no second opinion.
        hinted: The reading with the hint; None when there was no hint.

    Returns:
        The chosen text and its alternatives, all of them different in more than case and punctuation; an empty
        text when nobody spoke.
    """
    if plain is not None and is_wordless(plain, hinted):
        return Transcript()
    ranked = [reading for reading in (hinted, plain) if reading is not None and _letters(reading.text)]
    if len(ranked) > 1 and ranked[0].score < ranked[1].score + HINT_ADVANTAGE:
        ranked.reverse()
    if not ranked:
        return Transcript()
    alternatives = tuple(other.text for other in ranked[1:] if _letters(other.text) != _letters(ranked[0].text))
    return Transcript(ranked[0].text, alternatives, min(1.0, math.exp(ranked[0].score)))


def is_wordless(plain: Reading, hinted: Reading | None) -> bool:
    """Whether the turn was noise that the recogniser invented a text for."""
    if hinted is not None and hinted.score >= RESCUING_SCORE and hinted.no_speech < RESCUING_NO_SPEECH:
        return False
    if hinted is not None and _agree(plain, hinted):
        return False
    return plain.score < WORDLESS_SCORE or (plain.no_speech > NO_SPEECH_PROBABILITY and plain.score < UNSURE_SCORE)


def _agree(plain: Reading, hinted: Reading) -> bool:
    sure = hinted.score >= AGREEING_SCORE and hinted.no_speech < AGREEING_NO_SPEECH
    return sure and _letters(plain.text) == _letters(hinted.text) != ""


def hint_sentences(phrases: Iterable[str]) -> list[str]:
    """The expected answers as short sentences, each once: «Сто пятьдесят.» works far better than a comma list."""
    sentences = (_sentence(phrase) for phrase in phrases)
    return list(dict.fromkeys(sentence for sentence in sentences if sentence))


def collapse_loops(text: str, *, cut: bool) -> str:
    """Reduce a decoder's loop to its phrase: «один один один один один» becomes «один».

    Args:
        text: The decoded text.
        cut: True when the decoder ran into its length limit: then fewer repeats count as a loop, and a broken-off
            last repeat goes with it.
    """
    words = text.split()
    keys = [_letters(word) for word in words]
    repeats = CUT_LOOP_REPEATS if cut else LOOP_REPEATS
    for start in range(len(words)):
        for size in range(1, (len(words) - start) // repeats + 1):
            end = _loop_end(keys, start, size)
            if end - start < size * repeats:
                continue
            rest = words[end:]
            if cut and _continues(keys[start : start + size], keys[end:]):
                rest = []
            return " ".join(words[: start + size] + rest)
    return text


def _loop_end(keys: Sequence[str], start: int, size: int) -> int:
    """Index after the last whole repeat of the `size` words at `start`."""
    unit = keys[start : start + size]
    end = start + size
    while keys[end : end + size] == unit:
        end += size
    return end


def _continues(unit: Sequence[str], rest: Sequence[str]) -> bool:
    """Whether `rest` is the broken-off beginning of one more `unit`."""
    return len(rest) <= len(unit) and " ".join(unit).startswith(" ".join(rest))


def _letters(text: str) -> str:
    """The text as far as readings are told apart by it."""
    kept = "".join(character if character.isalnum() else " " for character in text.casefold().replace("ё", "е"))
    return " ".join(kept.split())


def _sentence(phrase: str) -> str:
    bare = " ".join(phrase.split()).rstrip(".!?… ")
    return bare[:1].upper() + bare[1:] + "." if bare else ""
