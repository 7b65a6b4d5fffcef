"""Any server that speaks OpenAI's chat completions: OpenAI, Ollama, vLLM, llama.cpp, YandexGPT. Streaming only.

`openai` takes a second to import and a client some milliseconds to make (certificates), so both happen when the adapter
is made, at start-up and never during a call.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeVar, cast
from urllib.parse import urlsplit, urlunsplit

import anyio

from kamerton.domain.errors import ConfigurationError, EngineError
from kamerton.domain.foreign_text import LONGEST_REMARK, shown_line
from kamerton.domain.language_model import GenerationEnded, ModelEvent, ModelRequest, TextDelta
from kamerton.llm.limits import ModelTimeouts
from kamerton.llm.openai.event_stream import EventStream, NoEventStream, ServerEvent
from kamerton.llm.structured_answer import ANSWER_SCHEMA
from kamerton.llm.thoughts import ThoughtFilter

logger = logging.getLogger(__name__)

JsonMode = Literal["schema", "object", "off"]
T = TypeVar("T")


class _Response(Protocol):
    """What is used of the client's response."""

    def iter_bytes(self) -> AsyncGenerator[bytes, None]: ...

    async def close(self) -> None: ...


USAGE_S: Final = 0.5
"""Longest wait for the counts after the model said that it has finished."""
CLOSE_S: Final = 1.0
"""Longest wait for a connection to close; it takes well under a millisecond."""

_REASONS: Final[dict[str, Literal["stop", "length", "filtered"]]] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "filtered",
}


@dataclass(frozen=True, slots=True)
class OpenAICompatibleSettings:
    """Where a model is and how its server wants to be asked."""

    base_url: str
    """With the version: `https://api.openai.com/v1`, `http://localhost:11434/v1`."""
    model: str
    api_key: str | None = field(default=None, repr=False)
    """None for local servers that want none: nothing is sent then, whatever the environment holds."""
    project: str | None = None
    """Sent as `OpenAI-Project`; the folder of YandexGPT."""
    json_mode: JsonMode = "object"
    """How a JSON answer is promised: by schema, by `json_object`, or not at all where a server rejects both."""
    temperature: float | None = None
    """None leaves it to the server."""
    token_limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """OpenAI's reasoning models know only the second name, most other servers only the first."""
    timeouts: ModelTimeouts = field(default_factory=ModelTimeouts)

    def __post_init__(self) -> None:
        """Refuse an address that cannot be called.

        Raises:
            ConfigurationError: the address is no HTTP address, or no model is named.
        """
        address = urlsplit(self.base_url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ConfigurationError(
                f"language model: base_url '{self.shown_url}' is not an http(s) address; "
                "set it like https://api.openai.com/v1"
            )
        if not self.model.strip():
            raise ConfigurationError(f"language model: no model is named for {self.shown_url}; set model")

    @property
    def shown_url(self) -> str:
        """The address without credentials and queries, for messages and names."""
        address = urlsplit(self.base_url)
        return urlunsplit((address.scheme, address.netloc.rpartition("@")[2], address.path.rstrip("/"), "", ""))


@dataclass(slots=True)
class _Progress:
    """What is known of one stream so far."""

    waited_s: float = 0.0
    begun: bool = False
    understood: bool = False
    """The server sent at least one chunk of a chat completion."""
    done: bool = False
    """The server said that nothing more follows; only the end of the response may."""
    events: EventStream = field(default_factory=EventStream)
    reason: Literal["stop", "length", "filtered"] | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class OpenAICompatibleModel:
    """A `LanguageModel` behind the official client. Shared by all calls; connections are pooled.

    Nothing is asked twice: a second try would come too late for a caller. Only a server that rejects `stream_options`
    is asked again at once, and never for it any more.
    """

    def __init__(self, settings: OpenAICompatibleSettings) -> None:
        import httpx2  # what the client speaks HTTP with, and whose errors a response that is being read raises
        import openai  # a second of import time, paid only where a model is configured

        timeouts = settings.timeouts
        self._settings = settings
        self._openai = openai
        self._transport_errors = (httpx2.HTTPError, httpx2.StreamError)
        self._counts_wanted = True
        self._client = openai.AsyncOpenAI(
            api_key=settings.api_key or "none",
            organization="",
            project=settings.project or "",
            base_url=settings.base_url,
            max_retries=0,
            timeout=openai.Timeout(None, connect=timeouts.connect_s, pool=timeouts.connect_s),
        )
        self._omitted = self._omitted_headers()

    @property
    def name(self) -> str:
        """Model and address: `gpt-4o-mini@https://api.openai.com/v1`."""
        return f"{self._settings.model}@{self._settings.shown_url}"

    async def generate(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Yield deltas, then `GenerationEnded`. Closing or cancelling drops the connection at once.

        What a reasoning model thinks before its answer is left out.

        Raises:
            EngineError: the server is away, slow, overloaded, rejects the request, answers nonsense or broke off.
        """
        progress = _Progress()
        thoughts = ThoughtFilter()
        response = await self._open(request, progress)
        body = response.iter_bytes()
        try:
            while (events := await self._next_events(body, progress)) is not None:
                for event in events:
                    text = thoughts.push(self._read_event(event, progress))
                    if text:
                        yield TextDelta(text)
        finally:
            await self._close(response, body)
        if rest := thoughts.finish():
            yield TextDelta(rest)
        if progress.reason is None:
            raise self._broken_off() if progress.understood else self._nonsense()
        yield GenerationEnded(progress.reason, progress.prompt_tokens, progress.completion_tokens)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.close()

    @property
    def _where(self) -> str:
        return f"the language model '{self._settings.model}' at {self._settings.shown_url}"

    def _omitted_headers(self) -> dict[str, Any]:
        """What the client would send of its own accord, from the environment."""
        omitted: dict[str, Any] = {"OpenAI-Organization": self._openai.Omit()}
        if not self._settings.project:
            omitted["OpenAI-Project"] = self._openai.Omit()
        if not self._settings.api_key:
            omitted["Authorization"] = self._openai.Omit()
        return omitted

    async def _open(self, request: ModelRequest, progress: _Progress) -> _Response:
        wanted_counts = self._counts_wanted
        try:
            return await self._ask(request, progress)
        except self._openai.APIStatusError as error:
            if not (wanted_counts and error.status_code in (400, 422) and "stream_options" in str(error)):
                raise self._failure(error) from None
        except (self._openai.OpenAIError, ValueError) as error:
            raise self._failure(error) from None
        self._counts_wanted = False
        logger.info("the server knows no stream_options; tokens are not counted", extra={"model": self.name})
        try:
            return await self._ask(request, progress)
        except (self._openai.OpenAIError, ValueError) as error:
            raise self._failure(error) from None

    async def _ask(self, request: ModelRequest, progress: _Progress) -> _Response:
        asked = self._client.chat.completions.with_streaming_response.create(
            **self._body(request), extra_headers=self._omitted
        )
        return cast(_Response, await self._bounded(asked.__aenter__(), progress))

    def _body(self, request: ModelRequest) -> dict[str, Any]:
        settings = self._settings
        body: dict[str, Any] = {
            "model": settings.model,
            "messages": [{"role": message.role, "content": message.text} for message in request.messages],
            settings.token_limit_field: request.max_tokens,
            "stream": True,
        }
        if self._counts_wanted:
            body["stream_options"] = {"include_usage": True}
        if settings.temperature is not None:
            body["temperature"] = settings.temperature
        if request.json_answer and settings.json_mode == "schema":
            schema = {"name": "spoken_answer", "strict": True, "schema": ANSWER_SCHEMA}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif request.json_answer and settings.json_mode == "object":
            body["response_format"] = {"type": "json_object"}
        return body

    async def _next_events(self, body: AsyncGenerator[bytes, None], progress: _Progress) -> list[ServerEvent] | None:
        """What the next piece of the response completes, or None at its end."""
        try:
            try:
                return progress.events.push(await self._bounded(anext(body), progress))
            except StopAsyncIteration:
                return progress.events.finish() or None
        except NoEventStream as other:
            raise self._no_stream(str(other)) from None
        except (EngineError, *self._transport_errors) as error:
            if progress.reason is None and not isinstance(error, EngineError):
                raise self._broken_off() from None
            if progress.reason is None:
                raise
            logger.info("a finished stream ended badly", extra={"model": self.name, "problem": type(error).__name__})
            return None

    async def _bounded(self, work: Awaitable[T], progress: _Progress) -> T:
        """Wait for the server as long as its timeouts allow; only these waits are counted."""
        started_s = anyio.current_time()
        allowed_s, setting = self._allowed(progress)
        try:
            with anyio.fail_after(allowed_s):
                return await work
        except TimeoutError:
            raise EngineError(
                f"{self._where} is too slow: nothing for {allowed_s:.1f} s ({setting}); "
                "relieve the server, choose a faster model or raise the timeout",
                "model_timeout",
            ) from None
        finally:
            progress.waited_s += anyio.current_time() - started_s

    def _allowed(self, progress: _Progress) -> tuple[float, str]:
        timeouts = self._settings.timeouts
        total = (max(0.0, timeouts.total_s - progress.waited_s), "total_s")
        if progress.done or progress.reason is not None:
            return min(total, (USAGE_S, "counts"))
        if progress.begun:
            return min(total, (timeouts.between_tokens_s, "between_tokens_s"))
        return min(total, (max(0.0, timeouts.first_token_s - progress.waited_s), "first_token_s"))

    def _read_event(self, event: ServerEvent, progress: _Progress) -> str:
        """Note what an event tells and return its text; what is no chunk of a completion («ping») is skipped."""
        progress.done = progress.done or event.data.startswith("[DONE]")
        if progress.done:
            return ""
        try:
            chunk = json.loads(event.data)
        except ValueError:
            raise self._nonsense() from None
        if not isinstance(chunk, dict):
            raise self._nonsense()
        if chunk.get("error") or event.kind == "error":
            raise self._failed_midway(chunk.get("error") or chunk)
        return self._read_chunk(chunk, progress)

    def _read_chunk(self, chunk: dict[str, Any], progress: _Progress) -> str:
        usage = chunk.get("usage")
        for name in ("prompt_tokens", "completion_tokens"):
            count = usage.get(name) if isinstance(usage, dict) else None
            if isinstance(count, int):
                setattr(progress, name, count)
        choices = chunk.get("choices")
        if not choices:
            return ""
        if not isinstance(choices, list) or not isinstance(choices[0], dict):
            raise self._nonsense()
        progress.understood = True
        reason, delta = choices[0].get("finish_reason"), choices[0].get("delta")
        if isinstance(reason, str) and reason:
            progress.reason = _REASONS.get(reason, "stop")
        told = delta if isinstance(delta, dict) else {}
        if told.get("refusal"):
            progress.reason = "filtered"
        text = told.get("content")
        if text is not None and not isinstance(text, str):
            raise self._nonsense()
        progress.begun = progress.begun or bool(text)
        return text or ""

    async def _close(self, response: _Response, body: AsyncGenerator[bytes, None]) -> None:
        """Drop the connection, then let the client's own generators run out, so that the loop finds none to finish."""
        with anyio.move_on_after(CLOSE_S, shield=True):
            await response.close()
            with contextlib.suppress(*self._transport_errors, StopAsyncIteration):
                while True:
                    await anext(body)

    def _broken_off(self) -> EngineError:
        what = "broke off in the middle of its answer; ask again and look at its log"
        return EngineError(f"{self._where} {what}", "model_stream")

    def _nonsense(self) -> EngineError:
        what = "answers what is no chat completion; check that base_url leads to an OpenAI-compatible API"
        return EngineError(f"{self._where} {what}", "model_stream")

    def _no_stream(self, began: str) -> EngineError:
        """The response is a document: a page of a proxy or a web site, or an answer in one piece."""
        what = "a web page" if began.lstrip().startswith("<") else "one JSON document"
        advice = "base_url leads to no streaming API; set the address of an OpenAI-compatible one, with its version"
        remark = self._quoted(_error_of(began))
        return EngineError(f"{self._where} answers with {what} instead of a stream: {advice}{remark}", "model_stream")

    def _failed_midway(self, error: object) -> EngineError:
        what = "failed in the middle of its answer; look at its log"
        return EngineError(f"{self._where} {what}{self._quoted(error)}", "model_stream")

    def _failure(self, error: Exception) -> EngineError:
        """What went wrong, where, and what to do; never with the key, even when the server repeats it."""
        openai = self._openai
        if isinstance(error, openai.APITimeoutError):
            what, code = "does not accept connections in time; check the network and the server's load", "model_timeout"
        elif isinstance(error, openai.APIStatusError):
            remark = self._quoted(error.body)
            what = f"{_advice(error.status_code, error.response.headers)} (HTTP {error.status_code}{remark})"
            code = "model_http"
        elif isinstance(error, openai.APIConnectionError):
            what = "cannot be reached or hangs up; check that it runs, base_url and the network"
            code = "model_connection"
        else:
            return self._nonsense()
        return EngineError(f"{self._where} {what}", code)

    def _quoted(self, body: object) -> str:
        """A server's own words, without the key and without what a terminal obeys; empty when there are none."""
        said = body.get("message") if isinstance(body, dict) else body
        if not isinstance(said, str) or not said.strip():
            return ""
        if self._settings.api_key:
            said = said.replace(self._settings.api_key, "***")
        return f": {shown_line(said, LONGEST_REMARK)}"


def _error_of(document: str) -> object:
    """The error that a JSON document tells, if it is one and does."""
    try:
        found = json.loads(document)
    except ValueError:
        return None
    return found.get("error") if isinstance(found, dict) else None


def _advice(status: int, headers: Mapping[str, str]) -> str:
    if status == 401:
        return "rejects the API key; set the right one"
    if status == 403:
        return "forbids this key the model; check the account's rights and region"
    if status == 404:
        return "does not know the model or the path; check model and base_url"
    if status == 429:
        pause = headers.get("retry-after", "")
        asked = f" and asks to wait {pause[:40]} s" if pause.replace(".", "", 1).isdigit() else ""
        return f"is overloaded or its quota is used up{asked}; lower the load or raise the quota"
    if status >= 500:
        return "failed; look at its log or status page"
    return "rejects the request; check json_mode, token_limit_field and the model's abilities"
