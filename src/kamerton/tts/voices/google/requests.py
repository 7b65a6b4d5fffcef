"""Requests to Google's Text-to-Speech over gRPC, each with its deadline, its failures told in our words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar

import anyio

from kamerton.domain.errors import ConfigurationError, VendorError
from kamerton.tts.voices.google.engine import GoogleVoiceOptions
from kamerton.tts.voices.google.listing import ListedVoice
from kamerton.tts.voices.google.messages import (
    LIST,
    STREAM,
    WHOLE,
    Order,
    list_request,
    listed_voices,
    stream_requests,
    types,
    whole_request,
)
from kamerton.vendors.google.credentials import GoogleCredentials, Metadata, secret_of
from kamerton.vendors.google.endpoints import asked_at
from kamerton.vendors.rpc.channels import Channels
from kamerton.vendors.rpc.failures import CutOff, answered

T = TypeVar("T")


class Requests:
    """What the voice asks of the service. Belongs to one event loop.

    Args:
        options: of the voice.
        credentials: closed with it.
        roots: certificates as `read_roots` gives them.
    """

    def __init__(self, options: GoogleVoiceOptions, credentials: GoogleCredentials, roots: bytes | None) -> None:
        self._options = options
        self._credentials = credentials
        self._channels = Channels(options.served_at, roots)
        self._service = asked_at("Google Text-to-Speech", options.served_at.address)

    @property
    def where(self) -> str:
        """Who is asked, for messages."""
        return self._service.where

    @property
    def connections(self) -> int:
        """Connections that are open."""
        return self._channels.connections

    async def warm(self) -> None:
        """Have a token, and a connection that is being opened. Safe to cancel.

        Raises:
            VendorError: there is no token.
        """
        await self._metadata()
        async with self._channels.channel() as channel:
            channel.get_state(try_to_connect=True)

    async def voices(self, code: str) -> tuple[ListedVoice, ...]:
        """The voices of a language. Safe to cancel.

        Raises:
            VendorError: they were not told.
        """
        answer = await self._whole(LIST, "ListVoices", list_request(code), self._options.open_s)
        return listed_voices(answer)

    async def whole(self, order: Order) -> bytes:
        """All of the audio as a WAV file. Cancelling frees the request at once.

        Raises:
            VendorError: it was not made.
        """
        request = whole_request(order)
        return bytes((await self._whole(WHOLE, "SynthesizeSpeech", request, self._options.whole_s)).audio_content)

    async def stream(self, order: Order) -> AsyncGenerator[bytes, None]:
        """Yield audio as it is made, s16le in pieces of any size. Closing or cancelling frees the request at once.

        Raises:
            EndedUnseenError: the service ended the stream, and why is not known.
            VendorError: the stream failed, or is slower than the speech in it.
        """
        metadata = await self._metadata()
        begun = False
        try:
            async with aclosing(self._streamed(order, metadata)) as pieces:
                async for pcm in pieces:
                    begun = True
                    yield pcm
            return
        except VendorError as error:
            if begun or error.fault != "unauthorised" or not await self._others_than(metadata):
                raise
        async with aclosing(self._streamed(order, await self._metadata())) as pieces:
            async for pcm in pieces:
                yield pcm

    async def aclose(self) -> None:
        """Close the connections; requests under way fail. Safe to call twice."""
        await self._channels.aclose()
        await self._credentials.aclose()

    async def _whole(self, method: str, name: str, request: Any, limit_s: float) -> Any:
        metadata = await self._metadata()
        try:
            return await self._once(method, name, request, metadata, limit_s)
        except VendorError as error:
            if error.fault != "unauthorised" or not await self._others_than(metadata):
                raise
        return await self._once(method, name, request, await self._metadata(), limit_s)

    async def _once(self, method: str, name: str, request: Any, metadata: Metadata, limit_s: float) -> Any:
        answer_type = getattr(types(), f"{name}Response").pb()
        async with self._channels.channel() as channel:
            call = channel.unary_unary(
                method,
                request_serializer=type(request).SerializeToString,
                response_deserializer=answer_type.FromString,
            )(request, metadata=metadata)
            try:
                slow = f"did not answer {name} within {limit_s:g} s"
                answer = await self._told(answered(call), metadata, channel, limit_s, slow)
            finally:
                call.cancel()
        if answer is None:
            raise self._service.broken(f"answered {name} with what is no answer")
        return answer

    async def _streamed(self, order: Order, metadata: Metadata) -> AsyncGenerator[bytes, None]:
        options, waited_s, received_s = self._options, 0.0, 0.0
        async with self._stream(metadata) as (channel, call):
            begun_s = anyio.current_time()
            slow = f"sent no audio for {options.first_audio_s:g} s"
            sending = _sent(call, stream_requests(order))
            await self._told(sending, metadata, channel, options.first_audio_s, slow)
            waited_s = anyio.current_time() - begun_s
            while True:
                limit_s = options.gap_s if received_s else options.first_audio_s - waited_s
                late_s = options.first_audio_s + options.gap_s + received_s - waited_s
                if late_s < limit_s:
                    slow, limit_s = "sends audio slower than it is spoken", late_s
                elif received_s:
                    slow = f"sent no audio for {limit_s:g} s"
                asked_s = anyio.current_time()
                reading = _read(call)
                pcm = await self._told(reading, metadata, channel, max(0.0, limit_s), slow)
                waited_s += anyio.current_time() - asked_s
                if pcm is None:
                    return
                received_s += len(pcm) / (2 * order.rate_hz)
                if pcm:
                    yield pcm

    @asynccontextmanager
    async def _stream(self, metadata: Metadata) -> AsyncIterator[tuple[Any, Any]]:
        message = types()
        async with self._channels.channel() as channel:
            call = channel.stream_stream(
                STREAM,
                request_serializer=message.StreamingSynthesizeRequest.pb().SerializeToString,
                response_deserializer=message.StreamingSynthesizeResponse.pb().FromString,
            )(metadata=metadata)
            try:
                yield channel, call
            finally:
                call.cancel()

    async def _metadata(self) -> Metadata:
        return await self._in_time(self._credentials.metadata())

    async def _others_than(self, refused: Metadata) -> bool:
        """Whether there are other credentials than those that were refused."""
        return await self._in_time(self._credentials.refused(refused))

    async def _in_time(self, work: Awaitable[T]) -> T:
        limit_s = self._options.open_s
        try:
            with anyio.fail_after(limit_s):
                return await work
        except TimeoutError:
            raise self._service.timed_out(f"was not asked: no access token came within {limit_s:g} s") from None
        except ConfigurationError as error:
            raise VendorError(str(error), "unauthorised") from None

    async def _told(self, work: Awaitable[T], metadata: Metadata, channel: Any, limit_s: float, slow: str) -> T:
        """Do a thing in time, with gRPC's errors in our words; they hold the token, and never go on."""
        import grpc.aio

        try:
            with anyio.fail_after(limit_s):
                return await work
        except TimeoutError:
            self._channels.distrust(channel)
            failure = self._service.timed_out(slow)
        except grpc.aio.AioRpcError as error:
            failure = self._service.failed(error, secret_of(metadata))
        except (CutOff, grpc.aio.UsageError):
            failure = self._service.cut_off("cancelled the request")
        except _NoMessageError:
            failure = self._service.broken("sent what is no audio of its")
        raise failure


class _NoMessageError(Exception):
    """What came is no message of the service."""


async def _sent(call: Any, messages: tuple[Any, ...]) -> None:
    """Send all, and that it is all. A stream that is over takes nothing: why, reading tells."""
    import grpc.aio

    try:
        for message in messages:
            await answered(call.write(message))
        await answered(call.done_writing())
    except (asyncio.InvalidStateError, grpc.aio.AioRpcError, CutOff):
        return


async def _read(call: Any) -> bytes | None:
    """The next piece of audio, which may be empty; None at the end."""
    import grpc.aio

    response = await answered(call.read())
    if response is grpc.aio.EOF:
        return None
    if response is None:
        # So gRPC tells of bytes that it could not read as this message.
        raise _NoMessageError
    return bytes(response.audio_content)
