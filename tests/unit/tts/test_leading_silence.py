"""No prompt begins with silence, wherever its audio comes from."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from pathlib import Path

import pytest

from kamerton.audio.onset import audible_from
from kamerton.audio.tone import tone
from kamerton.audio.wav import write_wav_file
from kamerton.domain.audio import PHONE, SAMPLE_BYTES, AudioFormat, Clip
from kamerton.domain.synthesis import SpeechChunk, TtsCapabilities
from kamerton.orchestrator.workers import InlineWorker
from kamerton.testing.virtual_loop import VirtualLoop
from kamerton.tts.clips.making import ChunkFinisher
from kamerton.tts.tts_manager import TTSManager

pytestmark = pytest.mark.anyio

TEXT = "Добрый день. Чем могу помочь?"


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


def silence(duration_ms: float, audio_format: AudioFormat = PHONE) -> bytes:
    return bytes(audio_format.samples(duration_ms) * SAMPLE_BYTES)


class LateVoice:
    """Begins each clause with silence, in pieces of which the first hold nothing else."""

    name = "late"
    capabilities = TtsCapabilities(("ru",), streams_text=False)

    def __init__(self, lead_ms: float = 160.0) -> None:
        self.lead_ms = lead_ms

    async def speak(
        self, text: str | AsyncIterable[str], *, language: str, audio_format: AudioFormat
    ) -> AsyncGenerator[SpeechChunk, None]:
        assert isinstance(text, str)
        for clause in ("Добрый день.", "Чем могу помочь?"):
            yield SpeechChunk(silence(100, audio_format), audio_format, clause)
            yield SpeechChunk(silence(40, audio_format), audio_format)
            lead = silence(self.lead_ms, audio_format)
            yield SpeechChunk(lead + tone(300, 400, audio_format), audio_format)

    async def aclose(self) -> None:
        """Nothing to free."""


def lead_ms(pcm: bytes) -> float:
    start = audible_from(pcm, PHONE)
    assert start is not None
    return PHONE.duration_ms(start)


def stored_clips(folder: Path) -> list[Path]:
    return list(folder.rglob("*.clip"))


def manager(folder: Path | None = None) -> TTSManager:
    return TTSManager([LateVoice()], language="ru", worker=InlineWorker(), clip_folder=folder)


async def test_a_clip_begins_with_its_first_sound_and_keeps_its_pauses() -> None:
    async with manager() as speech:
        clip = await speech.clip(TEXT, PHONE)
    assert lead_ms(clip.pcm) <= 10
    assert [segment.text for segment in clip.segments] == ["Добрый день.", "Чем могу помочь?"]
    assert sum(segment.samples for segment in clip.segments) == clip.samples
    second = clip.pcm[clip.segments[0].samples * SAMPLE_BYTES :]
    assert lead_ms(second) == pytest.approx(300, abs=2), "a pause inside is the voice's own"


async def test_a_stream_begins_with_its_first_sound() -> None:
    async with manager() as speech, aclosing(speech.stream(TEXT, PHONE)) as chunks:
        first = await anext(chunks)
        assert (first.text, lead_ms(first.pcm) <= 10) == ("Добрый день.", True)
        rest = [chunk.text async for chunk in chunks if chunk.text]
    assert rest == ["Чем могу помочь?"]


async def test_a_recording_begins_with_its_first_sound(tmp_path: Path) -> None:
    wide = AudioFormat(22050)
    write_wav_file(tmp_path / "hello.wav", silence(500, wide) + tone(300, 400, wide), wide)
    async with manager() as speech:
        speech.register_recording(TEXT, tmp_path / "hello.wav")
        clip = await speech.clip(TEXT, PHONE)
    assert lead_ms(clip.pcm) <= 10


async def test_a_clip_that_was_stored_by_another_rule_is_made_anew(tmp_path: Path) -> None:
    async with manager(tmp_path) as speech:
        await speech.prerender([TEXT], [PHONE], lambda done, total: None)
    (stored,) = stored_clips(tmp_path)
    header, _, pcm = stored.read_bytes().partition(b"\n")
    stored.write_bytes(header.replace(b'"version": 3', b'"version": 1') + b"\n" + pcm)
    async with manager(tmp_path) as speech:
        clip = await speech.clip(TEXT, PHONE)
        assert speech.counts["syntheses"] == 1
    assert isinstance(clip, Clip)


def test_a_speech_in_which_nothing_is_heard_stays_as_it_is() -> None:
    finisher = ChunkFinisher()
    chunks = [SpeechChunk(silence(20), PHONE, "Раз."), SpeechChunk(silence(40), PHONE, "Два.")]
    given = [each for chunk in chunks for each in finisher.finished(chunk)] + finisher.rest()
    assert given == chunks
