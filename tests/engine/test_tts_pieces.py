"""A text spoken while it is written, by the engines of this machine."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio
import pytest
from machine_voices import machine_voices

from kamerton.audio.levels import speech_dbfs
from kamerton.domain.audio import PHONE, SAMPLE_BYTES
from kamerton.domain.synthesis import SpeechChunk
from kamerton.orchestrator.workers import ThreadWorker
from kamerton.testing.tts_conformance import nothing_left_over
from kamerton.tts.tts_manager import TTSManager

pytestmark = [pytest.mark.engine, pytest.mark.anyio]

BEGUN = "Да, конечно, полис можно оформить за 10 минут. И "
REST = "ещё одно: понадобятся паспорт, права и свидетельство о регистрации. Приезжайте!"


class HeldWriter:
    """Writes the beginning of an answer, and the rest when it is told to."""

    def __init__(self) -> None:
        self.go_on = anyio.Event()
        self.closed = False

    async def write(self) -> AsyncGenerator[str, None]:
        try:
            for at in range(0, len(BEGUN), 5):
                yield BEGUN[at : at + 5]
            await self.go_on.wait()
            for at in range(0, len(REST), 5):
                yield REST[at : at + 5]
        finally:
            self.closed = True


async def test_the_beginning_is_heard_before_the_rest_is_written() -> None:
    voices = await machine_voices("ru")
    writer, chunks = HeldWriter(), list[SpeechChunk]()
    with nothing_left_over(), ThreadWorker(2, "test") as worker:
        async with (
            TTSManager(voices, language="ru", worker=worker) as speech,
            aclosing(speech.speak(writer.write(), PHONE)) as speaking,
        ):
            async for chunk in speaking:
                if not chunks:
                    assert not writer.go_on.is_set()
                    writer.go_on.set()
                chunks.append(chunk)
    assert writer.closed
    assert chunks[0].text == "Да, конечно,"
    assert " ".join(chunk.text for chunk in chunks if chunk.text) == BEGUN + REST
    assert all(-24 < speech_dbfs(chunk.pcm, PHONE) < -16 for chunk in chunks if chunk.text)
    length_ms = PHONE.duration_ms(sum(len(chunk.pcm) for chunk in chunks) // SAMPLE_BYTES)
    assert 30 * len(BEGUN + REST) < length_ms < 150 * len(BEGUN + REST)


async def test_a_voice_that_was_interrupted_speaks_the_next_text() -> None:
    voices = await machine_voices("ru")
    writer = HeldWriter()
    with nothing_left_over(), ThreadWorker(2, "test") as worker:
        async with TTSManager(voices, language="ru", worker=worker) as speech:
            async with aclosing(speech.speak(writer.write(), PHONE)) as speaking:
                await anext(speaking)
            clip = await speech.clip("Слушаю вас.", PHONE)
        assert writer.closed
    assert clip.text == "Слушаю вас."
