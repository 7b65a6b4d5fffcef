"""The assistant's voice with the engines of this machine, from a written text to a clip."""

from pathlib import Path

import pytest
from machine_voices import machine_voices

from kamerton.audio.levels import peak_dbfs, speech_dbfs
from kamerton.domain.audio import PHONE, WIDEBAND
from kamerton.orchestrator.workers import ThreadWorker
from kamerton.testing.tts_conformance import nothing_left_over
from kamerton.tts.spoken.text import spoken
from kamerton.tts.tts_manager import TTSManager

pytestmark = [pytest.mark.engine, pytest.mark.anyio]

PRICES = {
    "ru": ("Стоимость полиса — 16 500 ₽ в год, мощность 150 л. с.", "шестнадцать тысяч пятьсот рублей"),
    "uk": ("Вартість комплекту — 16 500 грн, діаметр 16.", "шістнадцять тисяч п'ятсот гривень"),
}


@pytest.mark.parametrize("language", ["ru", "uk"])
async def test_a_price_is_spoken_by_the_best_voice_of_this_machine(language: str, tmp_path: Path) -> None:
    written, said = PRICES[language]
    voices = await machine_voices(language)
    with nothing_left_over(), ThreadWorker(2, "test") as worker:
        async with TTSManager(voices, language=language, worker=worker, clip_folder=tmp_path) as speech:
            await speech.prerender([written], [PHONE, WIDEBAND], lambda done, total: None)
            clips = [speech.cached(written, audio_format) for audio_format in (PHONE, WIDEBAND)]
    narrow, wide = clips
    assert narrow is not None
    assert wide is not None
    assert said in spoken(written, language)
    assert narrow.text == written
    assert 2_000 < PHONE.duration_ms(narrow.samples) < 12_000
    assert PHONE.duration_ms(narrow.samples) == pytest.approx(WIDEBAND.duration_ms(wide.samples), abs=1)
    for clip in (narrow, wide):
        assert speech_dbfs(clip.pcm, clip.format) == pytest.approx(-20, abs=2)
        assert peak_dbfs(clip.pcm) < -0.5
