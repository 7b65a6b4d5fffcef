"""What is asked of the vendor, and what an answer of it says. No I/O.

Messages are the vendor's own (`yandex.cloud.ai.tts.v3`), which are loaded when a voice is opened.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from kamerton.domain.audio import AudioFormat
from kamerton.domain.errors import EngineError
from kamerton.tts.clause_buffer import clauses_of
from kamerton.tts.clauses import split_clauses
from kamerton.tts.voices.spoken_words import Alignment
from kamerton.tts.voices.yandex.engine import YandexVoiceOptions

_MARKUP: Final = re.compile(r"sil<\[[^\]]*\]>|<\[[^\]]*\]>|[+*\[\]<>{}|\\]+")
"""The vendor reads every text as marked up: stress, pauses, emphasis, phonemes (its page on TTS markup)."""
_STRESS: Final = re.compile(r"\+(?=[аеёиоуыэюя])", re.IGNORECASE)
_CONTAINERS: Final = (b"RIFF", b"OggS", b"ID3")
_SLACK_MS: Final = 100.0


@dataclass(frozen=True, slots=True)
class Passage:
    """What one request says."""

    clauses: tuple[str, ...]
    """As they are accounted for; joined by spaces, those of all passages are the text."""

    @property
    def text(self) -> str:
        """As it is sent."""
        return sendable(" ".join(self.clauses))


def sendable(text: str) -> str:
    """A text without markup and control characters; empty when it has nothing to say."""
    visible = "".join(" " if unicodedata.category(char)[0] == "C" else char for char in text)
    plain = " ".join(_MARKUP.sub(" ", _STRESS.sub("", visible)).split())
    return plain if any(char.isalnum() for char in plain) else ""


async def passages_of(
    text: str | AsyncIterable[str], longest: int, *, quick_start: bool
) -> AsyncGenerator[Passage, None]:
    """Cut a text into requests: a whole one into as few as may be, one that is being written clause by clause.

    Args:
        text: whole, or as it comes; iterated once.
        longest: characters of a request.
        quick_start: the first clause of a whole text is a request of its own.

    Raises:
        EngineError: the text's source broke.
    """
    if isinstance(text, str):
        for passage in _packed(split_clauses(text), longest, quick_start):
            yield passage
        return
    async with aclosing(clauses_of(text)) as clauses:
        while (clause := await _next_clause(clauses)) is not None:
            for passage in _packed((clause,), longest, quick_start=False):
                yield passage


async def _next_clause(clauses: AsyncGenerator[str, None]) -> str | None:
    """The border at which any error of a text's source ends its speech."""
    try:
        return await anext(clauses, None)
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(f"the source of a text broke: {error!r}; see the log") from error


def _packed(clauses: tuple[str, ...], longest: int, quick_start: bool) -> Iterator[Passage]:
    """Clauses put together up to the longest request. What says nothing is left out."""
    parts = [part for clause in clauses for part in _parts(clause, longest) if sendable(part)]
    taken: list[str] = []
    size = 0
    for number, part in enumerate(parts):
        if taken and (size + 1 + len(part) > longest or (quick_start and number == 1)):
            yield Passage(tuple(taken))
            taken, size = [], 0
        taken.append(part)
        size += len(part) + (1 if size else 0)
    if taken:
        yield Passage(tuple(taken))


def _parts(clause: str, longest: int) -> Iterator[str]:
    """A clause that is too long for a slow voice, cut at spaces; a longer word is cut where it must be."""
    while len(clause) > longest:
        cut = clause.rfind(" ", 1, longest + 1)
        cut = cut if cut > 0 else longest
        yield clause[:cut].rstrip()
        clause = clause[cut:].lstrip()
    yield clause


def request_of(options: YandexVoiceOptions, text: str, audio_format: AudioFormat) -> Any:
    """A request for a text as raw samples at the rate of the call."""
    from yandex.cloud.ai.tts.v3 import tts_pb2 as tts

    request = tts.UtteranceSynthesisRequest(text=text, model=options.model, unsafe_mode=options.unsafe_mode)
    request.output_audio_spec.raw_audio.audio_encoding = tts.RawAudio.LINEAR16_PCM
    request.output_audio_spec.raw_audio.sample_rate_hertz = audio_format.rate_hz
    loudness = tts.UtteranceSynthesisRequest
    request.loudness_normalization_type = loudness.LUFS if options.loudness == "lufs" else loudness.MAX_PEAK
    # Each hint is a message of its own.
    request.hints.add(voice=options.voice)
    if options.role:
        request.hints.add(role=options.role)
    if options.speed != 1.0:
        request.hints.add(speed=options.speed)
    if options.pitch_hz:
        request.hints.add(pitch_shift=options.pitch_hz)
    if options.volume is not None:
        request.hints.add(volume=options.volume)
    return request


@dataclass(frozen=True, slots=True)
class Answer:
    """One message of the vendor."""

    pcm: bytes
    """Raw as it came: it may be empty, or end in half a sample."""
    alignment: Alignment | None = None
    """When its words are said, from the beginning of this audio."""
    silent: bool = False
    """The vendor found nothing to say in the text."""


def answer_of(message: Any, before_ms: float) -> Answer:
    """Read a message.

    Args:
        message: an `UtteranceSynthesisResponse`.
        before_ms: audio of the request that came before.
    """
    words = [(timing.word, timing.start_ms, timing.length_ms) for timing in message.word_timings if timing.word]
    silent = message.chunk_type == message.NO_SPEAKABLE_TEXT
    if not words:
        return Answer(message.audio_chunk.data, None, silent)
    # Times count from the beginning of the request's audio, but are taken as well if they count from this message's.
    shift_ms = before_ms if min(start for _, start, _ in words) >= before_ms - _SLACK_MS else 0.0
    starts = tuple(start - shift_ms for _, start, _ in words)
    ends = tuple(start - shift_ms + length for _, start, length in words)
    return Answer(message.audio_chunk.data, Alignment(tuple(word for word, _, _ in words), starts, ends), silent)


def is_container(audio: bytes) -> bool:
    """Whether audio begins like a file (WAV, Ogg, MP3) and not with samples."""
    return audio.startswith(_CONTAINERS)
