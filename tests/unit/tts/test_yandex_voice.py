"""The voice of Yandex without its service: options, requests, times, patience."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yandex.cloud.ai.tts.v3 import tts_pb2 as tts

from kamerton.domain.errors import ConfigurationError, EngineError
from kamerton.tts.voices.yandex.engine import YandexVoiceOptions
from kamerton.tts.voices.yandex.messages import answer_of, is_container, passages_of, sendable
from kamerton.tts.voices.yandex.pace import Pace
from kamerton.tts.voices.yandex.speakers import known_roles, language_of

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"speed": 0.0}, "speed is 0.0; it must be from 0.1 to 3"),
    ({"speed": float("nan")}, "speed is nan"),
    ({"pitch_hz": 1001.0}, "pitch_hz"),
    ({"volume": 0.5}, "for 'lufs' it must be from -145 to below 0"),
    ({"volume": -20.0, "loudness": "peak"}, "above 0 and at most 1"),
    ({"volume": 0.0, "loudness": "peak"}, "above 0 and at most 1"),
    ({"voice": ""}, "voice is empty"),
    ({"voice": "marina\n"}, "characters that no name has"),
    ({"role": "весёлый"}, "characters that no name has"),
    ({"model": "livetts", "speed": 1.1}, "knows no speed"),
    ({"model": "livetts", "loudness": "peak"}, "knows no speed"),
    ({"model": "livetts", "pitch_hz": 5.0}, "knows no speed"),
    ({"concurrency": 0}, "concurrency"),
    ({"first_audio_s": 0.0}, "first_audio_s"),
    ({"gap_s": float("inf")}, "gap_s"),
    ({"queue_s": 31.0}, "queue_s"),
    ({"requests_per_connection": 0}, "requests_per_connection"),
    ({"endpoint": "https://tts.api.cloud.yandex.net"}, "host:port"),
    ({"tls": False, "ca_file": "roots.pem"}, "ca_file"),
]


@pytest.mark.parametrize(("options", "why"), WRONG, ids=lambda value: str(value)[:40])
def test_options_that_cannot_work_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        YandexVoiceOptions(**options)


def test_a_slow_voice_takes_shorter_texts_so_that_they_last_24_s() -> None:
    assert YandexVoiceOptions().longest_request == 250
    assert YandexVoiceOptions(speed=2.0).longest_request == 250
    assert YandexVoiceOptions(speed=0.5).longest_request == 125
    assert YandexVoiceOptions(speed=0.5, unsafe_mode=True).longest_request == 5000


def test_voices_speak_what_the_vendor_says() -> None:
    assert language_of("marina") == "ru"
    assert language_of("john") == "en"
    assert language_of("my-brand-voice") == "ru"
    assert known_roles("jane") == ("neutral", "good", "evil")
    assert known_roles("my-brand-voice") is None


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("Добрый день!", "Добрый день!"),
        ("з+амок и **зам+ок**", "замок и замок"),
        ("два + три", "два три"),
        ("Стойте! sil<[300]> Думайте.", "Стойте! Думайте."),
        ("Мороз <[medium]> и солнце", "Мороз и солнце"),
        ("[[v a s]] пять", "v a s пять"),
        ("а\x00б\u200b\ud800в", "а б в"),
        ("+ — **", ""),
        ("🙂", ""),
    ],
)
def test_nothing_in_a_text_is_taken_for_markup(text: str, sent: str) -> None:
    assert sendable(text) == sent


async def cut(text: str, longest: int, *, quick_start: bool = True) -> list[str]:
    return [passage.text async for passage in passages_of(text, longest, quick_start=quick_start)]


@pytest.mark.anyio
async def test_a_text_is_cut_into_as_few_requests_as_may_be() -> None:
    text = "Да. Раз два три. Четыре пять. Шесть."
    assert await cut(text, 30) == ["Да.", "Раз два три. Четыре пять.", "Шесть."]
    assert await cut(text, 30, quick_start=False) == ["Да. Раз два три. Четыре пять.", "Шесть."]
    assert await cut(text, 250, quick_start=False) == [text]
    assert await cut("Раз два три четыре", 8) == ["Раз два", "три", "четыре"]
    assert await cut("аааааааааа бб", 4) == ["аааа", "аааа", "аа", "бб"]
    assert await cut("… 🙂 — !", 250) == []


@pytest.mark.anyio
async def test_a_text_that_is_written_goes_clause_by_clause() -> None:
    async def written() -> AsyncIterator[str]:
        for piece in ("Добрый де", "нь! Вас приветс", "твует компания."):
            yield piece

    found = [passage.text async for passage in passages_of(written(), 250, quick_start=True)]
    assert found == ["Добрый день!", "Вас приветствует компания."]


@pytest.mark.anyio
async def test_a_source_that_breaks_is_told() -> None:
    async def breaking() -> AsyncIterator[str]:
        yield "Добрый день! "
        raise KeyError("gone")

    with pytest.raises(EngineError, match="the source of a text broke: KeyError"):
        async for _ in passages_of(breaking(), 250, quick_start=True):
            pass


@pytest.mark.anyio
@given(
    text=st.text(alphabet="аб .,!—", max_size=600),
    longest=st.integers(20, 250),
    quick_start=st.booleans(),
)
async def test_no_word_is_lost_and_no_request_too_long(text: str, longest: int, quick_start: bool) -> None:
    passages = [passage async for passage in passages_of(text, longest, quick_start=quick_start)]
    assert all(0 < len(passage.text) <= longest for passage in passages)
    said = "".join("".join(passage.clauses) for passage in passages)
    assert [char for char in said if char.isalpha()] == [char for char in text if char.isalpha()]


def message(*timings: tuple[str, int], chunk_type: str = "AUDIO_TEXT_COMBINED") -> Any:
    """As the vendor sends it: words with when they begin."""
    answer = tts.UtteranceSynthesisResponse()
    answer.chunk_type = answer.ChunkType.Value(chunk_type)
    for word, start_ms in timings:
        answer.word_timings.add(word=word, start_ms=start_ms, length_ms=100)
    return answer


def starts(before_ms: float, *timings: tuple[str, int]) -> tuple[float, ...]:
    alignment = answer_of(message(*timings), before_ms).alignment
    assert alignment is not None
    return alignment.starts_ms


def test_times_count_from_the_start_of_their_audio_however_they_are_told() -> None:
    assert starts(0.0, ("раз", 0), ("два", 300)) == (0, 300)
    assert starts(1000.0, ("раз", 1000), ("два", 1300)) == (0, 300)
    assert starts(1000.0, ("раз", 0), ("два", 300)) == (0, 300), "told from the message's start"
    assert starts(1000.0, ("", 0), ("два", 950)) == (-50,), "told a little early"
    assert answer_of(message(), 0.0).alignment is None
    assert answer_of(message(chunk_type="NO_SPEAKABLE_TEXT"), 0.0).silent


def test_files_are_known_from_samples() -> None:
    assert is_container(b"RIFF\x24\x00\x00\x00WAVE")
    assert is_container(b"OggS\x00")
    assert is_container(b"ID3\x04")
    assert not is_container(b"")
    assert not is_container(b"\x00\x01" * 10)


def test_patience_is_used_up_by_waiting_and_filled_by_audio() -> None:
    pace = Pace(3.0, 1.0)
    pace.spend(2.0)
    pace.earn(0.0)
    assert (pace.begun, pace.left_s) == (False, 1.0)
    pace.earn(0.01)
    assert (pace.begun, pace.left_s) == (True, 1.0)
    pace.spend(0.75)
    pace.earn(0.25)
    assert pace.left_s == 0.5
    pace.earn(5.0)
    assert pace.left_s == 1.0, "audio ahead buys no more patience than that"
    pace.spend(7.0)
    assert pace.left_s == 0.0
