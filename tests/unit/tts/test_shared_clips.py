"""Clips that several processes share: what goes there, what is believed, what is done when it is slow."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from kamerton.audio.tone import tone
from kamerton.audio.wav import write_wav_file
from kamerton.domain.audio import PHONE, WIDEBAND, AudioFormat, Clip, Segment
from kamerton.orchestrator.workers import InlineWorker
from kamerton.testing.virtual_loop import VirtualLoop
from kamerton.tts.tts_manager import TTSManager
from kamerton.tts.voices.standin import IndexedToneTextToSpeech

pytestmark = pytest.mark.anyio

ANSWER = "Нужны паспорт и права. Ещё 2 документа."


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


class Shelf:
    """A shared cache in a dictionary, as slow as the test wants."""

    def __init__(self, *, wait_s: float = 0.0) -> None:
        self.clips: dict[tuple[str, int], Clip] = {}
        self.wait_s = wait_s
        self.saved = 0

    async def load(self, key: str, audio_format: AudioFormat) -> Clip | None:
        await anyio.sleep(self.wait_s)
        return self.clips.get((key, audio_format.rate_hz))

    async def save(self, key: str, clip: Clip) -> None:
        await anyio.sleep(self.wait_s)
        self.saved += 1
        self.clips[key, clip.format.rate_hz] = clip


def manager(shelf: Shelf, folder: Path | None = None) -> TTSManager:
    voice = IndexedToneTextToSpeech(ms_per_character=20)
    return TTSManager([voice], language="ru", worker=InlineWorker(), clip_folder=folder, shared=shelf)


async def prepare(speech: TTSManager, *texts: str, name: str | None = None) -> None:
    names = {texts[0]: name} if name else None
    await speech.prerender(texts, [PHONE, WIDEBAND], lambda done, total: None, names)


async def test_what_one_process_prepares_another_one_has() -> None:
    shelf = Shelf()
    async with manager(shelf) as first:
        await prepare(first, ANSWER)
        clip = first.cached(ANSWER, PHONE)
    assert len(shelf.clips) == 2
    async with manager(shelf) as second:
        assert await second.clip(ANSWER, PHONE) == clip
        await prepare(second, ANSWER)
        assert second.counts == {"shared_hits": 2}
    assert shelf.saved == 2


async def test_an_emptied_cache_is_filled_from_the_folder(tmp_path: Path) -> None:
    async with manager(Shelf(), tmp_path) as first:
        await prepare(first, ANSWER)
    shelf = Shelf()
    async with manager(shelf, tmp_path) as second:
        await prepare(second, ANSWER)
        assert second.counts == {"disk_hits": 2}
    assert len(shelf.clips) == 2


async def test_what_is_said_in_a_call_stays_here_unless_it_is_declared_static() -> None:
    shelf = Shelf()

    async def pieces() -> AsyncIterator[str]:
        yield "Иван Иванович, добрый день."

    async with manager(shelf) as speech:
        await speech.clip("Ваш номер 5.", PHONE)
        assert [chunk.text async for chunk in speech.stream("Ваш адрес.", PHONE)]
        assert [chunk.text async for chunk in speech.speak(pieces(), PHONE)]
        assert shelf.clips == {}
        clip = await speech.clip("Ваш номер 5.", PHONE, static=True)
    (shared,) = shelf.clips.values()
    assert (shared.text, clip.text, shared.pcm) == ("Ваш номер пять.", "Ваш номер 5.", clip.pcm)


async def test_a_clip_may_be_named_and_a_changed_text_is_another_clip() -> None:
    shelf = Shelf()
    async with manager(shelf) as speech:
        await prepare(speech, ANSWER, name="answers:documents")
    before = set(shelf.clips)
    assert {(key.rpartition(":")[0], rate_hz) for key, rate_hz in before} == {
        ("answers:documents", 8000),
        ("answers:documents", 16000),
    }
    async with manager(shelf) as speech:
        await prepare(speech, "Нужен только паспорт.", name="answers:documents")
        assert speech.counts == {"syntheses": 1}
    assert before < set(shelf.clips)
    async with manager(shelf) as speech:
        await prepare(speech, ANSWER, name="answers:documents")
        assert speech.counts == {"shared_hits": 2}


@pytest.mark.parametrize("fault", ["other words", "other rate", "torn", "silent"])
async def test_a_poisoned_entry_is_rendered_again_and_replaced(fault: str) -> None:
    shelf = Shelf()
    async with manager(shelf) as speech:
        answer = await speech.clip(ANSWER, PHONE, static=True)
    ((key, right),) = shelf.clips.items()
    shelf.clips[key] = {
        "other words": replace(right, segments=(Segment("Переведите деньги.", right.samples),)),
        "other rate": replace(right, format=WIDEBAND),
        "torn": replace(right, pcm=right.pcm[:800]),
        "silent": Clip(b"", PHONE, (Segment(right.text, 0),)),
    }[fault]
    async with manager(shelf) as speech:
        assert await speech.clip(ANSWER, PHONE, static=True) == answer
        assert speech.counts == {"syntheses": 1}
    assert shelf.clips == {key: right}


async def test_a_slow_cache_holds_no_text_up() -> None:
    shelf = Shelf(wait_s=60.0)
    async with manager(shelf) as speech:
        began_s = anyio.current_time()
        assert (await speech.clip(ANSWER, PHONE)).segments
        assert anyio.current_time() - began_s == pytest.approx(0.1)
        await prepare(speech, ANSWER)
        assert anyio.current_time() - began_s < 6
    assert shelf.clips == {}


async def test_recordings_are_not_shared(tmp_path: Path) -> None:
    shelf = Shelf()
    write_wav_file(tmp_path / "answer.wav", tone(500, 800, WIDEBAND), WIDEBAND)
    async with manager(shelf) as speech:
        speech.register_recording(ANSWER, tmp_path / "answer.wav")
        await prepare(speech, ANSWER)
        assert speech.cached(ANSWER, PHONE) is not None
    assert shelf.clips == {}
