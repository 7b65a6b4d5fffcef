"""What needs no service: options, the choice of a voice, requests of bounded size, words over audio."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.audio.tone import tone
from kamerton.domain.audio import PHONE
from kamerton.domain.errors import ConfigurationError, VendorError
from kamerton.domain.synthesis import SpeechChunk
from kamerton.tts.voices.google.engine import GoogleVoiceOptions
from kamerton.tts.voices.google.listing import ListedVoice, chosen_voice
from kamerton.tts.voices.google.spoken_audio import SpokenAudio
from kamerton.tts.voices.google.text_units import sendable, size_of, units_of

LISTED = tuple(
    ListedVoice(name, ("-".join(name.split("-")[:2]),))
    for name in (
        "uk-UA-Standard-B",
        "uk-UA-Wavenet-B",
        "uk-UA-Chirp3-HD-Achernar",
        "uk-UA-Chirp3-HD-Kore",
        "ru-RU-Standard-A",
        "ru-RU-Novel9-X",
        "ru-RU-Wavenet-C",
    )
)


class TestOptions:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("speaking_rate", 0.2),
            ("speaking_rate", 2.5),
            ("speaking_rate", float("nan")),
            ("max_bytes", 799),
            ("max_bytes", 3001),
            ("concurrency", 0),
            ("queue_s", 0.0),
            ("open_s", float("inf")),
            ("first_audio_s", 0.0),
            ("gap_s", 31.0),
            ("whole_s", 0.0),
            ("location", "eu.example.net"),
            ("voice", "Kore; drop"),
            ("endpoint", "https://texttospeech.googleapis.com"),
        ],
    )
    def test_nonsense_is_refused_by_its_name(self, name: str, value: Any) -> None:
        with pytest.raises(ConfigurationError, match=name):
            GoogleVoiceOptions(**{name: value})

    def test_locations_have_addresses_of_their_own(self) -> None:
        assert GoogleVoiceOptions().served_at.address == "texttospeech.googleapis.com:443"
        assert GoogleVoiceOptions(location="eu").served_at.address == "eu-texttospeech.googleapis.com:443"
        assert GoogleVoiceOptions(endpoint="127.0.0.1:50051", location="eu").served_at.address == "127.0.0.1:50051"

    def test_settings_are_read_without_grpc(self) -> None:
        code = (
            "import sys, kamerton.tts.voices.google.engine; "
            "print([name for name in ('grpc', 'google.cloud', 'google.auth', 'numpy') if name in sys.modules])"
        )
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert told.stdout.strip() == "[]"


class TestListing:
    @pytest.mark.parametrize(
        ("code", "wanted", "name"),
        [
            ("uk-UA", "", "uk-UA-Chirp3-HD-Kore"),
            ("ru-RU", "", "ru-RU-Wavenet-C"),
            ("uk-UA", "uk-ua-wavenet-b", "uk-UA-Wavenet-B"),
            ("uk-UA", "Achernar", "uk-UA-Chirp3-HD-Achernar"),
            ("uk-UA", "B", "uk-UA-Wavenet-B"),
            ("ru-RU", "Novel9-X", "ru-RU-Novel9-X"),
        ],
    )
    def test_the_best_or_the_named_voice_is_taken(self, code: str, wanted: str, name: str) -> None:
        assert chosen_voice(LISTED, code, wanted, "Google").name == name

    def test_a_voice_of_another_language_is_refused_with_those_of_this_one(self) -> None:
        with pytest.raises(VendorError, match="one of: ru-RU-Wavenet-C, ru-RU-Standard-A, ru-RU-Novel9-X") as caught:
            chosen_voice(LISTED, "ru-RU", "uk-UA-Wavenet-B", "Google")
        assert caught.value.fault == "rejected"

    def test_a_language_without_voices_is_refused(self) -> None:
        with pytest.raises(VendorError, match="no voice for kk-KZ"):
            chosen_voice(LISTED, "kk-KZ", "", "Google")

    def test_only_chirp_3_hd_streams(self) -> None:
        assert {voice.name for voice in LISTED if voice.streams} == {"uk-UA-Chirp3-HD-Achernar", "uk-UA-Chirp3-HD-Kore"}


@pytest.mark.anyio
class TestUnits:
    async def test_sentences_stay_whole_and_clauses_are_apart(self) -> None:
        text = "Добрый день! Если вы хотите узнать стоимость полиса, назовите, пожалуйста, мощность двигателя машины."
        sentences = [unit async for unit in units_of(text, sentences=True, max_bytes=900)]
        assert sentences == ["Добрый день!", text.removeprefix("Добрый день! ")]
        assert len([unit async for unit in units_of(text, sentences=False, max_bytes=900)]) == 3

    async def test_the_first_clause_of_a_text_that_is_written_goes_alone(self) -> None:
        text = "Если вы хотите, мы посчитаем стоимость полиса, а потом её назовём. Согласны?"

        async def pieces() -> AsyncIterator[str]:
            for character in text:
                yield character

        units = [unit async for unit in units_of(pieces(), sentences=True, max_bytes=900)]
        assert units[0] == "Если вы хотите,"
        assert " ".join(units) == text

    @given(st.text(alphabet="аб ы,.!?\n1🙂", max_size=3000), st.integers(800, 1200))
    async def test_whatever_the_text_requests_are_within_the_limit(self, text: str, limit: int) -> None:
        units = [unit async for unit in units_of(text, sentences=True, max_bytes=limit)]
        assert all(size_of(unit) <= limit for unit in units)
        assert "".join(units).replace(" ", "") == "".join(text.split())

    async def test_what_is_no_text_is_not_sent(self) -> None:
        assert sendable("нуль\x00байт\x07 и\ud800ещё\n") == "нуль байт и ещё"


class TestSpokenAudio:
    TEXT = "один два три четыре"

    def spoken(self, pcm: bytes, size: int = 720, rate: float = 1.0) -> tuple[list[SpeechChunk], SpokenAudio]:
        audio = SpokenAudio(self.TEXT, PHONE, rate=rate)
        chunks = [audio.push(pcm[at : at + size]) for at in range(0, len(pcm), size)]
        return [chunk for chunk in (*chunks, audio.finish()) if chunk is not None], audio

    def test_silence_around_is_cut_and_pauses_inside_stay(self) -> None:
        sound, gap, around = tone(300, 500, PHONE), bytes(2 * PHONE.samples(200)), bytes(2 * PHONE.samples(300))
        chunks, _ = self.spoken(around + sound + gap + sound + around)
        assert PHONE.duration_ms(sum(len(chunk.pcm) for chunk in chunks) // 2) == pytest.approx(1200 + 20 + 60, abs=20)

    @given(st.integers(1, 4000).map(lambda number: 2 * number))
    def test_all_words_are_told_once_and_in_order_however_the_audio_comes(self, size: int) -> None:
        chunks, audio = self.spoken(tone(300, 1400, PHONE), size)
        assert " ".join(chunk.text for chunk in chunks if chunk.text) == self.TEXT
        assert not chunks[0].goes_on
        assert all(chunk.goes_on == bool(chunk.text) for chunk in chunks[1:])
        assert all(chunk.pcm for chunk in chunks)
        assert not audio.too_short
        assert not audio.too_long

    def test_words_are_told_at_an_even_pace_the_last_one_at_the_end(self) -> None:
        audio = SpokenAudio(self.TEXT, PHONE)
        told = []
        for _ in range(20):
            chunk = audio.push(tone(300, 100, PHONE))
            told.append(chunk.text if chunk is not None else "")
        assert [text for text in told if text] == ["один", "два", "три"]
        assert told.index("два") == 6
        last = audio.finish()
        assert last is not None
        assert last.text == "четыре"

    def test_silence_alone_says_nothing(self) -> None:
        chunks, _ = self.spoken(bytes(16000))
        assert chunks == []

    def test_what_is_too_short_or_too_long_for_the_text_is_noticed(self) -> None:
        assert self.spoken(tone(300, 200, PHONE))[1].too_short
        assert not self.spoken(tone(300, 200, PHONE), rate=2.0)[1].too_short
        assert self.spoken(tone(300, 12_000, PHONE))[1].too_long
