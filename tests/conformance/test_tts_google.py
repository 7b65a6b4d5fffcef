"""The voice of Google against its stand-in: streamed, whole, at another rate, in pieces that cut samples."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google_voice import stage

from kamerton.domain.synthesis import KeepsWarm, TextToSpeech
from kamerton.testing.tts_conformance import TextToSpeechConformance, nothing_left_over
from kamerton.tts.voices.google.wire_double import VoiceScript, serve_google_voice

pytestmark = [pytest.mark.socket, pytest.mark.usefixtures("grpc_settles")]


class GoogleVoiceConformance(TextToSpeechConformance):
    script: dict[str, Any] = {}  # noqa: RUF012 - a class attribute that subclasses replace
    options: dict[str, Any] = {}  # noqa: RUF012 - as above
    streams = True

    @asynccontextmanager
    async def voice(self) -> AsyncIterator[TextToSpeech]:
        bounds: dict[str, Any] = {"first_audio_s": 10.0, "whole_s": 10.0, "gap_s": 10.0, "open_s": 10.0}
        # The thread in which gRPC polls is there as long as anything of gRPC is.
        async with serve_google_voice():
            with nothing_left_over():
                async with stage(VoiceScript(**self.script), **bounds, **self.options) as at:
                    assert isinstance(at.voice, KeepsWarm)
                    yield at.voice
                    await at.voice.aclose()
                    assert not [request for request in at.vendor.requests if request.ended == "status"]
                    assert {request.method for request in at.vendor.requests} <= {
                        "list",
                        "stream" if self.streams else "whole",
                    }


class TestStreamed(GoogleVoiceConformance):
    pass


class TestStreamedInUkrainian(GoogleVoiceConformance):
    language = "uk"
    script = {"odd_pieces": True}  # noqa: RUF012


class TestClauses(GoogleVoiceConformance):
    options = {"unit": "clause"}  # noqa: RUF012


class TestWhole(GoogleVoiceConformance):
    streams = False
    options = {"voice": "Wavenet-A"}  # noqa: RUF012


class TestWholeAtAnotherRate(GoogleVoiceConformance):
    streams = False
    script = {"natural_rate_hz": 24000}  # noqa: RUF012
    options = {"streaming": False}  # noqa: RUF012


del GoogleVoiceConformance, TextToSpeechConformance
