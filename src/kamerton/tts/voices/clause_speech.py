"""What every clause-by-clause engine does alike: cut the text, pause between clauses, trim and resample the audio."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from contextlib import aclosing
from typing import Final

from kamerton.audio.levels import trim_silence
from kamerton.audio.resampling import resample
from kamerton.domain.audio import SAMPLE_BYTES, AudioFormat
from kamerton.domain.synthesis import SpeechChunk
from kamerton.tts.clause_buffer import clauses_of
from kamerton.tts.clauses import pause_after_ms

_SILENCE_BELOW_DBFS: Final = -55.0
_KEEP_HEAD_MS: Final = 20.0
_KEEP_TAIL_MS: Final = 60.0


def finished_clause(pcm: bytes, source: AudioFormat, target: AudioFormat) -> bytes:
    """An engine's audio of a clause without the silence around it, at the rate that is asked for."""
    speech = trim_silence(
        pcm,
        source,
        threshold_dbfs=_SILENCE_BELOW_DBFS,
        keep_head_ms=_KEEP_HEAD_MS,
        keep_tail_ms=_KEEP_TAIL_MS,
    )
    return resample(speech, source, target)


async def speak_clauses(
    text: str | AsyncIterable[str], audio_format: AudioFormat, render: Callable[[str], Awaitable[bytes]]
) -> AsyncGenerator[SpeechChunk, None]:
    """Yield a chunk for each clause as `render` delivers it; clauses without sound are passed over.

    The pause that belongs after a clause opens the next one, so that neither the first audio nor the end of the last
    waits for anything. Closing the generator cancels the render that is under way.
    """
    pause = b""
    async with aclosing(clauses_of(text)) as clauses:
        async for clause in clauses:
            pcm = await render(clause)
            if not pcm:
                continue
            yield SpeechChunk(pause + pcm, audio_format, clause)
            pause = bytes(audio_format.samples(pause_after_ms(clause)) * SAMPLE_BYTES)
