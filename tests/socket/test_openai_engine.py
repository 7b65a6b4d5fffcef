"""The engines `openai` and `local` as the settings open and check them: keys, certificates, the list of models."""

import logging
import ssl
import traceback
from pathlib import Path
from typing import Any

import pytest
from certificates import self_signed
from pydantic import SecretStr

from kamerton.config.brain import open_model
from kamerton.config.settings import load_settings
from kamerton.domain.errors import ConfigurationError, EngineError, VendorError
from kamerton.domain.language_model import GenerationEnded, LanguageModel
from kamerton.llm.limits import ModelTimeouts
from kamerton.llm.local.engine import ENGINE as LOCAL
from kamerton.llm.local.engine import LocalModelOptions
from kamerton.llm.openai.engine import ENGINE, OpenAIModelOptions
from kamerton.testing.llm_conformance import API_KEY, SCRIPT, CountedUsage, asking, collected, written
from kamerton.testing.model_server import ModelScript, ModelServer, Reply, serve_model
from kamerton.vendors.accounts.openai import OpenAIAccount
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext

pytestmark = [pytest.mark.anyio, pytest.mark.socket]

LOCKED = SCRIPT.model_copy(update={"api_key": API_KEY})
SHORT = ModelTimeouts(1.0, 1.0, 1.0, 5.0)


def context(key: str | None = API_KEY, **account: Any) -> EngineContext:
    given = OpenAIAccount(None if key is None else SecretStr(key), **account)
    return EngineContext("ru", Path(), (given,), CountedUsage())


def options(server: ModelServer, **more: Any) -> OpenAIModelOptions:
    return OpenAIModelOptions(model="stand-in", url=server.base_url, timeouts=SHORT, **more)


async def answered(model: LanguageModel) -> str:
    try:
        return written(await collected(model, asking("привет")))
    finally:
        await model.aclose()


async def test_the_account_opens_the_server(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{API_KEY}\n", "utf-8")
    async with serve_model(LOCKED) as server:
        assert await answered(await ENGINE.open(options(server), context()))
        by_file = context(None, api_key_file=file, project="проект-7".encode("ascii", "ignore").decode())
        assert await answered(await ENGINE.open(options(server), by_file))
        assert server.requests[1].headers["openai-project"] == "-7"
        assert "openai-project" not in server.requests[0].headers


async def test_a_wrong_key_is_told_and_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    wrong = "sk-quite-wrong-0123456789"
    caplog.set_level(logging.DEBUG)
    async with serve_model(LOCKED) as server:
        model = await ENGINE.open(options(server), context(wrong))
        with pytest.raises(VendorError) as caught:
            await answered(model)
    assert caught.value.fault == "unauthorised"
    assert wrong not in "".join(traceback.format_exception(caught.value)) + repr(model) + caplog.text


async def test_without_a_key_the_variable_to_set_is_named() -> None:
    with pytest.raises(ConfigurationError, match="KAMERTON_ACCOUNTS__OPENAI__API_KEY"):
        await ENGINE.open(OpenAIModelOptions(), context(None))


async def test_a_certificate_that_nobody_trusts_is_told_and_can_be_trusted(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    async with serve_model(SCRIPT, tls=tls) as server:
        assert server.base_url.startswith("https://")
        with pytest.raises(VendorError, match=r"certificate that is not trusted.*ca_file") as caught:
            await answered(await ENGINE.open(options(server), context()))
        assert caught.value.fault == "connection"
        assert server.counts.requests == 0
        check = await ENGINE.check(options(server), context())  # type: ignore[misc]
        assert (check.reachable, "certificate" in check.fix) == (False, True)
        assert await answered(await ENGINE.open(options(server, ca_file=certificate), context()))
    with pytest.raises(ConfigurationError, match="ca_file"):
        await ENGINE.open(OpenAIModelOptions(ca_file=tmp_path / "none.pem"), context())


async def test_one_connection_serves_answers_in_a_row() -> None:
    """A handshake for each turn would cost a caller time."""
    async with serve_model(SCRIPT) as server:
        model = await ENGINE.open(options(server), context())
        for _ in range(3):
            await collected(model, asking("привет"))
        await model.aclose()
        assert server.connections == 1


async def test_reasoning_and_tier_are_asked_for_only_when_set() -> None:
    async with serve_model(SCRIPT) as server:
        chosen = options(server, reasoning_effort="low", service_tier="priority", temperature=0.5)
        for one in (chosen, options(server)):
            assert await answered(await ENGINE.open(one, context()))
        first, second = (record.fields for record in server.requests)
        assert (first["reasoning_effort"], first["service_tier"], first["temperature"]) == ("low", "priority", 0.5)
        assert not {"reasoning_effort", "service_tier", "temperature", "tools", "response_format"} & second.keys()
        assert second["max_completion_tokens"] == 2000


async def checked(script: ModelScript, key: str | None = API_KEY, **more: Any) -> Check:
    async with serve_model(script) as server:
        given = {"model": "stand-in", "url": server.base_url, "timeouts": SHORT, **more}
        assert ENGINE.check is not None
        check = await ENGINE.check(OpenAIModelOptions(**given), context(key))
        assert server.counts.requests == 0
        return check


async def test_a_check_costs_nothing_and_tells_what_is_wrong() -> None:
    well = await checked(LOCKED)
    assert well.well
    assert well.authorised
    assert well.latency_ms is not None
    wrong = await checked(LOCKED, "sk-wrong")
    assert (wrong.reachable, wrong.authorised, "API key" in wrong.fix) == (True, False, True)
    unknown = await checked(LOCKED, model="gpt-of-tomorrow")
    assert (unknown.well, "it has stand-in" in unknown.fix) == (False, True)
    missing = await checked(LOCKED, None)
    assert (missing.well, "KAMERTON_ACCOUNTS__OPENAI__API_KEY" in missing.fix) == (False, True)


async def test_a_local_server_needs_a_model_and_no_key() -> None:
    assert LOCAL.check is not None
    nameless = LocalModelOptions()
    with pytest.raises(ConfigurationError, match="KAMERTON_MODEL__LOCAL__MODEL"):
        await LOCAL.open(nameless, context())
    assert "KAMERTON_MODEL__LOCAL__MODEL" in (await LOCAL.check(nameless, context())).fix
    async with serve_model(SCRIPT) as server:
        named = LocalModelOptions(server.base_url, "stand-in", timeouts=SHORT)
        assert (await LOCAL.check(named, context())).well
        assert await answered(await LOCAL.open(named, context()))
        assert "authorization" not in server.requests[0].headers
    assert not (await LOCAL.check(named, context())).reachable


@pytest.mark.parametrize(
    ("values", "speaks_of"),
    [
        ({"url": "api.openai.com"}, "url 'api.openai.com' is not"),
        ({"model": " "}, "no model is named"),
        ({"temperature": 3.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"keep_alive_s": -1.0}, "keep_alive_s"),
    ],
)
def test_options_that_cannot_work_are_refused(values: dict[str, Any], speaks_of: str) -> None:
    with pytest.raises(ConfigurationError, match=speaks_of):
        OpenAIModelOptions(**values)


async def test_the_settings_make_a_chain_of_what_they_name() -> None:
    """A cloud that is away costs the caller nothing but the attempt; its successor answers the same turn."""
    async with serve_model(ModelScript(otherwise=Reply(status=503))) as cloud, serve_model(SCRIPT) as own:
        settings = load_settings(
            accounts={"openai": {"api_key": API_KEY}},
            model={
                "engine": ["openai", "local"],
                "openai": {"url": cloud.base_url},
                "local": {"url": own.base_url, "model": "stand-in"},
            },
        )
        notes: list[str] = []
        async with open_model(settings, "ru", notes.append) as model:
            assert model is not None
            events = await collected(model, asking("привет"))
            assert isinstance(events[-1], GenerationEnded)
            assert [link.name for link in model.links] == ["openai", "local"]
            assert model.name == f"gpt-4o-mini@{cloud.base_url}+stand-in@{own.base_url}"
        assert notes == ["model: openai; in reserve: local"]
        assert (cloud.counts.requests, own.counts.requests) == (1, 1)


async def test_without_an_engine_there_is_no_model() -> None:
    async with open_model(load_settings(), "ru", lambda _: None) as model:
        assert model is None


async def test_a_chain_that_is_away_altogether_says_so() -> None:
    async with serve_model(SCRIPT) as server:
        gone = server.base_url
    settings = load_settings(model={"engine": "local", "local": {"url": gone, "model": "stand-in"}})
    async with open_model(settings, "ru", lambda _: None) as model:
        assert model is not None
        for text in ("cannot be reached", "cannot be reached", "local rests after"):
            with pytest.raises(EngineError, match=text):
                await collected(model, asking("привет"))
