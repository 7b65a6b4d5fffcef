"""Any server that speaks OpenAI's chat completions: OpenAI, Ollama, vLLM, llama.cpp, YandexGPT. Streaming only.

`openai` takes a second to import and a client some milliseconds to make (certificates), so both happen when the adapter
is made, at start-up and never during a call.
"""

from __future__ import annotations

import contextlib
import json
import logging
import ssl
from collections.abc import AsyncGenerator
from typing import Any, Final, Protocol, cast

import anyio

from kamerton.domain.errors import ConfigurationError, EngineError, VendorError
from kamerton.domain.language_model import GenerationEnded, ModelEvent, ModelRequest
from kamerton.llm.accounting import record_answer, record_cut_answer
from kamerton.llm.limits import ModelTimeouts
from kamerton.llm.openai.chunk_reader import ChunkReader, FailedMidway, NotACompletion
from kamerton.llm.openai.event_stream import EventStream, NoEventStream, ServerEvent
from kamerton.llm.openai.faults import Faults
from kamerton.llm.openai.request_body import request_body
from kamerton.llm.openai.server_settings import OpenAICompatibleSettings
from kamerton.llm.patience import Patience
from kamerton.vendors.usage import Uncounted, UsageMeter

logger = logging.getLogger(__name__)


class _Response(Protocol):
    """What is used of the client's response."""

    def iter_bytes(self) -> AsyncGenerator[bytes, None]: ...

    async def close(self) -> None: ...


CLOSE_S: Final = 1.0
"""Longest wait for a connection to close; it takes well under a millisecond."""


class OpenAICompatibleModel:
    """A `LanguageModel` behind the official client. Shared by all calls; connections are pooled.

    Nothing is asked twice: a second try would come too late for a caller. Only a server that rejects `stream_options`
    is asked again at once, and never for it any more.

    Args:
        settings: of the server.
        usage: told of the tokens.
        engine: by which name they are counted.

    Raises:
        ConfigurationError: the certificates cannot be read.
    """

    def __init__(
        self, settings: OpenAICompatibleSettings, usage: UsageMeter | None = None, engine: str = "openai"
    ) -> None:
        import httpx2  # what the client speaks HTTP with, and whose errors a response that is being read raises
        import openai  # a second of import time, paid only where a model is configured

        timeouts = settings.timeouts
        self._settings = settings
        self._usage = usage or Uncounted()
        self._engine = engine
        self._faults = Faults(settings)
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
            http_client=openai.DefaultAsyncHttpxClient(
                verify=_trusted(settings), limits=httpx2.Limits(keepalive_expiry=settings.keep_alive_s)
            ),
        )
        self._omitted = self._omitted_headers()

    @property
    def name(self) -> str:
        """Model and address: `gpt-4o-mini@https://api.openai.com/v1`."""
        return f"{self._settings.model}@{self._settings.shown_url}"

    async def generate(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Yield text and tool calls, then `GenerationEnded`. Closing or cancelling drops the connection at once.

        What a reasoning model thinks before its answer is left out.

        Raises:
            VendorError: the server is away, slow, overloaded, rejects the request, answers nonsense or broke off.
        """
        patience = Patience(self._settings.timeouts, self._settings.where)
        reader, stream = ChunkReader(), EventStream()
        response = await self._open(request, patience)
        body = response.iter_bytes()
        ended: GenerationEnded | None = None
        try:
            while (chunks := await self._next_chunks(body, stream, reader, patience)) is not None:
                for chunk in chunks:
                    for event in self._read(chunk, reader, patience):
                        yield event
            await self._close(response, body)
            for event in self._finished(reader):
                ended = event if isinstance(event, GenerationEnded) else None
                yield event
        finally:
            await self._close(response, body)
            self._count(request, reader, ended)

    async def models(self, patience_s: float) -> tuple[str, ...]:
        """Names of the models that the server has; empty when it lists none.

        Raises:
            VendorError: it is away, slower than this, refuses the key, or answers nonsense.
        """
        settings = self._settings
        slow = ModelTimeouts(settings.timeouts.connect_s, patience_s, patience_s, patience_s)
        try:
            asked = self._client.models.with_raw_response.list(extra_headers=self._omitted)
            listed = json.loads((await Patience(slow, settings.where).bounded(asked)).text)
        except (self._openai.OpenAIError, *self._transport_errors, ValueError, RecursionError) as error:
            raise self._failure(error) from None
        entries = listed.get("data") if isinstance(listed, dict) else None
        if not isinstance(entries, list):
            raise self._faults.nonsense()
        found = [entry.get("id") for entry in entries if isinstance(entry, dict)]
        return tuple(name for name in found if isinstance(name, str))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.close()

    def _omitted_headers(self) -> dict[str, Any]:
        """What the client would send of its own accord, from the environment."""
        omitted: dict[str, Any] = {"OpenAI-Organization": self._openai.Omit()}
        if not self._settings.project:
            omitted["OpenAI-Project"] = self._openai.Omit()
        if not self._settings.api_key:
            omitted["Authorization"] = self._openai.Omit()
        return omitted

    async def _open(self, request: ModelRequest, patience: Patience) -> _Response:
        wanted_counts = self._counts_wanted
        try:
            return await self._ask(request, patience)
        except self._openai.APIStatusError as error:
            if not (wanted_counts and error.status_code in (400, 422) and "stream_options" in str(error)):
                raise self._failure(error) from None
        except (self._openai.OpenAIError, ValueError) as error:
            raise self._failure(error) from None
        self._counts_wanted = False
        logger.info("the server knows no stream_options; tokens are not counted", extra={"model": self.name})
        try:
            return await self._ask(request, patience)
        except (self._openai.OpenAIError, ValueError) as error:
            raise self._failure(error) from None

    async def _ask(self, request: ModelRequest, patience: Patience) -> _Response:
        asked = self._client.chat.completions.with_streaming_response.create(
            **request_body(self._settings, request, with_counts=self._counts_wanted), extra_headers=self._omitted
        )
        return cast(_Response, await patience.bounded(asked.__aenter__()))

    async def _next_chunks(
        self, body: AsyncGenerator[bytes, None], stream: EventStream, reader: ChunkReader, patience: Patience
    ) -> list[ServerEvent] | None:
        """What the next piece of the response completes, or None at its end."""
        try:
            try:
                return stream.push(await patience.bounded(anext(body)))
            except StopAsyncIteration:
                return stream.finish() or None
        except NoEventStream as other:
            raise self._faults.no_stream(str(other)) from None
        except (EngineError, *self._transport_errors) as error:
            if reader.reason is None and not isinstance(error, EngineError):
                raise self._faults.broken_off() from None
            if reader.reason is None:
                raise
            logger.info("a finished stream ended badly", extra={"model": self.name, "problem": type(error).__name__})
            return None

    def _read(self, chunk: ServerEvent, reader: ChunkReader, patience: Patience) -> list[ModelEvent]:
        try:
            events = reader.read(chunk)
        except NotACompletion:
            raise self._faults.nonsense() from None
        except FailedMidway as failed:
            raise self._faults.midway(failed.error) from None
        if reader.done or reader.reason is not None:
            patience.phase = "finished"
        elif reader.begun:
            patience.phase = "writing"
        return events

    def _finished(self, reader: ChunkReader) -> list[ModelEvent]:
        if reader.reason is None:
            raise self._faults.broken_off() if reader.understood else self._faults.nonsense()
        return reader.finish()

    async def _close(self, response: _Response, body: AsyncGenerator[bytes, None]) -> None:
        """Drop the connection, then let the client's own generators run out, so that the loop finds none to finish."""
        with anyio.move_on_after(CLOSE_S, shield=True):
            await response.close()
            with contextlib.suppress(*self._transport_errors, StopAsyncIteration):
                while True:
                    await anext(body)

    def _count(self, request: ModelRequest, reader: ChunkReader, ended: GenerationEnded | None) -> None:
        """Tell the meter what was used: from the first chunk on, be it empty, the server has read the prompt."""
        model = self._settings.model
        if ended is not None and ended.prompt_tokens is not None:
            record_answer(self._usage, self._engine, model, ended)
        elif reader.understood:
            record_cut_answer(self._usage, self._engine, model, request, "".join(reader.written))

    def _failure(self, error: Exception) -> VendorError:
        """What went wrong, where, and what to do."""
        openai = self._openai
        if isinstance(error, openai.APIStatusError):
            return self._faults.of_status(error.status_code, error.response.headers, error.body)
        if isinstance(error, openai.APITimeoutError):
            return self._faults.not_connected(in_time=False, distrusted=False)
        if isinstance(error, openai.APIConnectionError):
            return self._faults.not_connected(in_time=True, distrusted=_is_distrust(error))
        return self._faults.nonsense()


def _trusted(settings: OpenAICompatibleSettings) -> ssl.SSLContext | bool:
    """Whose certificates are trusted; True: those that the client brings."""
    if settings.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(settings.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"language model: ca_file {settings.ca_file} cannot be read ({error}); give a file of PEM certificates"
        ) from None


def _is_distrust(error: BaseException | None) -> bool:
    """Whether a certificate was not accepted: the client wraps the reason several times."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
