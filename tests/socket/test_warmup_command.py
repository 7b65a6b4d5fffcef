"""`kamerton warmup` as a person uses it, against a stand-in for a service of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from anyio.from_thread import start_blocking_portal
from embedding_services import KEY as EMBEDDING_KEY
from typer.testing import CliRunner, Result
from yandex_speech import KEY, WORDS

from kamerton.cli.main import app
from kamerton.embeddings.openai.wire_double import OpenAIDoubleSettings, openai_double
from kamerton.embeddings.wire_double import WireDouble
from kamerton.stt.yandex.wire_double import SpeechKitDouble, serve_speechkit
from kamerton.stt.yandex.wire_double_script import SpeechKitScript
from kamerton.testing.model_server import ModelServer, serve_model
from kamerton.tts.voices.elevenlabs.wire_double import ElevenLabsDouble, VendorScript, serve_elevenlabs

pytestmark = pytest.mark.socket


@dataclass
class Clouds:
    """A service of each kind."""

    speech: SpeechKitDouble
    voice: ElevenLabsDouble
    model: ModelServer
    embeddings: WireDouble

    @property
    def variables(self) -> dict[str, str]:
        return {
            "KAMERTON_RECOGNIZER__ENGINE": "yandex",
            "KAMERTON_RECOGNIZER__YANDEX__ENDPOINT": self.speech.address,
            "KAMERTON_RECOGNIZER__YANDEX__TLS": "false",
            "KAMERTON_ACCOUNTS__YANDEX__API_KEY": KEY,
            "KAMERTON_VOICE__ENGINE": "elevenlabs",
            "KAMERTON_VOICE__ELEVENLABS__URL": self.voice.url,
            "KAMERTON_ACCOUNTS__ELEVENLABS__API_KEY": VendorScript().key,
            "KAMERTON_MODEL__ENGINE": "local",
            "KAMERTON_MODEL__LOCAL__URL": self.model.base_url,
            "KAMERTON_MODEL__LOCAL__MODEL": "stand-in",
            "KAMERTON_UNDERSTANDING__ENGINE": "openai",
            "KAMERTON_UNDERSTANDING__OPENAI__BASE_URL": f"{self.embeddings.url}/v1",
            "KAMERTON_ACCOUNTS__OPENAI__API_KEY": EMBEDDING_KEY,
        }


@pytest.fixture
def clouds() -> Iterator[Clouds]:
    script = SpeechKitScript(WORDS, accepted=(f"Api-Key {KEY}",))
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        yield Clouds(
            stack.enter_context(portal.wrap_async_context_manager(serve_speechkit(script))),
            stack.enter_context(portal.wrap_async_context_manager(serve_elevenlabs(None))),
            stack.enter_context(portal.wrap_async_context_manager(serve_model())),
            stack.enter_context(openai_double(OpenAIDoubleSettings(EMBEDDING_KEY))),
        )


def warmup(variables: dict[str, str]) -> Result:
    return CliRunner().invoke(app, ["warmup"], env=variables)


def told_of(result: Result, part: str) -> list[str]:
    return next(line for line in result.stdout.splitlines() if line.startswith(part)).split()


def test_every_service_is_asked_for_the_least_it_can_do(clouds: Clouds) -> None:
    told = warmup(clouds.variables)
    assert told.exit_code == 0, told.output
    for part, engine in (
        ("recognizer", "yandex"),
        ("voice", "elevenlabs"),
        ("model", "local"),
        ("understanding", "openai"),
    ):
        assert told_of(told, part)[1:3] == [engine, "yes"], told.output
        assert told_of(told, part)[4] == "ms"


def test_one_that_does_not_serve_is_told_and_stops_no_other(clouds: Clouds) -> None:
    told = warmup(clouds.variables | {"KAMERTON_ACCOUNTS__YANDEX__API_KEY": "AQVN-quite-wrong"})
    assert told.exit_code == 1
    assert told_of(told, "recognizer")[2:4] == ["no", "–"]
    assert told_of(told, "voice")[2] == told_of(told, "model")[2] == "yes"
    assert "→" in told.stdout
    assert "AQVN-quite-wrong" not in told.output


def test_what_is_missing_is_told_in_place_of_a_request(clouds: Clouds) -> None:
    variables = clouds.variables
    del variables["KAMERTON_ACCOUNTS__ELEVENLABS__API_KEY"]
    told = warmup(variables)
    assert told.exit_code == 1
    assert "KAMERTON_ACCOUNTS__ELEVENLABS__API_KEY" in told.stdout
    assert told_of(told, "model")[2] == "yes"


def test_without_services_nothing_is_sent() -> None:
    told = CliRunner().invoke(app, ["warmup"])
    assert told.exit_code == 0
    assert "no service is configured" in told.output
