"""Festival's protocol under faults: a scripted interpreter stands where the real one would."""

import sys
from contextlib import aclosing
from pathlib import Path

import pytest

from kamerton.domain.audio import PHONE
from kamerton.domain.errors import EngineError, ModelError
from kamerton.testing.tts_conformance import duration_ms, heard, nothing_left_over
from kamerton.tts.voices.festival.voice import FestivalTextToSpeech

pytestmark = [pytest.mark.engine, pytest.mark.anyio]

INTERPRETER = """#!{python}
import os, re, shutil, sys, time, wave
MARK = os.path.join(os.path.dirname(sys.argv[0]), "lost-once")
for line in sys.stdin:
    if "зависни" in line:
        time.sleep(60)
    elif "умри" in line:
        sys.exit(3)
    elif "мусор" in line:
        print("x" * 200000, flush=True)
    elif "ошибка" in line:
        continue
    path = re.search(r'"([^"]+[.]wav)"', line)
    if "пропади" in line.lower() and not os.path.exists(MARK):
        open(MARK, "w").close()
        shutil.rmtree(os.path.dirname(path[1]))
        continue
    if path:
        with wave.open(path[1], "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            loud = b"\\x00\\x20\\x00\\xe0" * 4000
            file.writeframes(b"junk" if "кусок" in line else loud)
        if "кусок" in line:
            open(path[1], "wb").write(b"RIFF" + bytes(100))
    for number in re.findall(r"((?:spoken|over) \\d+)", line):
        print(number, flush=True)
"""


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "festival"
    path.write_text(INTERPRETER.replace("{python}", sys.executable), "utf-8")
    path.chmod(0o755)
    return str(path)


def left_in(folder: Path) -> list[Path]:
    return list(folder.glob("kamerton-festival-*"))


@pytest.mark.parametrize("deadly", ["зависни", "умри", "мусор", "ошибка", "кусок"])
async def test_a_clause_that_breaks_it_fails_alone_after_a_retry(program: str, deadly: str) -> None:
    with nothing_left_over():
        voice = FestivalTextToSpeech(program=program, processes=1, clause_deadline_s=3.0)
        with pytest.raises(EngineError):
            await heard(voice.speak(f"Слово {deadly}.", language="ru", audio_format=PHONE))
        assert voice.processes_started == 2
        chunks = await heard(voice.speak("Дальше.", language="ru", audio_format=PHONE))
        assert 400 < duration_ms(chunks) < 600
        assert voice.processes_started == 3
        await voice.aclose()


async def test_a_folder_lost_in_mid_clause_costs_a_retry_and_no_words(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with nothing_left_over():
        voice = FestivalTextToSpeech(program=program, processes=1, clause_deadline_s=6.0)
        chunks = await heard(voice.speak("Раз. Пропади один раз.", language="ru", audio_format=PHONE))
        assert [chunk.text for chunk in chunks] == ["Раз.", "Пропади один раз."]
        assert voice.processes_started == 2
        await voice.aclose()
    assert left_in(tmp_path) == []


async def test_what_was_said_before_the_fault_stays_said(program: str) -> None:
    voice = FestivalTextToSpeech(program=program, processes=1, clause_deadline_s=3.0)
    async with aclosing(voice.speak("Раз. Умри. Три.", language="ru", audio_format=PHONE)) as chunks:
        assert (await anext(chunks)).text == "Раз."
        with pytest.raises(EngineError, match="Festival"):
            await anext(chunks)
    await voice.aclose()


async def test_a_program_that_ends_at_once_is_a_missing_voice(tmp_path: Path) -> None:
    program = tmp_path / "festival"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    with nothing_left_over():
        voice = FestivalTextToSpeech(program=str(program))
        with pytest.raises(ModelError, match="festvox-ru"):
            await heard(voice.speak("Раз.", language="ru", audio_format=PHONE))
        await voice.aclose()


async def test_a_closed_voice_refuses(program: str) -> None:
    voice = FestivalTextToSpeech(program=program)
    await voice.aclose()
    with pytest.raises(EngineError, match="closed"):
        await heard(voice.speak("Раз.", language="ru", audio_format=PHONE))
