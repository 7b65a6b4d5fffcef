"""The stand-in voice that takes its time, on the virtual clock."""

from contextlib import aclosing

import anyio
import pytest

from kamerton.domain.audio import PHONE, SAMPLE_BYTES
from kamerton.testing.tts_conformance import TextToSpeechConformance
from kamerton.testing.virtual_loop import VirtualLoop
from kamerton.tts.voices.standin import PacedToneTextToSpeech


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


class TestPacedTones(TextToSpeechConformance):
    def make_voice(self) -> PacedToneTextToSpeech:
        return PacedToneTextToSpeech(ms_per_character=50.0)


@pytest.mark.anyio
async def test_each_clause_waits_and_is_as_long_as_when_it_is_read() -> None:
    voice = PacedToneTextToSpeech(first_audio_ms=150.0, ms_per_character=60.0)
    came = []
    async with aclosing(voice.speak("Добрый день! Да.", language="ru", audio_format=PHONE)) as chunks:
        async for chunk in chunks:
            length_ms = PHONE.duration_ms(len(chunk.pcm) // SAMPLE_BYTES)
            came += [(chunk.text, round(anyio.current_time(), 6), length_ms)]
    assert came == [("Добрый день!", 0.15, 720.0), ("Да.", 0.3, 180.0)]
