"""The vendor's messages, the book of contexts, its errors in our words."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.domain.errors import ConfigurationError
from kamerton.tts.voices.elevenlabs import faults, protocol
from kamerton.tts.voices.elevenlabs.context_book import ContextBook
from kamerton.tts.voices.elevenlabs.engine import ElevenLabsVoiceOptions
from kamerton.tts.voices.elevenlabs.faults import Remark
from kamerton.tts.voices.elevenlabs.models import has_websocket, languages_of, takes_language
from kamerton.tts.voices.elevenlabs.protocol import AudioPiece, ContextEnded, Nonsense, Refused
from kamerton.tts.voices.spoken_words import Alignment

PCM = bytes(range(8))
AUDIO = base64.b64encode(PCM).decode()


@pytest.mark.parametrize("name", ["contextId", "context_id"])
@pytest.mark.parametrize("final", ["isFinal", "is_final"])
def test_both_spellings_are_read(name: str, final: str) -> None:
    assert protocol.read(json.dumps({"audio": AUDIO, final: None, name: "c"})) == AudioPiece("c", PCM)
    assert protocol.read(json.dumps({"audio": None, final: True, name: "c"})) == ContextEnded("c")
    assert protocol.read(json.dumps({"audio": AUDIO, final: True, name: "c"})) == AudioPiece("c", PCM, last=True)


@pytest.mark.parametrize("durations", ["charDurationsMs", "charsDurationsMs"])
def test_times_are_read_in_both_spellings(durations: str) -> None:
    told = {"chars": ["Д", "а"], "charStartTimesMs": [0, 30], durations: [30, 40]}
    read = protocol.read(json.dumps({"audio": AUDIO, "contextId": "c", "alignment": told}))
    assert read == AudioPiece("c", PCM, Alignment(("Д", "а"), (0, 30), (30, 70)))


def test_times_of_the_text_as_it_is_read_stand_in_for_those_of_the_text_as_sent() -> None:
    told = {"chars": ["Д"], "charStartTimesMs": [0], "charDurationsMs": [30]}
    message = {"audio": AUDIO, "contextId": "c", "alignment": None, "normalizedAlignment": told}
    assert protocol.read(json.dumps(message)) == AudioPiece("c", PCM, Alignment(("Д",), (0,), (30,)))


def test_times_over_http_are_seconds() -> None:
    told = {"characters": ["Д"], "character_start_times_seconds": [0.5], "character_end_times_seconds": [0.75]}
    assert protocol.http_alignment(told) == Alignment(("Д",), (500.0,), (750.0,))


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {"chars": ["Д"], "charStartTimesMs": None, "charDurationsMs": [1]},
        {"chars": ["Д"], "charStartTimesMs": ["1"], "charDurationsMs": [1]},
        {"chars": [1], "charStartTimesMs": [1], "charDurationsMs": [1]},
        {"chars": [], "charStartTimesMs": [], "charDurationsMs": []},
        {"chars": ["Д"], "charStartTimesMs": [10**400], "charDurationsMs": [1]},
        {"chars": "Д", "charStartTimesMs": [0], "charDurationsMs": [1]},
    ],
)
def test_times_that_make_no_sense_are_none(told: object) -> None:
    assert protocol.websocket_alignment(told) is None


@pytest.mark.parametrize(
    ("message", "read"),
    [
        ("<html>", Nonsense(None, "a message that is no JSON")),
        (b"\xff\xfe", Nonsense(None, "a message that is no JSON")),
        ("[1]", Nonsense(None, "a message that is no JSON object")),
        ('{"audio": "AAAA"}', Nonsense(None, "a message without a context")),
        ('{"audio": "~~", "contextId": "c"}', Nonsense("c", "audio that is no base64")),
        ('{"audio": 7, "contextId": "c"}', Nonsense("c", "audio that is no base64")),
        (
            '{"message": "used up", "error": "quota_exceeded", "code": 1008}',
            Refused(None, Remark("quota_exceeded", "used up"), 1008),
        ),
    ],
)
def test_what_is_no_audio_is_told_as_what_it_is(message: str | bytes, read: object) -> None:
    assert protocol.read(message) == read


@given(st.one_of(st.text(), st.binary(), st.recursive(st.none() | st.text() | st.floats(), st.lists).map(json.dumps)))
def test_reading_never_raises(message: str | bytes) -> None:
    protocol.read(message)


def test_settings_are_in_the_first_message_only() -> None:
    assert json.loads(protocol.begin("c", {"speed": 1.1})) == {
        "text": " ",
        "context_id": "c",
        "voice_settings": {"speed": 1.1},
    }
    assert json.loads(protocol.say("c", "Да.", flush=True)) == {"text": "Да. ", "context_id": "c", "flush": True}


def test_the_address_keeps_a_path_before_it_and_hides_nothing_in_the_voice() -> None:
    url = protocol.websocket_url("https://proxy.example/eleven/", "a/b?c", {"model_id": "m"})
    assert url == "wss://proxy.example/eleven/v1/text-to-speech/a%2Fb%3Fc/multi-stream-input?model_id=m"


class TestContextBook:
    def test_a_slot_is_free_again_when_the_vendor_has_ended_it(self) -> None:
        book = ContextBook(2)
        first, second = book.reserve(0.0), book.reserve(0.0)
        assert book.told(first, 0.0)
        assert book.told(second, 0.0)
        assert book.close(first, 1.0)
        assert book.free == 0
        assert book.ended(first)
        assert book.free == 1
        assert not book.ended(first), "a second end is none"

    def test_a_context_that_was_never_opened_is_not_closed_at_the_vendors(self) -> None:
        book = ContextBook()
        name = book.reserve(0.0)
        assert not book.close(name, 0.0)
        assert book.free == 5

    def test_nothing_is_sent_for_a_closed_context(self) -> None:
        book = ContextBook()
        name = book.reserve(0.0)
        book.told(name, 0.0)
        book.close(name, 0.0)
        assert not book.told(name, 1.0)
        assert not book.close(name, 1.0)
        assert book.keep_alive(100.0, 10.0) == ()
        book.ended(name)
        assert not book.told(name, 1.0)

    def test_only_open_contexts_are_kept_alive_and_only_when_due(self) -> None:
        book = ContextBook()
        reserved, told = book.reserve(0.0), book.reserve(0.0)
        book.told(told, 5.0)
        assert book.keep_alive(14.0, 10.0) == ()
        assert book.keep_alive(15.0, 10.0) == (told,)
        assert book.keep_alive(16.0, 10.0) == ()
        assert reserved != told

    def test_an_end_that_does_not_come_is_noticed_unless_audio_still_does(self) -> None:
        book = ContextBook()
        name = book.reserve(0.0)
        book.told(name, 0.0)
        book.close(name, 0.0)
        assert not book.stuck(9.0, 10.0)
        book.heard(name, 9.0)
        assert not book.stuck(18.0, 10.0)
        assert book.stuck(19.0, 10.0)

    def test_a_sixth_context_is_a_fault_of_ours(self) -> None:
        book = ContextBook()
        for _ in range(5):
            book.reserve(0.0)
        with pytest.raises(RuntimeError):
            book.reserve(0.0)


@pytest.mark.parametrize(
    ("status", "word", "fault"),
    [
        (401, "invalid_api_key", "unauthorised"),
        (401, "quota_exceeded", "quota"),
        (403, "", "unauthorised"),
        (402, "", "quota"),
        (429, "too_many_concurrent_requests", "rate_limited"),
        (429, "system_busy", "failed"),
        (400, "voice_not_found", "rejected"),
        (422, "", "rejected"),
        (503, "", "failed"),
    ],
)
def test_statuses_are_told_apart(status: int, word: str, fault: str) -> None:
    body = json.dumps({"detail": {"status": word, "message": "your key is sk-1 \x1b[31m"}})
    error = faults.of_status("ElevenLabs", status, body, "7", "sk-1")
    assert (error.fault, error.retry_after_s) == (fault, 7.0)
    assert "sk-1" not in str(error)
    assert "\x1b" not in str(error)


@pytest.mark.parametrize("retry_after", [None, "", "soon", "-1", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_retry_after_that_is_no_number_of_seconds_is_none(retry_after: str | None) -> None:
    assert faults.of_status("ElevenLabs", 429, b"", retry_after, "k").retry_after_s is None


@pytest.mark.parametrize(
    ("code", "reason", "fault"),
    [(1008, "quota_exceeded", "quota"), (1008, "", "failed"), (1011, "", "connection"), (None, "", "connection")],
)
def test_closes_are_told_apart(code: int | None, reason: str, fault: str) -> None:
    assert faults.of_close("ElevenLabs", code, reason, "k").fault == fault


def test_what_http_would_refuse_as_well_does_not_go_there() -> None:
    for status, goes in ((401, False), (429, False), (400, False), (503, True)):
        assert faults.goes_by_http(faults.of_status("ElevenLabs", status, b"", None, "k")) is goes
    too_many = faults.of_message("ElevenLabs", Remark("max_active_conversations", "five"), 1008, "k")
    assert faults.goes_by_http(too_many)


def test_models_differ_in_what_they_are_told() -> None:
    assert takes_language("eleven_flash_v2_5")
    assert not takes_language("eleven_multilingual_v2")
    assert {"ru", "uk"} <= set(languages_of("eleven_multilingual_v2"))
    assert languages_of("eleven_flash_v2") == ("en",)
    assert not has_websocket("eleven_v3")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"stability": 1.5}, "stability"),
        ({"speed": 0.5}, "speed"),
        ({"speed": float("nan")}, "speed"),
        ({"concurrency": 0}, "concurrency"),
        ({"gap_s": 0.0}, "gap_s"),
        ({"inactivity_s": 181}, "inactivity_s"),
        ({"url": "api.elevenlabs.io"}, "url"),
        ({"url": "https://me:secret@api.elevenlabs.io"}, "url"),
        ({"model": " "}, "model"),
        ({"voice": ""}, "voice"),
        ({"warm_rates_hz": (44100,)}, "warm_rates_hz"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"voice\.elevenlabs\.{named}") as refusal:
        ElevenLabsVoiceOptions(**options)  # type: ignore[arg-type]
    assert "secret" not in str(refusal.value)


def test_a_language_may_have_its_own_voice() -> None:
    options = ElevenLabsVoiceOptions(voice="a", voice_uk="b")
    assert [options.voice_for(language) for language in ("ru", "uk", "en")] == ["a", "b", "a"]
