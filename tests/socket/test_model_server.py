from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import openai
import pytest
from anyio.abc import ByteReceiveStream
from openai.types.chat import ChatCompletionMessageParam

from kamerton.domain.errors import ConfigurationError
from kamerton.testing.model_server import ModelScript, ModelServer, Reply, Rule, serve_model

pytestmark = [pytest.mark.anyio, pytest.mark.socket]

QUICK = ModelScript(
    first_token_ms=0,
    token_ms=0,
    otherwise=Reply(answer="Да, слушаю."),
    rules=(
        Rule(match=("медленно",), slow_ms=60_000),
        Rule(match=("пауза",), answer="потом", first_token_ms=60_000),
        Rule(match=("лежит",), down=True),
        Rule(match=("ключ",), status=401),
        Rule(match=("часто",), status=429, retry_after_s=3, times=1),
        Rule(match=("обрыв",), answer="Это слишком длинный ответ.", cut_after=30),
        Rule(match=("тихо оборвись",), answer="Это слишком длинный ответ.", cut_after=30, cut="stream"),
        Rule(match=("замри",), answer="Это слишком длинный ответ.", stall_after=30),
        Rule(match=("сбой",), answer="Это слишком длинный ответ.", error_after=30),
        Rule(match=("страница",), non_json=True),
        Rule(match=("без конца",), endless=True, answer="ля"),
        Rule(match=("длинно",), words=3000),
        Rule(match=("english",), language="en"),
        Rule(match=("сырой",), raw="просто текст"),
        Rule(match=("фильтр",), answer="", finish="content_filter"),
    ),
)


@asynccontextmanager
async def stage(script: ModelScript = QUICK) -> AsyncIterator[tuple[ModelServer, openai.AsyncOpenAI]]:
    with anyio.fail_after(20):
        async with (
            serve_model(script) as server,
            openai.AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client,
        ):
            yield server, client


def asking(text: str, system: str = "Ты помощник.") -> list[ChatCompletionMessageParam]:
    return [{"role": "system", "content": system}, {"role": "user", "content": text}]


async def streamed(client: openai.AsyncOpenAI, text: str, **options: Any) -> tuple[str, str | None, int | None]:
    """The text, the finish reason and the completion tokens of a streamed answer."""
    written, reason, used = "", None, None
    stream = await client.chat.completions.create(
        model="m", messages=asking(text), stream=True, stream_options={"include_usage": True}, **options
    )
    async for chunk in stream:
        for choice in chunk.choices:
            written += choice.delta.content or ""
            reason = choice.finish_reason or reason
        used = chunk.usage.completion_tokens if chunk.usage else used
    return written, reason, used


async def exchange(server: ModelServer, request: bytes) -> bytes:
    """What comes back for raw bytes, until the server closes or has sent a whole answer."""
    async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
        await stream.send(request)
        await stream.send_eof()
        received = b""
        async for data in stream:
            received += data
        return received


async def received_forever(stream: ByteReceiveStream) -> None:
    while True:
        await stream.receive()


async def test_a_streamed_answer_comes_in_tokens_with_usage() -> None:
    async with stage() as (server, client):
        written, reason, used = await streamed(client, "привет")
        assert json.loads(written) == {"is_safe": True, "answer": "Да, слушаю."}
        assert reason == "stop"
        (record,) = server.requests
        assert record.outcome == "completed"
        assert record.completion_tokens == used == server.counts.completion_tokens
        assert used is not None
        assert used > 5
        assert [event.kind for event in server.events] == ["received", "first_token", "completed"]


async def test_a_whole_answer_is_the_same_text() -> None:
    async with stage() as (_, client):
        answer = await client.chat.completions.create(model="m", messages=asking("привет"))
        written, _, used = await streamed(client, "привет")
        assert answer.choices[0].message.content == written
        assert answer.usage is not None
        assert answer.usage.completion_tokens == used


async def test_models_and_counts_are_told() -> None:
    async with stage() as (server, client):
        assert [model.id async for model in client.models.list()] == ["stand-in"]
        await streamed(client, "привет")
        told = await exchange(server, b"GET /stats HTTP/1.1\r\nHost: x\r\n\r\n")
        assert json.loads(told.partition(b"\r\n\r\n")[2])["completed"] == 1


async def test_delays_are_the_scripted_ones() -> None:
    script = ModelScript(first_token_ms=80, token_ms=10, otherwise=Reply(raw="раз два три четыре"))
    async with stage(script) as (server, client):
        await streamed(client, "привет")
        (record,) = server.requests
        assert record.first_token_at_s is not None
        assert record.ended_at_s is not None
        assert record.first_token_at_s - record.received_at_s >= 0.079
        # Each token has its instant: when the first one is late, the others do not wait for it.
        assert record.ended_at_s - record.received_at_s >= 0.079 + 0.01 * (record.completion_tokens - 1)


@pytest.mark.parametrize("words", ["пауза", "медленно", "замри", "без конца"])
async def test_a_client_that_leaves_is_noticed_at_once(words: str) -> None:
    async with stage() as (server, client), anyio.create_task_group() as group:
        group.start_soon(streamed, client, words)
        await server.until_running(1)
        left_at_s = anyio.current_time()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await server.until_running(0)
            (event,) = server.closed_early
            assert event.at_s >= left_at_s
            assert server.requests[0].outcome == "closed_early"


async def test_the_faults_reach_the_client() -> None:
    async with stage() as (server, client):
        for words, error in (
            ("лежит", openai.APIConnectionError),
            ("ключ", openai.AuthenticationError),
            ("сбой", openai.APIError),
            ("страница", json.JSONDecodeError),
        ):
            with pytest.raises(error):
                await streamed(client, words)
            assert (await streamed(client, "привет"))[1] == "stop"
        assert [record.outcome for record in server.requests] == ["failed", "completed"] * 4


async def test_too_often_says_when_to_come_back_and_only_once() -> None:
    async with stage() as (_, client):
        with pytest.raises(openai.RateLimitError) as caught:
            await streamed(client, "часто")
        assert caught.value.response.headers["retry-after"] == "3"
        assert caught.value.code == "rate_limit_exceeded"
        assert (await streamed(client, "часто"))[1] == "stop"


async def test_a_cut_drops_the_connection_and_a_polite_one_ends_without_a_reason() -> None:
    async with stage() as (server, client):
        with pytest.raises(openai.APIConnectionError):
            await streamed(client, "обрыв")
        written, reason, _ = await streamed(client, "тихо оборвись")
        assert len(written) == 30
        assert reason is None
        assert [record.outcome for record in server.requests] == ["failed", "failed"]


async def test_the_kinds_of_answers() -> None:
    async with stage() as (_, client):
        long, reason, used = await streamed(client, "длинно")
        assert len(json.loads(long)["answer"].split()) == 3000
        assert reason == "stop"
        cut, reason, used = await streamed(client, "длинно", max_completion_tokens=50)
        assert (reason, used) == ("length", 50)
        assert long.startswith(cut)
        assert json.loads((await streamed(client, "english please"))[0])["answer"].isascii()
        assert (await streamed(client, "сырой"))[0] == "просто текст"
        assert (await streamed(client, "фильтр"))[1] == "content_filter"


async def test_the_script_may_change_while_it_runs() -> None:
    async with stage() as (server, client):
        server.script = ModelScript(first_token_ms=0, otherwise=Reply(raw="другое"))
        assert (await streamed(client, "привет"))[0] == "другое"


async def test_wrong_requests_are_told_what_is_wrong() -> None:
    async with stage() as (server, client):
        with pytest.raises(openai.BadRequestError, match="at least one message"):
            await client.chat.completions.create(model="m", messages=[])
        with pytest.raises(openai.BadRequestError, match="max_tokens"):
            await client.chat.completions.create(model="m", messages=asking("а"), max_tokens=0)
        with pytest.raises(openai.NotFoundError, match="base_url must end in /v1"):
            await client.embeddings.create(model="m", input="а")
        for body in (b"{", b"[]", b'{"model": "m", "messages": ["a"]}', b'{"model":"m","messages":[{"role":"x"}]}'):
            head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
            assert (await exchange(server, head + body)).startswith(b"HTTP/1.1 400 ")
        assert await exchange(server, b"\x16\x03\x01 no http at all\r\n\r\n") == b""
        assert server.counts.requests == 0
        assert (await streamed(client, "привет"))[1] == "stop"


async def test_a_busy_port_is_a_clear_message() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port}: the port is in use"):
            async with serve_model(port=port):
                pass


async def test_stopping_cuts_running_answers_and_frees_the_port() -> None:
    async with serve_model(QUICK) as server:
        port = server.port
        stream = await anyio.connect_tcp("127.0.0.1", port)
        body = json.dumps({"model": "m", "stream": True, "messages": asking("пауза")}).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        await stream.send(head + body)
        with anyio.fail_after(5):
            await server.until_running(1)
    async with stream:
        with anyio.fail_after(5), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await received_forever(stream)
    async with serve_model(QUICK, port=port) as again:
        assert again.port == port


def command(*options: str) -> subprocess.Popen[str]:
    run = "import typer; from kamerton.cli.model_server import model_server; typer.run(model_server)"
    return subprocess.Popen(
        [sys.executable, "-c", run, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_the_command_says_how_to_use_it_logs_requests_and_stops_politely() -> None:
    with command("--port", "0", "--first-token-ms", "0") as process:
        try:
            assert process.stdout is not None
            told = ""
            while "Ctrl-C" not in told:
                line = process.stdout.readline()
                assert line, "the command ended early"
                told += line
            (url,) = re.findall(r"KAMERTON_MODEL__LOCAL__URL=(\S+) KAMERTON_MODEL__LOCAL__MODEL=stand-in", told)
            with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
                answer = client.chat.completions.create(model="stand-in", messages=asking("какая погода?"))
            assert "дистанцию" in (answer.choices[0].message.content or "")
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 0
    (line,) = (line for line in log.splitlines() if "model request ended" in line)
    assert "rule=weather" in line
    assert "outcome=completed" in line
    assert "stopping after 1 requests" in log


def test_the_command_explains_a_busy_port_and_a_wrong_script(tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text("speed: 3", encoding="utf-8")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for options, message in (
            (("--port", str(port)), f"port {port}: the port is in use"),
            (("--port", "0", "--script", str(script)), "speed: Extra inputs"),
        ):
            with command(*options) as process:
                _, log = process.communicate(timeout=20)
            assert process.returncode == 1
            assert message in log
            assert "Traceback" not in log
