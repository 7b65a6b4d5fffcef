"""The stand-in model server: accepts connections, plays the script, keeps the account."""

from __future__ import annotations

import json
import logging
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from kamerton.testing.model_server.default_script import DEFAULT_SCRIPT
from kamerton.testing.model_server.dialect import ChatRequest, DescribesModels, Dialect
from kamerton.testing.model_server.http_connection import BadRequestError, HttpConnection, HttpRequest
from kamerton.testing.model_server.openai_dialect import CREATED, OpenAIDialect
from kamerton.testing.model_server.performance import Performance
from kamerton.testing.model_server.records import RequestLedger, ServedRequest, ServerCounts, ServerEvent
from kamerton.testing.model_server.script import ModelScript, Reply, Rule, asks_for_summary, last_user_text
from kamerton.transports.addresses import listen_error

logger = logging.getLogger(__name__)

MODEL_NAME = "stand-in"
HANDSHAKE_S = 5.0


class ModelServer:
    """A running stand-in. `serve_model` makes it; the script may be exchanged while it runs."""

    def __init__(self, script: ModelScript, dialect: Dialect, host: str, port: int, scheme: str = "http") -> None:
        self.script = script
        """What it says from the next request on."""
        self.connections = 0
        """Connections that clients opened so far."""
        self._dialect = dialect
        self._scheme = scheme
        self._host = host
        self._port = port
        self._ledger = RequestLedger()
        self._used: Counter[Rule] = Counter()

    @property
    def base_url(self) -> str:
        """What a client is given as `base_url`, with the version."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{self._scheme}://{host}:{self._port}/v1"

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def requests(self) -> tuple[ServedRequest, ...]:
        """The requests so far (the newest 10 000), each with what became of it."""
        return tuple(self._ledger.requests)

    @property
    def events(self) -> tuple[ServerEvent, ...]:
        """What happened so far, in order."""
        return tuple(self._ledger.events)

    @property
    def closed_early(self) -> tuple[ServerEvent, ...]:
        """The requests that their client gave up, each with the instant at which that was noticed."""
        return tuple(event for event in self._ledger.events if event.kind == "closed_early")

    @property
    def counts(self) -> ServerCounts:
        """Totals of requests and tokens."""
        return self._ledger.counts

    @property
    def running(self) -> int:
        """Requests in progress."""
        return self._ledger.counts.running

    async def until_running(self, count: int) -> None:
        """Wait until so many requests are in progress; give it a deadline."""
        while self.running != count:
            await self._ledger.changed()

    async def converse(self, stream: ByteStream) -> None:
        """Serve one client's connection until it leaves; a client's faults end its own connection only."""
        self.connections += 1
        async with stream:
            connection = HttpConnection(stream)
            try:
                while (request := await connection.request()) is not None:
                    await self._handle(connection, request)
            except BadRequestError as error:
                logger.warning("a request to the stand-in model is wrong", extra={"problem": str(error)})
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                logger.debug("a client of the stand-in model left")

    async def _handle(self, connection: HttpConnection, request: HttpRequest) -> None:
        path = request.path.partition("?")[0].removeprefix("/v1")
        key = self.script.api_key
        if key is not None and request.headers.get("authorization") != f"Bearer {key}":
            await connection.respond_json(HTTPStatus.UNAUTHORIZED, self._dialect.refused(401, None, None))
        elif (request.method, path) == ("POST", self._dialect.path):
            try:
                asked = self._dialect.parse(request.body)
            except BadRequestError as error:
                await connection.respond_json(400, self._dialect.refused(400, str(error), None))
            else:
                await self._answer(connection, request, asked)
        elif (request.method, path) == ("GET", "/models"):
            model = {"id": MODEL_NAME, "object": "model", "created": CREATED, "owned_by": "kamerton"}
            await connection.respond_json(HTTPStatus.OK, {"object": "list", "data": [model]})
        elif request.method == "GET" and path.startswith("/models/") and isinstance(self._dialect, DescribesModels):
            status, document = self._dialect.described(path.removeprefix("/models/"), request.headers)
            await connection.respond_json(status, document)
        elif (request.method, path) == ("GET", "/stats"):
            await connection.respond_json(HTTPStatus.OK, self.counts.as_dict())
        else:
            advice = f"nothing at {request.method} {request.path}; base_url must end in /v1"
            await connection.respond_json(HTTPStatus.NOT_FOUND, self._dialect.refused(404, advice, None))

    async def _answer(self, connection: HttpConnection, request: HttpRequest, asked: ChatRequest) -> None:
        record = self._record(request, asked)
        self._ledger.received(record)
        reply = self._choose(asked, record)
        performance = Performance(connection, self._dialect, asked, reply, record, self._ledger, self.script)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._watch, connection, record, group.cancel_scope)
                try:
                    await performance.play()
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    self._ledger.ended(record, "closed_early")
                group.cancel_scope.cancel()
        finally:
            self._ledger.ended(record, "closed_early")
            self._log(record, asked)

    async def _watch(self, connection: HttpConnection, record: ServedRequest, scope: anyio.CancelScope) -> None:
        await connection.gone()
        self._ledger.ended(record, "closed_early")
        scope.cancel()

    def _record(self, request: HttpRequest, asked: ChatRequest) -> ServedRequest:
        return ServedRequest(
            number=self._ledger.counts.requests + 1,
            model=asked.model,
            messages=asked.messages,
            streamed=asked.streamed,
            json_answer=asked.json_answer,
            max_tokens=asked.max_tokens,
            prompt_tokens=asked.prompt_tokens,
            received_at_s=anyio.current_time(),
            answer_schema=asked.answer_schema,
            tools=asked.tools,
            tool_choice=asked.tool_choice,
            headers=request.headers,
            fields=json.loads(request.body),
        )

    def _choose(self, asked: ChatRequest, record: ServedRequest) -> Reply:
        if asks_for_summary(asked.messages):
            record.rule = "summary"
            return self.script.summary or Reply()
        text = last_user_text(asked.messages)
        for rule in self.script.rules:
            if rule.matches(text) and self._may_use(rule):
                record.rule = rule.label
                return rule
        record.rule = "otherwise"
        return self.script.otherwise

    def _may_use(self, rule: Rule) -> bool:
        if rule.times is not None:
            self._used[rule] += 1
            return self._used[rule] <= rule.times
        return True

    def _log(self, record: ServedRequest, asked: ChatRequest) -> None:
        ended_at_s = record.ended_at_s or record.received_at_s
        logger.info(
            "model request ended",
            extra={
                "request": record.number,
                "text": last_user_text(asked.messages),
                "rule": record.rule,
                "outcome": record.outcome,
                "tokens": record.completion_tokens,
                "took_ms": round((ended_at_s - record.received_at_s) * 1000),
            },
        )


@asynccontextmanager
async def serve_model(
    script: ModelScript = DEFAULT_SCRIPT,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    dialect: Dialect | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[ModelServer]:
    """Run a stand-in model server while the context lasts; port 0 takes a free one. Leaving cuts running answers.

    Args:
        script: what it says.
        host: where it listens.
        port: where it listens.
        dialect: whose wire it speaks; OpenAI's by default.
        tls: its certificate; None: plain HTTP.

    Raises:
        ConfigurationError: the address cannot be listened on.
    """
    try:
        listener = await anyio.create_tcp_listener(local_host=host, local_port=port)
    except OSError as error:
        raise listen_error("stand-in model server", host, port, error) from error
    async with listener:
        bound = listener.extra(anyio.abc.SocketAttribute.local_port)
        server = ModelServer(script, dialect or OpenAIDialect(), host, bound, "http" if tls is None else "https")
        async with anyio.create_task_group() as group:
            group.start_soon(listener.serve, server.converse if tls is None else partial(_secured, server, tls))
            yield server
            group.cancel_scope.cancel()


async def _secured(server: ModelServer, tls: ssl.SSLContext, stream: ByteStream) -> None:
    """Serve one client over TLS; one that does not trust the certificate leaves."""
    try:
        with anyio.fail_after(HANDSHAKE_S):
            wrapped = await TLSStream.wrap(stream, server_side=True, ssl_context=tls, standard_compatible=False)
    except (ssl.SSLError, anyio.BrokenResourceError, anyio.EndOfStream, OSError):
        logger.info("a client does not trust the stand-in model's certificate")
        await anyio.aclose_forcefully(stream)
        return
    await server.converse(wrapped)
