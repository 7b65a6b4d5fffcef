import logging
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import aclosing
from pathlib import Path

import anyio
import pytest

from kamerton.audio.levels import speech_dbfs
from kamerton.audio.tone import tone, tone_frequency_hz
from kamerton.audio.wav import write_wav_file
from kamerton.domain.audio import PHONE, WIDEBAND, AudioFormat, Clip
from kamerton.domain.errors import ConfigurationError, EngineError
from kamerton.domain.synthesis import SpeechChunk, TextToSpeech, TtsCapabilities
from kamerton.orchestrator.workers import InlineWorker
from kamerton.testing.virtual_loop import VirtualLoop
from kamerton.tts.clauses import split_clauses
from kamerton.tts.tts_manager import SynthesisLimits, TTSManager
from kamerton.tts.voices.standin import IndexedToneTextToSpeech

pytestmark = pytest.mark.anyio

TEXT = "Раз два три. Четыре пять. Шесть."


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


class ClauseVoice:
    """A voice on the virtual clock: a second per clause, faults where the test wants them."""

    def __init__(self, name: str = "clauses", *, fail_at: str = "", broken: bool = False, loud: float = -12.0) -> None:
        self.name = name
        self.capabilities = TtsCapabilities(("ru", "uk"), streams_text=True)
        self.fail_at = fail_at
        self.broken = broken
        self.loud = loud
        self.asked: list[str] = []
        self.speaking = 0
        self.most_at_once = 0
        self.finished = 0
        self.closed = 0

    async def speak(
        self, text: str | AsyncIterable[str], *, language: str, audio_format: AudioFormat
    ) -> AsyncGenerator[SpeechChunk, None]:
        assert isinstance(text, str)
        self.asked.append(text)
        self.speaking += 1
        self.most_at_once = max(self.most_at_once, self.speaking)
        try:
            for clause in split_clauses(text):
                await anyio.sleep(1.0)
                if self.broken:
                    raise ValueError("a bug")
                if self.fail_at and self.fail_at in clause:
                    raise EngineError("out of order")
                yield SpeechChunk(tone(300, 300, audio_format, level_dbfs=self.loud), audio_format, clause)
            self.finished += 1
        finally:
            self.speaking -= 1

    async def aclose(self) -> None:
        self.closed += 1


def manager(*voices: TextToSpeech, folder: Path | None = None, limits: SynthesisLimits | None = None) -> TTSManager:
    return TTSManager(voices, language="ru", worker=InlineWorker(), clip_folder=folder, limits=limits)


def texts(clip: Clip) -> list[str]:
    return [segment.text for segment in clip.segments]


def stored(folder: Path) -> list[Path]:
    return list(folder.rglob("*.clip"))


async def collected(chunks: AsyncGenerator[SpeechChunk, None]) -> list[SpeechChunk]:
    async with aclosing(chunks):
        return [chunk async for chunk in chunks]


async def test_a_text_is_spelled_out_and_synthesised_once() -> None:
    voice = ClauseVoice()
    async with manager(voice) as speech:
        assert speech.cached("Цена 5 ₽.", PHONE) is None
        clip = await speech.clip("Цена 5 ₽.", PHONE)
        assert texts(clip) == ["Цена 5 ₽."]
        assert sum(segment.samples for segment in clip.segments) == clip.samples == 2400
        same = await speech.clip("Цена пять рублей.", PHONE)
        assert (texts(same), same.pcm) == (["Цена пять рублей."], clip.pcm)
        again = speech.cached("Цена  5 руб.", PHONE)
        assert again is not None
        assert (texts(again), again.pcm) == (["Цена 5 руб."], clip.pcm)
        assert speech.cached("Цена 5 ₽.", WIDEBAND) is None
        assert (await speech.clip("Цена 5 ₽.", WIDEBAND)).format == WIDEBAND
    assert voice.asked == ["Цена пять рублей."] * 2
    assert voice.closed == 1
    assert speech.counts == {"memory_hits": 2, "syntheses": 2}


async def test_a_stream_gives_each_clause_when_it_is_there_and_fills_the_memory() -> None:
    async with manager(ClauseVoice()) as speech:
        start = anyio.current_time()
        async with aclosing(speech.stream(TEXT, PHONE)) as chunks:
            came = [(chunk.text, anyio.current_time() - start) async for chunk in chunks]
        assert came == [("Раз два три.", 1.0), ("Четыре пять.", 2.0), ("Шесть.", 3.0)]
        clip = speech.cached(TEXT, PHONE)
        assert clip is not None
        again = await collected(speech.stream(TEXT, PHONE))
        assert anyio.current_time() - start == 3.0
        assert [chunk.text for chunk in again] == texts(clip)
        assert b"".join(chunk.pcm for chunk in again) == clip.pcm


async def test_a_text_that_says_nothing_is_silence_without_a_voice() -> None:
    voice = ClauseVoice()
    async with manager(voice) as speech:
        assert await speech.clip("…", PHONE) == Clip(b"", PHONE, ())
        assert await collected(speech.stream(" 🙂 ", PHONE)) == []
    assert voice.asked == []


@pytest.mark.parametrize("loud", [-35.0, -20.0, -6.0])
async def test_every_voice_is_equally_loud(loud: float) -> None:
    async with manager(ClauseVoice(loud=loud)) as speech:
        assert speech_dbfs((await speech.clip("Раз.", PHONE)).pcm, PHONE) == pytest.approx(-20, abs=0.5)


async def test_equal_requests_share_a_synthesis_and_late_ones_get_it_whole() -> None:
    voice = ClauseVoice()
    got: list[list[str]] = []

    async def ask(after_s: float) -> None:
        await anyio.sleep(after_s)
        got.append([chunk.text for chunk in await collected(speech.stream(TEXT, PHONE))])

    async with manager(voice) as speech, anyio.create_task_group() as group:
        for after_s in (0.0, 0.0, 1.5, 2.5):
            group.start_soon(ask, after_s)
    assert got == [["Раз два три.", "Четыре пять.", "Шесть."]] * 4
    assert len(voice.asked) == 1


async def test_a_cancelled_request_takes_nothing_from_the_others() -> None:
    voice = ClauseVoice()
    got: list[Clip] = []
    async with manager(voice) as speech:

        async def impatient() -> None:
            with anyio.move_on_after(1.5):
                await speech.clip(TEXT, PHONE)

        async def patient() -> None:
            got.append(await speech.clip(TEXT, PHONE))

        async with anyio.create_task_group() as group:
            group.start_soon(impatient)
            group.start_soon(patient)
        assert texts(got[0]) == ["Раз два три.", "Четыре пять.", "Шесть."]
    assert len(voice.asked) == voice.finished == 1


async def test_what_nobody_waits_for_any_more_stops_and_may_be_asked_again() -> None:
    voice = ClauseVoice()
    async with manager(voice) as speech:
        with anyio.move_on_after(1.5):
            await speech.clip(TEXT, PHONE)
        clip = await speech.clip(TEXT, PHONE)
        assert len(clip.segments) == 3
        assert voice.speaking == 0
    assert (len(voice.asked), voice.finished) == (2, 1)


async def test_no_more_syntheses_at_once_than_allowed() -> None:
    voice = ClauseVoice()
    async with manager(voice, limits=SynthesisLimits(concurrent=2)) as speech, anyio.create_task_group() as group:
        for word in ("Раз.", "Два.", "Три.", "Четыре.", "Пять."):
            group.start_soon(speech.clip, word, PHONE)
    assert voice.most_at_once == 2
    assert voice.finished == 5


async def test_a_deadline_ends_a_synthesis_with_an_error() -> None:
    voice = ClauseVoice()
    async with manager(voice, limits=SynthesisLimits(deadline_s=2.5)) as speech:
        with pytest.raises(EngineError, match=r"2\.5 s"):
            await speech.clip(TEXT, PHONE)
        assert voice.speaking == 0
        assert speech.cached(TEXT, PHONE) is None
        assert speech.counts["failures"] == 1


async def test_the_next_voice_goes_on_where_the_first_one_failed(caplog: pytest.LogCaptureFixture) -> None:
    first, second = ClauseVoice("first", fail_at="Четыре"), ClauseVoice("second")
    async with manager(first, second) as speech:
        with caplog.at_level(logging.WARNING):
            clip = await speech.clip(TEXT, PHONE)
        assert texts(clip) == ["Раз два три.", "Четыре пять.", "Шесть."]
        assert second.asked == ["Четыре пять. Шесть."]
        assert speech.cached(TEXT, PHONE) is None
        assert speech.counts["failures:first"] == 1
    assert "out of order" in str(caplog.records[0].__dict__["reason"])
    assert first.closed == second.closed == 1


async def test_a_voice_that_failed_rests_and_then_gets_another_chance() -> None:
    first, second = ClauseVoice("first", fail_at="Раз"), ClauseVoice("second")
    async with manager(first, second) as speech:
        made = await speech.clip("Раз.", PHONE)
        assert speech.cached("Раз.", PHONE) is made
        await speech.clip("Два.", PHONE)
        assert first.asked == ["Раз."]
        await anyio.sleep(31)
        first.fail_at = ""
        assert speech.cached("Раз.", PHONE) is None
        await speech.clip("Два.", PHONE)
        assert first.asked == ["Раз.", "Два."]


async def test_what_a_voice_said_before_it_failed_stays_at_hand_while_it_rests() -> None:
    first, second = ClauseVoice("first"), ClauseVoice("second")
    async with manager(first, second) as speech:
        made = await speech.clip("Раз.", PHONE)
        first.fail_at = "Два"
        other = await speech.clip("Два.", PHONE)
        assert speech.cached("Раз.", PHONE) is made
        assert await speech.clip("Раз.", PHONE) is made
        assert second.asked == ["Два."]
        await anyio.sleep(31)
        assert speech.cached("Раз.", PHONE) is made
        assert speech.cached("Два.", PHONE) is not other


async def test_when_every_voice_fails_all_reasons_are_told() -> None:
    voices = ClauseVoice("first", fail_at="Раз"), ClauseVoice("second", fail_at="Раз")
    async with manager(*voices) as speech:
        with pytest.raises(EngineError, match=r"first: out of order.*second: out of order"):
            await speech.clip("Раз.", PHONE)
        for voice in voices:
            voice.fail_at = ""
        assert texts(await speech.clip("Раз.", PHONE)) == ["Раз."]


async def test_a_bug_in_a_voice_ends_that_speech_only() -> None:
    voice = ClauseVoice(broken=True)
    async with manager(voice) as speech:
        with pytest.raises(EngineError, match="a bug"):
            await speech.clip("Раз.", PHONE)
        voice.broken = False
        assert texts(await speech.clip("Раз.", PHONE)) == ["Раз."]


async def test_leaving_ends_what_is_under_way() -> None:
    voice = ClauseVoice()
    errors: list[EngineError] = []

    async def ask(speech: TTSManager) -> None:
        try:
            await speech.clip(TEXT, PHONE)
        except EngineError as error:
            errors.append(error)

    async with anyio.create_task_group() as group, manager(voice) as speech:
        group.start_soon(ask, speech)
        await anyio.sleep(1.5)
    assert len(errors) == 1
    assert voice.speaking == 0
    with pytest.raises(EngineError, match="not started"):
        await speech.clip(TEXT, PHONE)


async def test_prerendered_phrases_are_ready_and_survive_a_restart(tmp_path: Path) -> None:
    voice, steps = ClauseVoice(), list[tuple[int, int]]()
    phrases = ["Раз.", "Два.", "Раз.", "…"]

    async def prepare(voices: Sequence[TextToSpeech]) -> list[Clip | None]:
        async with manager(*voices, folder=tmp_path) as speech:
            await speech.prerender(phrases, [PHONE, WIDEBAND], lambda done, total: steps.append((done, total)))
            return [speech.cached(text, rate) for text in ("Раз.", "Два.") for rate in (PHONE, WIDEBAND)]

    first = await prepare([voice])
    assert sorted(voice.asked) == ["Два.", "Раз."]
    assert all(first)
    assert steps[0] == (0, 4)
    assert steps[-1] == (4, 4)
    assert [clip.format for clip in first if clip] == [PHONE, WIDEBAND, PHONE, WIDEBAND]
    second = ClauseVoice()
    assert await prepare([second]) == first
    assert second.asked == []
    assert len(stored(tmp_path)) == 4


async def test_what_is_said_in_a_call_is_not_written_down(tmp_path: Path) -> None:
    async with manager(ClauseVoice(), folder=tmp_path) as speech:
        await speech.clip("Ваш номер 5.", PHONE)
        await collected(speech.stream("Иван Иванович.", PHONE))
    assert stored(tmp_path) == []


async def test_a_phrase_that_cannot_be_rendered_stops_the_preparation() -> None:
    async with manager(ClauseVoice(fail_at="Два")) as speech:
        with pytest.raises(EngineError, match="out of order"):
            await speech.prerender(["Раз.", "Два.", "Три."], [PHONE], lambda done, total: None)


async def test_a_recording_replaces_its_phrase_at_every_rate(tmp_path: Path) -> None:
    voice = ClauseVoice()
    wav = tmp_path / "hello.wav"
    rate = AudioFormat(44100)
    write_wav_file(wav, tone(700, 900, rate), rate)
    async with manager(voice, folder=tmp_path / "clips") as speech:
        speech.register_recording("Добрый день! Слушаю.", wav)
        assert speech.cached("Добрый день! Слушаю.", PHONE) is None
        await speech.prerender(["Добрый день! Слушаю."], [PHONE, WIDEBAND], lambda done, total: None)
        for audio_format in (PHONE, WIDEBAND):
            clip = speech.cached("Добрый день! Слушаю.", audio_format)
            assert clip is not None
            assert tone_frequency_hz(clip.pcm, audio_format) == pytest.approx(700, abs=5)
            assert texts(clip) == ["Добрый день!", "Слушаю."]
    assert voice.asked == []
    assert stored(tmp_path) == []


async def test_a_bad_recording_is_refused_by_name(tmp_path: Path) -> None:
    wav = tmp_path / "broken.wav"
    wav.write_bytes(b"noise")
    async with manager(ClauseVoice()) as speech:
        with pytest.raises(ConfigurationError, match=r"broken\.wav"):
            speech.register_recording("Раз.", wav)
        with pytest.raises(ConfigurationError, match="empty"):
            speech.register_recording("…", wav)


async def test_indexed_tones_tell_which_clause_is_which() -> None:
    voice = IndexedToneTextToSpeech(ms_per_character=40)
    async with manager(voice) as speech:
        chunks = await collected(speech.stream(TEXT, PHONE))
    heard = [tone_frequency_hz(chunk.pcm, PHONE) for chunk in chunks]
    assert heard == pytest.approx([300, 350, 400], abs=6)


def test_an_assistant_without_a_voice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least one voice"):
        manager()
