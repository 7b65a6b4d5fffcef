import pytest

from kamerton.domain.audio import PHONE
from kamerton.domain.errors import ModelError
from kamerton.testing.tts_conformance import TextToSpeechConformance, duration_ms, heard
from kamerton.tts.voices.espeak.voice import EspeakLibrary, EspeakTextToSpeech

pytestmark = pytest.mark.engine


class TestEspeakRussian(TextToSpeechConformance):
    def make_voice(self) -> EspeakTextToSpeech:
        return EspeakTextToSpeech()


class TestEspeakUkrainian(TextToSpeechConformance):
    language = "uk"

    def make_voice(self) -> EspeakTextToSpeech:
        return EspeakTextToSpeech()


@pytest.mark.anyio
async def test_speed_changes_the_length_and_the_name() -> None:
    slow, fast = EspeakTextToSpeech(words_per_minute=120), EspeakTextToSpeech(words_per_minute=200)
    lengths = [
        duration_ms(await heard(voice.speak("Сколько вам лет?", language="ru", audio_format=PHONE)))
        for voice in (slow, fast, slow)
    ]
    assert lengths[0] > lengths[1] * 1.2
    assert lengths[0] == pytest.approx(lengths[2], rel=0.02)
    assert slow.name != fast.name


def test_a_broken_installation_says_what_to_do() -> None:
    with pytest.raises(ModelError, match="reinstall espeakng-loader"):
        EspeakLibrary("no-such-library.so", "no-such-folder")
