"""Any server that speaks OpenAI's chat completions: OpenAI, Ollama, vLLM, llama.cpp, YandexGPT. Streaming only.

`openai` takes a second to import and a client some milliseconds to make (certificates), so both happen when the adapter
is made, at start-up and never during a call.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeVar
from urllib.parse import urlsplit, urlunsplit

import anyio

from kamerton.domain.errors import ConfigurationError, EngineError
from kamerton.domain.language_model import GenerationEnded, ModelEvent, ModelRequest, TextDelta
from kamerton.llm.limits import ModelTimeouts
from kamerton.llm.structured_answer import ANSWER_SCHEMA

logger = logging.getLogger(__name__)

JsonMode = Literal["schema", "object", "off"]
T = TypeVar("T")

USAGE_S: Final = 0.5
"""Longest wait for the counts after the model said that it has finished."""
CLOSE_S: Final = 1.0
"""Longest wait for a connection to close; it takes well under a millisecond."""
LONGEST_REMARK: Final = 200
"""Characters of a server's own error message that are repeated."""

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


class _Stream(Protocol):
    """What is used of `openai.AsyncStream`."""

    async def __anext__(self) -> Any: ...

    async def close(self) -> None: ...


@dataclass(slots=True)
class _Progress:
    """What is known of one stream so far."""

    waited_s: float = 0.0
    begun: bool = False
    reason: Literal["stop", "length", "filtered"] | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class OpenAICompatibleModel:
    """A `LanguageModel` behind the official client. Shared by all calls; connections are pooled.

    Nothing is asked twice: a second try would come too late for a caller. Only a server that rejects `stream_options`
    is asked again at once, and never for it any more.
    """

    def __init__(self, settings: OpenAICompatibleSettings) -> None:
        import openai  # a second of import time, paid only where a model is configured

        timeouts = settings.timeouts
        self._settings = settings
        self._openai = openai
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

        Raises:
            EngineError: the server is away, slow, overloaded, rejects the request, answers nonsense or broke off.
        """
        progress = _Progress()
        stream = await self._open(request, progress)
        try:
            while (chunk := await self._next_chunk(stream, progress)) is not None:
                text = self._read_chunk(chunk, progress)
                if text:
                    progress.begun = True
                    yield TextDelta(text)
        finally:
            await self._close(stream)
        if progress.reason is None:
            raise self._broken_off()
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

    async def _open(self, request: ModelRequest, progress: _Progress) -> _Stream:
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

    async def _ask(self, request: ModelRequest, progress: _Progress) -> _Stream:
        body = self._body(request)
        return await self._bounded(self._client.chat.completions.create(**body, extra_headers=self._omitted), progress)

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

    async def _next_chunk(self, stream: _Stream, progress: _Progress) -> Any | None:
        """The next chunk, or None at the end of the stream."""
        try:
            return await self._bounded(anext(stream), progress)
        except StopAsyncIteration:
            return None
        except (EngineError, self._openai.OpenAIError, ValueError) as error:
            if progress.reason is None and isinstance(error, self._openai.APIConnectionError):
                raise self._broken_off() from None
            if progress.reason is None:
                raise self._failure(error) from None
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
                "relieve the server, choose a faster model or raise the timeout"
            ) from None
        finally:
            progress.waited_s += anyio.current_time() - started_s

    def _allowed(self, progress: _Progress) -> tuple[float, str]:
        timeouts = self._settings.timeouts
        total = (max(0.0, timeouts.total_s - progress.waited_s), "total_s")
        if progress.reason is not None:
            return min(total, (USAGE_S, "counts"))
        if progress.begun:
            return min(total, (timeouts.between_tokens_s, "between_tokens_s"))
        return min(total, (max(0.0, timeouts.first_token_s - progress.waited_s), "first_token_s"))

    def _read_chunk(self, chunk: Any, progress: _Progress) -> str:
        """Note what a chunk tells and return its text. The client checks no types, so they are checked here."""
        usage = getattr(chunk, "usage", None)
        for name in ("prompt_tokens", "completion_tokens"):
            count = getattr(usage, name, None)
            if isinstance(count, int):
                setattr(progress, name, count)
        choices = getattr(chunk, "choices", None)
        if not choices:
            if isinstance(choices, list) or usage is not None:
                return ""
            raise self._nonsense()
        reason = getattr(choices[0], "finish_reason", None)
        if reason is not None:
            progress.reason = _REASONS.get(reason, "stop")
        delta = getattr(choices[0], "delta", None)
        if getattr(delta, "refusal", None):
            progress.reason = "filtered"
        text = getattr(delta, "content", None)
        if text is not None and not isinstance(text, str):
            raise self._nonsense()
        return text or ""

    async def _close(self, stream: _Stream) -> None:
        """Drop the connection, then let the client's own generators run out, so that the loop finds none to finish."""
        with anyio.move_on_after(CLOSE_S, shield=True):
            await stream.close()
            with contextlib.suppress(self._openai.OpenAIError, StopAsyncIteration, ValueError):
                while True:
                    await anext(stream)

    def _broken_off(self) -> EngineError:
        return EngineError(f"{self._where} broke off in the middle of its answer; ask again and look at its log")

    def _nonsense(self) -> EngineError:
        return EngineError(
            f"{self._where} answers what is no chat completion; check that base_url leads to an OpenAI-compatible API"
        )

    def _failure(self, error: Exception) -> EngineError:
        """What went wrong, where, and what to do; never with the key, even when the server repeats it."""
        openai = self._openai
        if isinstance(error, EngineError):
            return error
        if isinstance(error, openai.APITimeoutError):
            what = "does not accept connections in time; check the network and the server's load"
        elif isinstance(error, openai.APIStatusError):
            what = (
                f"{_advice(error.status_code, error.response.headers)} (HTTP {error.status_code}{self._remark(error)})"
            )
        elif isinstance(error, openai.APIConnectionError):
            what = "cannot be reached or hangs up; check that it runs, base_url and the network"
        elif isinstance(error, openai.APIError):
            what = f"failed in the middle of its answer; look at its log{self._remark(error)}"
        else:
            return self._nonsense()
        return EngineError(f"{self._where} {what}")

    def _remark(self, error: Exception) -> str:
        body = getattr(error, "body", None)
        said = body.get("message") if isinstance(body, dict) else None
        if not isinstance(said, str) or not said.strip():
            return ""
        if self._settings.api_key:
            said = said.replace(self._settings.api_key, "***")
        return f": {' '.join(said.split())[:LONGEST_REMARK]}"


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
