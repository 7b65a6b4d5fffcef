"""`kamerton ping` as a person uses it, against a stand-in for a service."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from anyio.from_thread import start_blocking_portal
from redis_server import redis_server
from typer.testing import CliRunner, Result

from kamerton.cli.main import app
from kamerton.testing.elastic_server import elastic_server
from kamerton.tts.voices.elevenlabs.wire_double import ElevenLabsDouble, VendorScript, serve_elevenlabs

pytestmark = pytest.mark.socket


@pytest.fixture
def vendor() -> Iterator[ElevenLabsDouble]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serve_elevenlabs(None)) as vendor:
        yield vendor


def ping(url: str, key: str | None = None) -> Result:
    variables = {"KAMERTON_VOICE__ENGINE": "elevenlabs", "KAMERTON_VOICE__ELEVENLABS__URL": url}
    if key is not None:
        variables["KAMERTON_ACCOUNTS__ELEVENLABS__API_KEY"] = key
    return CliRunner().invoke(app, ["ping"], env=variables)


def test_a_service_that_would_serve_is_told_with_its_latency(vendor: ElevenLabsDouble) -> None:
    told = ping(vendor.url, VendorScript().key)
    assert told.exit_code == 0, told.output
    line = next(line for line in told.stdout.splitlines() if line.startswith("voice"))
    assert line.split()[1:4] == ["elevenlabs", "yes", "yes"]
    assert line.split()[5] == "ms"


def test_a_wrong_key_is_told_with_what_to_do_and_not_shown(vendor: ElevenLabsDouble) -> None:
    told = ping(vendor.url, "sk-quite-wrong")
    assert told.exit_code == 1
    assert "→" in told.stdout
    assert "sk-quite-wrong" not in told.output
    assert next(line for line in told.stdout.splitlines() if line.startswith("voice")).split()[3] == "no"


def test_a_missing_key_and_nobody_at_the_address_are_told() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        missing, away = ping(url), ping(url, "sk-key")
    assert missing.exit_code == away.exit_code == 1
    assert "KAMERTON_ACCOUNTS__ELEVENLABS__API_KEY" in missing.output
    assert "→" in away.stdout


def test_without_services_there_is_nothing_to_ask() -> None:
    told = CliRunner().invoke(app, ["ping"])
    assert told.exit_code == 0
    assert "no service is configured" in told.output


def test_redis_and_elasticsearch_are_asked_where_they_are_configured() -> None:
    with (
        redis_server("--requirepass", "right") as redis,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(elastic_server()) as elastic,
    ):
        address = redis.url.rpartition("@")[2].removeprefix("redis://")
        served = {"KAMERTON_ANSWERS__ELASTIC_URL": elastic.url}
        well = CliRunner().invoke(
            app, ["ping"], env={**served, "KAMERTON_STORE__REDIS__URL": f"redis://:right@{address}"}
        )
        wrong = CliRunner().invoke(
            app, ["ping"], env={**served, "KAMERTON_STORE__REDIS__URL": f"redis://:wr0ng@{address}"}
        )
    away = CliRunner().invoke(app, ["ping"], env=served)
    assert well.exit_code == 0, well.output
    assert [line.split()[:4] for line in well.stdout.splitlines()[1:]] == [
        ["store", "redis", "yes", "yes"],
        ["answers", "elasticsearch", "yes", "yes"],
    ]
    assert wrong.exit_code == away.exit_code == 1
    assert wrong.stdout.splitlines()[1].split()[:4] == ["store", "redis", "yes", "no"]
    assert "wr0ng" not in wrong.output
    assert away.stdout.splitlines()[1].split()[2] == "no"


def test_all_four_kinds_of_engines_are_asked() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        variables = {
            "KAMERTON_RECOGNIZER__ENGINE": "yandex",
            "KAMERTON_VOICE__ENGINE": "elevenlabs",
            "KAMERTON_VOICE__ELEVENLABS__URL": url,
            "KAMERTON_UNDERSTANDING__ENGINE": "yandex",
            "KAMERTON_MODEL__ENGINE": "local",
            "KAMERTON_MODEL__LOCAL__URL": url,
            "KAMERTON_MODEL__LOCAL__MODEL": "small",
        }
        told = CliRunner().invoke(app, ["ping"], env=variables)
    assert told.exit_code == 1
    parts = {line.split()[0] for line in told.stdout.splitlines()[1:] if line[:1].isalpha()}
    assert parts == {"recognizer", "voice", "understanding", "model"}, told.output
