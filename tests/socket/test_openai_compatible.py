"""The adapter for OpenAI-compatible servers, over real sockets: the shared suite, and what only a raw wire can show."""

import gc
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream

from kamerton.domain.errors import ConfigurationError, EngineError
from kamerton.domain.language_model import ChatMessage, GenerationEnded, ModelEvent, ModelRequest, TextDelta
from kamerton.llm.limits import ModelTimeouts
from kamerton.llm.openai.model import OpenAICompatibleModel
from kamerton.llm.openai.server_settings import OpenAICompatibleSettings
from kamerton.llm.structured_answer import SPOKEN_ANSWER

pytestmark = [pytest.mark.anyio, pytest.mark.socket]

KEY = "sk-very-secret-0123456789"
QUICK = ModelTimeouts(connect_s=2.0, first_token_s=0.4, between_tokens_s=0.4, total_s=5.0)
ASKED = ModelRequest((ChatMessage("system", "Ты помощник."), ChatMessage("user", "привет")), 50, SPOKEN_ANSWER)


@dataclass
class Wire:
    """A server that answers each request with the next of its answers, byte for byte, and tells what it saw."""

    answers: list[bytes]
    stays_open: bool = False
    port: int = 0
    heads: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    answered: anyio.Event = field(default_factory=anyio.Event)
    gone: anyio.Event = field(default_factory=anyio.Event)

    async def serve(self, stream: SocketStream) -> None:
        async with stream:
            data = b""
            while b"\r\n\r\n" not in data:
                data += await stream.receive()
            head, _, body = data.partition(b"\r\n\r\n")
            length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if b"content-length" in line.lower())
            while len(body) < length:
                body += await stream.receive()
            self.heads.append(head.decode())
            self.bodies.append(json.loads(body))
            await stream.send(self.answers[min(len(self.heads), len(self.answers)) - 1])
            self.answered.set()
            if self.stays_open:
                try:
                    await stream.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    self.gone.set()

    def model(self, **changes: Any) -> OpenAICompatibleModel:
        given: dict[str, Any] = {"api_key": KEY, "timeouts": QUICK, **changes}
        return OpenAICompatibleModel(OpenAICompatibleSettings(f"http://127.0.0.1:{self.port}/v1", "tiny", **given))


@asynccontextmanager
async def wired(*answers: bytes, stays_open: bool = False) -> AsyncIterator[Wire]:
    wire = Wire(list(answers), stays_open)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    wire.port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as serving:
        serving.start_soon(listener.serve, wire.serve)
        with anyio.fail_after(20):
            yield wire
        serving.cancel_scope.cancel()


def answer(status: str, body: bytes, *headers: str, kind: str = "application/json") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-type: {kind}", "connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def streamed(*data: object, done: bool = True) -> bytes:
    """A stream of events; text goes as it is, anything else as JSON."""
    lines = [item if isinstance(item, str) else json.dumps(item) for item in data]
    events = "".join(f"data: {line}\n\n" for line in lines) + ("data: [DONE]\n\n" if done else "")
    return answer("200 OK", events.encode(), kind="text/event-stream")


def delta(text: str | None, reason: str | None = None, **more: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {"content": text, **more}, "finish_reason": reason}]}


async def generated(model: OpenAICompatibleModel) -> list[ModelEvent]:
    try:
        async with aclosing(model.generate(ASKED)) as events:
            return [event async for event in events]
    finally:
        await model.aclose()


async def failure(wire: Wire, **changes: Any) -> str:
    model = wire.model(**changes)
    with pytest.raises(EngineError) as caught:
        await generated(model)
    message = str(caught.value)
    assert str(wire.port) in message
    assert KEY not in message
    assert caught.value.__cause__ is None
    return message


async def test_the_key_is_never_repeated_even_when_the_server_does() -> None:
    body = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}).encode()
    async with wired(answer("401 Unauthorized", body)) as wire:
        message = await failure(wire)
        assert "set the right one" in message
        assert "***" in message
        assert KEY not in repr(wire.model())
        assert KEY not in repr(OpenAICompatibleSettings("http://h/v1", "m", KEY))


async def test_a_wait_that_the_server_asks_for_is_said() -> None:
    async with wired(answer("429 Too Many Requests", b"{}", "retry-after: 17")) as wire:
        assert "wait 17 s" in await failure(wire)
        assert len(wire.heads) == 1


async def test_credentials_in_the_address_stay_out_of_names_and_messages() -> None:
    settings = OpenAICompatibleSettings("https://user:hunter2@example.test/v1/?token=hunter2", "m")
    model = OpenAICompatibleModel(settings)
    assert model.name == "m@https://example.test/v1"
    await model.aclose()


async def test_without_a_key_no_authorization_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-somebody-else")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-somebody-else")
    async with wired(streamed(delta("да", "stop"))) as wire:
        await generated(wire.model(api_key=None))
    head = wire.heads[0].lower()
    assert "authorization" not in head
    assert "somebody-else" not in head


async def test_key_and_project_are_sent() -> None:
    async with wired(streamed(delta("да", "stop"))) as wire:
        await generated(wire.model(project="folder-7"))
    head = wire.heads[0].lower()
    assert f"authorization: bearer {KEY}" in head
    assert "openai-project: folder-7" in head


@pytest.mark.parametrize(("json_mode", "kind"), [("schema", "json_schema"), ("object", "json_object"), ("off", None)])
async def test_json_is_asked_for_as_configured(json_mode: str, kind: str | None) -> None:
    async with wired(streamed(delta("да", "stop"))) as wire:
        await generated(wire.model(json_mode=json_mode, temperature=0.2, token_limit_field="max_completion_tokens"))
    (body,) = wire.bodies
    assert body.get("response_format", {}).get("type") == kind
    assert body["temperature"] == 0.2
    assert body["max_completion_tokens"] == 50
    assert "max_tokens" not in body
    assert body["stream_options"] == {"include_usage": True}


async def test_a_server_that_rejects_stream_options_is_asked_without_them_from_then_on() -> None:
    rejection = answer("400 Bad Request", b'{"error": {"message": "unknown field: stream_options"}}')
    async with wired(rejection, streamed(delta("да", "stop"))) as wire:
        model = wire.model()
        async with aclosing(model.generate(ASKED)) as events:
            assert [event async for event in events] == [TextDelta("да"), GenerationEnded("stop")]
        await generated(model)
    assert ["stream_options" in body for body in wire.bodies] == [True, False, False]


async def test_any_other_rejection_is_not_repeated() -> None:
    async with wired(answer("400 Bad Request", b'{"error": {"message": "no response_format here"}}')) as wire:
        assert "no response_format here" in await failure(wire)
        assert len(wire.heads) == 1


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [
        ([delta("да", "length")], "length"),
        ([delta("да"), delta("", "content_filter")], "filtered"),
        ([delta(None, refusal="I cannot"), delta("да", "stop")], "refused"),
        ([delta("да"), delta(None, "end_turn")], "stop"),
    ],
)
async def test_reasons_of_the_end(chunks: list[object], reason: str) -> None:
    counts = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}}
    async with wired(streamed(*chunks, counts)) as wire:
        assert await generated(wire.model()) == [TextDelta("да"), GenerationEnded(reason, 9, 2)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "chunks",
    [
        ["{broken"],
        ['"a string"'],
        ["[1, 2]"],
        [{"choices": None}],
        [{"choices": [{"delta": {"content": 5}}]}],
        [{"choices": [7]}],
        [{"choices": "text"}],
        [{"detail": "not found"}],
    ],
)
async def test_a_broken_chunk_is_a_failure(chunks: list[object]) -> None:
    async with wired(streamed(*chunks)) as wire:
        await failure(wire)


async def test_an_error_inside_the_stream_is_a_failure() -> None:
    async with wired(streamed(delta("да"), {"error": {"message": "out of memory"}})) as wire:
        assert "out of memory" in await failure(wire)


async def test_a_web_page_instead_of_an_api_is_a_failure() -> None:
    async with wired(answer("200 OK", b"<html>Welcome</html>", kind="text/html")) as wire:
        await failure(wire)


async def test_without_a_reason_the_stream_was_cut() -> None:
    async with wired(streamed(delta("да"), delta("же"))) as wire:
        assert "broke off" in await failure(wire)


async def test_a_server_that_never_says_done_does_not_hold_a_finished_answer() -> None:
    async with wired(streamed(delta("да", "stop"), done=False), stays_open=True) as wire:
        assert await generated(wire.model()) == [TextDelta("да"), GenerationEnded("stop")]
        await wire.gone.wait()


async def test_a_trickle_without_text_ends_with_the_wait_for_the_first_token() -> None:
    async with wired(streamed(delta(""), delta(""), done=False), stays_open=True) as wire:
        assert "first_token_s" in await failure(wire)
        await wire.gone.wait()


@contextmanager
def lost_generators() -> Iterator[list[str]]:
    """Generators that were left unfinished for the loop to finish some day."""
    lost: list[str] = []
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(finalizer=lambda generator: lost.append(repr(generator)))
    try:
        yield lost
        gc.collect()
    finally:
        sys.set_asyncgen_hooks(*hooks)


async def test_closing_leaves_no_connection_and_no_work() -> None:
    async with wired(streamed(delta("раз"), delta("два"), done=False), stays_open=True) as wire:
        model = wire.model()
        with lost_generators() as lost:
            async with aclosing(model.generate(ASKED)) as events:
                assert await anext(events) == TextDelta("раз")
        assert lost == []
        await wire.gone.wait()
        await model.aclose()


async def test_cancelling_leaves_no_connection_and_no_work() -> None:
    async with wired(streamed(delta("раз"), done=False), stays_open=True) as wire:
        model = wire.model()
        with lost_generators() as lost:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(generated, model)
                await wire.answered.wait()
                tasks.cancel_scope.cancel()
        assert lost == []
        await wire.gone.wait()


@pytest.mark.parametrize("base_url", ["", "example.test/v1", "ftp://example.test/v1", "http://"])
def test_an_address_that_cannot_be_called_is_refused(base_url: str) -> None:
    with pytest.raises(ConfigurationError, match="url"):
        OpenAICompatibleSettings(base_url, "m")


def test_no_model_and_impossible_times_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="set model"):
        OpenAICompatibleSettings("http://localhost/v1", " ")
    with pytest.raises(ConfigurationError, match="total_s"):
        ModelTimeouts(total_s=0)
