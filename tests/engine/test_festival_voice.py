import shutil
from pathlib import Path

import anyio
import psutil
import pytest

from kamerton.domain.audio import PHONE
from kamerton.domain.errors import EngineError, ModelError
from kamerton.testing.tts_conformance import TextToSpeechConformance, duration_ms, heard, nothing_left_over
from kamerton.tts.voices.festival.voice import FestivalTextToSpeech, why_unavailable

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(why_unavailable() is not None, reason=f"Festival: {why_unavailable()}"),
]


class TestFestival(TextToSpeechConformance):
    def make_voice(self) -> FestivalTextToSpeech:
        return FestivalTextToSpeech(clause_deadline_s=30.0)


def festival_children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if "festival" in " ".join(child.cmdline())]


@pytest.mark.anyio
async def test_a_killed_process_is_replaced_without_losing_the_sentence() -> None:
    with nothing_left_over():
        voice = FestivalTextToSpeech(processes=1, clause_deadline_s=30.0)
        before = await heard(voice.speak("Добрый день.", language="ru", audio_format=PHONE))
        for child in festival_children():
            child.kill()
            child.wait(5)
        after = await heard(voice.speak("Добрый день.", language="ru", audio_format=PHONE))
        assert duration_ms(after) == duration_ms(before)
        assert voice.processes_started == 2
        await voice.aclose()


@pytest.mark.anyio
async def test_processes_stay_warm_and_within_the_pool() -> None:
    with nothing_left_over():
        voice = FestivalTextToSpeech(processes=2, clause_deadline_s=30.0)
        async with anyio.create_task_group() as group:
            for text in ("Раз.", "Два.", "Три.", "Четыре.", "Пять."):
                group.start_soon(heard, voice.speak(text, language="ru", audio_format=PHONE))
        assert 1 <= voice.processes_started <= 2
        assert len(festival_children()) == voice.processes_started
        await voice.aclose()


@pytest.mark.anyio
async def test_an_interruption_costs_no_restart() -> None:
    with nothing_left_over():
        voice = FestivalTextToSpeech(processes=1, clause_deadline_s=30.0)
        await heard(voice.speak("Добрый день.", language="ru", audio_format=PHONE))
        with anyio.move_on_after(0.01):
            await heard(voice.speak("Это длинное предложение никто не дослушает.", language="ru", audio_format=PHONE))
        after = await heard(voice.speak("Да.", language="ru", audio_format=PHONE))
        assert duration_ms(after) < 1500
        assert voice.processes_started == 1
        await voice.aclose()


@pytest.mark.anyio
async def test_closing_ends_a_speech_under_way() -> None:
    with nothing_left_over():
        voice = FestivalTextToSpeech(processes=1, clause_deadline_s=30.0)
        refused: list[EngineError] = []

        async def speak() -> None:
            try:
                await heard(voice.speak("Слово за слово. " * 50, language="ru", audio_format=PHONE))
            except EngineError as error:
                refused.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(speak)
            await heard(voice.speak("Да.", language="ru", audio_format=PHONE))
            await voice.aclose()
        assert len(refused) == 1


@pytest.mark.anyio
async def test_a_missing_voice_says_what_to_install() -> None:
    with nothing_left_over():
        voice = FestivalTextToSpeech(voice="voice_of_nobody", clause_deadline_s=30.0)
        with pytest.raises(ModelError, match="apt-get install festvox-ru"):
            await heard(voice.speak("Да.", language="ru", audio_format=PHONE))
        await voice.aclose()


def test_a_missing_program_or_voice_folder_is_explained() -> None:
    assert "apt-get install" in str(why_unavailable(program="no-such-festival"))
    assert "voice is not installed" in str(why_unavailable(voice_folder=Path("no-such-folder")))
    with pytest.raises(ModelError, match="apt-get install"):
        FestivalTextToSpeech(program="no-such-festival")


@pytest.mark.anyio
async def test_a_lost_folder_for_its_files_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with nothing_left_over():
        voice = FestivalTextToSpeech(processes=1, clause_deadline_s=30.0)
        before = await heard(voice.speak("Добрый день.", language="ru", audio_format=PHONE))
        (folder,) = folders(tmp_path)
        shutil.rmtree(folder)
        after = await heard(voice.speak("Добрый день.", language="ru", audio_format=PHONE))
        assert duration_ms(after) == duration_ms(before)
        assert voice.processes_started == 1
        await voice.aclose()
    assert folders(tmp_path) == []


@pytest.mark.anyio
async def test_what_was_said_does_not_stay_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    voice = FestivalTextToSpeech(processes=1, clause_deadline_s=30.0)
    await heard(voice.speak("Ваш номер восемь.", language="ru", audio_format=PHONE))
    assert [path.name for folder in folders(tmp_path) for path in folder.iterdir()] == []
    await voice.aclose()


def folders(parent: Path) -> list[Path]:
    return list(parent.iterdir())
