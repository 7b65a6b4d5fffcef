"""Claude as a `LanguageModel`: what is asked goes out in one request, what comes is read as it is written."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any, Final

from kamerton.domain.errors import VendorError
from kamerton.domain.language_model import GenerationEnded, ModelEvent, ModelRequest, TextDelta, ToolCall
from kamerton.llm.accounting import record_answer
from kamerton.llm.anthropic import faults
from kamerton.llm.anthropic.answer import AnswerReader, ErrorEvent, NoMessage
from kamerton.llm.anthropic.client import TRANSPORT_ERRORS, AnthropicClient, Response, closed, document_of
from kamerton.llm.anthropic.request import Manner, Thoughts, answer_tool, message_body
from kamerton.llm.limits import ModelTimeouts
from kamerton.llm.model_errors import model_error
from kamerton.llm.openai.event_stream import EventStream, NoEventStream, ServerEvent
from kamerton.llm.patience import Patience
from kamerton.llm.token_counts import estimate_tokens
from kamerton.vendors.usage import UsageMeter

logger = logging.getLogger(__name__)

ENGINE_NAME: Final = "anthropic"
_MOST_ATTEMPTS: Final = 8
"""More than there are settings that a model may reject one after another."""


@dataclass(slots=True)
class _Stream:
    """One answer on its way in."""

    response: Response
    body: AsyncGenerator[bytes, None]
    patience: Patience
    reader: AnswerReader
    events: EventStream = field(default_factory=EventStream)
    come: deque[ServerEvent] = field(default_factory=deque)
    """What has come and was not read yet: what stands before an error is yielded before it is raised."""
    written: list[str] = field(default_factory=list)


class AnthropicModel:
    """A `LanguageModel` shared by all calls.

    Nothing is asked twice, with one exception: a model that rejects a setting (thinking that cannot be switched off, an
    output format, forced tools) is asked again at once without it, and never with it any more.

    Args:
        client: what asks the API; closed with the model.
        manner: how it is asked.
        timeouts: how long it may take.
        usage: told of tokens.
    """

    def __init__(self, client: AnthropicClient, manner: Manner, timeouts: ModelTimeouts, usage: UsageMeter) -> None:
        self._client = client
        self._manner = manner
        self._timeouts = timeouts
        self._usage = usage
        self._thoughts = Thoughts()
        self._name = f"{manner.model}@{client.url}"

    @property
    def name(self) -> str:
        """Model and address: `claude-haiku-5-5@https://api.anthropic.com`."""
        return self._name

    async def generate(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Yield text and tool calls, then the end. Closing or cancelling drops the connection at once.

        Thoughts are left out; those of an answer with tool calls go back to the model with the results.

        Raises:
            VendorError: the API is away, slow, overloaded, refuses the request, sends nonsense or broke off.
        """
        patience = Patience(self._timeouts, self._client.where)
        response, manner = await self._open(request, patience)
        stream = _Stream(response, response.iter_bytes(), patience, AnswerReader(answer_tool(request, manner)))
        ended: GenerationEnded | None = None
        try:
            while (events := await self._next_events(stream)) is not None:
                for event in events:
                    yield event
            ended = self._ended(stream)
        finally:
            await closed(stream.response, stream.body)
            self._settle(stream, ended)
        yield ended

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _open(self, request: ModelRequest, patience: Patience) -> tuple[Response, Manner]:
        """Ask, once more for each setting that the model turns out to reject."""
        for _ in range(_MOST_ATTEMPTS):
            manner = self._manner
            try:
                body = message_body(request, manner, self._thoughts)
                return await patience.bounded(self._client.ask(body)), manner
            except VendorError as error:
                conceded = manner.without(str(error)) if error.fault == "rejected" else None
                if conceded is None:
                    raise
                logger.warning("a model rejects a setting and is asked without it", extra={"problem": str(error)})
                if self._manner == manner:
                    self._manner = conceded
        raise model_error(self._client.where, "rejects one setting after another; see the log", "rejected")

    async def _next_events(self, stream: _Stream) -> list[ModelEvent] | None:
        """What comes next of the answer, or None at its end. Pings and the like are waited through."""
        try:
            return await stream.patience.bounded(self._read(stream))
        except (NoEventStream, NoMessage) as other:
            raise self._nonsense(stream, other) from None
        except ErrorEvent as error:
            raise faults.of_event(self._client.where, error.body, self._client.key) from None
        except TRANSPORT_ERRORS as error:
            if stream.reader.ended is None:
                raise self._broken_off(stream, error) from None
            return None
        except VendorError:
            if stream.reader.ended is None:
                raise
            return None

    async def _read(self, stream: _Stream) -> list[ModelEvent] | None:
        """Read until something of the answer has come, or it is known why it ends; then to the end of the body.

        A body that was read to its end leaves the connection to the next answer.
        """
        reader = stream.reader
        while True:
            while stream.come:
                found = reader.push(_decoded(stream.come.popleft()))
                if reader.reason is not None:
                    stream.patience.phase = "finished"
                elif reader.writing:
                    stream.patience.phase = "writing"
                if found or (reader.reason is not None and not reader.over):
                    stream.written += [_written(event) for event in found]
                    return found
            try:
                stream.come += stream.events.push(await anext(stream.body))
            except StopAsyncIteration:
                stream.come += stream.events.finish()
                if not stream.come:
                    return None

    def _ended(self, stream: _Stream) -> GenerationEnded:
        reader = stream.reader
        if reader.ended is None:
            raise self._broken_off(stream, None) if reader.begun else self._nonsense(stream, None)
        if reader.reason == "refused":
            extra = {"model": self._name, "category": reader.category or "none given", "response": reader.response_id}
            logger.warning("the vendor refuses to let the model answer", extra=extra)
        if reader.thoughts and reader.first_call_id:
            self._thoughts.keep(reader.first_call_id, reader.thoughts)
        return reader.ended

    def _settle(self, stream: _Stream, ended: GenerationEnded | None) -> None:
        """Count the tokens. Of an answer that was cut short what was written is estimated."""
        reader = stream.reader
        if ended is None:
            if reader.prompt_tokens is None:
                return
            guessed = estimate_tokens("".join(stream.written))
            ended = GenerationEnded("stop", reader.prompt_tokens, guessed, reader.cached_tokens)
        record_answer(self._usage, ENGINE_NAME, self._manner.model, ended)

    def _broken_off(self, stream: _Stream, error: Exception | None) -> VendorError:
        if not stream.reader.begun:
            what = "hangs up before it has said anything; ask again and look at the vendor's status page"
        else:
            what = "broke off in the middle of its answer; ask again and look at the vendor's status page"
        detail = f" ({type(error).__name__})" if error is not None else ""
        return model_error(self._client.where, f"{what}{detail}", "connection", code="model_stream")

    def _nonsense(self, stream: _Stream, problem: Exception | None) -> VendorError:
        """The response is no stream of the Messages API: a page of a proxy, one document, or another protocol."""
        document = str(problem) if isinstance(problem, NoEventStream) else ""
        if document.lstrip().startswith(("<", "{", "[")):
            kind = "a web page" if document.lstrip().startswith("<") else "one JSON document"
            remark = faults.said(document_of(document), self._client.key)
            what = f"answers with {kind} instead of a stream: url leads to no streaming API; set {_USUAL}{remark}"
            return model_error(self._client.where, what, "broken")
        told = f" ({problem})" if isinstance(problem, NoMessage) else ""
        what = f"sends what is not understood as a message{told}; check that url leads to the Messages API"
        return model_error(self._client.where, what, "broken")


_USUAL: Final = "it like https://api.anthropic.com"


def _decoded(event: ServerEvent) -> dict[str, Any]:
    """The JSON of an event; that of a ping may be anything."""
    try:
        found = json.loads(event.data)
    except (ValueError, RecursionError):
        if event.kind == "ping":
            return {}
        raise NoMessage("an event is not JSON") from None
    if not isinstance(found, dict):
        raise NoMessage("an event is no JSON object")
    return found if found.get("type") or event.kind != "error" else {"type": "error", **found}


def _written(event: ModelEvent) -> str:
    if isinstance(event, TextDelta):
        return event.text
    return event.name + event.arguments if isinstance(event, ToolCall) else ""
