"""Streams of the service as the recogniser's core sees them, and how they are opened with gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import anyio

from kamerton.domain.audio import AudioFormat
from kamerton.domain.errors import ConfigurationError, VendorError
from kamerton.stt.google.answers import Heard
from kamerton.stt.google.messages import METHOD, audio_message, first_message, heard, request_type, response_type
from kamerton.stt.google.models import Setup
from kamerton.stt.google.options import GoogleSttOptions
from kamerton.vendors.google.credentials import GoogleCredentials, Metadata, secret_of
from kamerton.vendors.google.endpoints import asked_at
from kamerton.vendors.rpc.channels import Channels
from kamerton.vendors.rpc.failures import CutOff, Service, answered


class SpeechLine(Protocol):
    """One stream, opened for a `Setup`. Awaiting its methods is safe to cancel, which ends the stream."""

    async def write(self, pcm: bytes) -> None:
        """Send audio.

        Raises:
            VendorError: the service did not take it in time.
        """
        ...

    async def half_close(self) -> None:
        """Tell the service that no audio follows: it answers what it has and ends the stream. Raises as `write`."""
        ...

    async def read(self) -> Heard | None:
        """The next answer; None when the service has ended the stream as it should.

        Raises:
            VendorError: the stream failed.
        """
        ...


class Lines(Protocol):
    """Opens streams, for all calls."""

    def line(self, setup: Setup, audio_format: AudioFormat) -> AbstractAsyncContextManager[SpeechLine]:
        """A stream, for as long as the context lasts; what opens it has been sent.

        Raises:
            VendorError: there is no token, or the service did not take the stream in time.
        """
        ...

    async def refused(self, line: SpeechLine | None) -> bool:
        """The service did not accept this line's credentials: whether it makes sense to try once more.

        Raises:
            VendorError: there may be others, but they could not be got.
        """
        ...

    def distrust(self, line: SpeechLine) -> None:
        """It did not answer: its connection is not used for others."""

    async def aclose(self) -> None:
        """Close the connections."""


class GrpcLines:
    """Streams over gRPC, with channels for each location.

    Args:
        options: of the recogniser.
        credentials: closed with it.
        roots: certificates as `read_roots` gives them.
    """

    def __init__(self, options: GoogleSttOptions, credentials: GoogleCredentials, roots: bytes | None) -> None:
        self._options = options
        self._credentials = credentials
        self._roots = roots
        self._channels: dict[str, Channels] = {}

    @asynccontextmanager
    async def line(self, setup: Setup, audio_format: AudioFormat) -> AsyncIterator[SpeechLine]:
        """As of `Lines`. Leaving the context frees the request at once."""
        channels = self._channels_to(setup.candidate.location)
        service = asked_at("Google Speech", channels.endpoint.address)
        async with channels.channel() as channel:
            line: _GrpcLine | None = None
            try:
                try:
                    with anyio.fail_after(self._options.open_s):
                        metadata = await self._credentials.metadata()
                        first = first_message(self._options, setup, audio_format, await self._credentials.project())
                        line = _GrpcLine(channel, metadata, service, self._options.open_s)
                        await line.send(first)
                except TimeoutError:
                    channels.distrust(channel)
                    raise service.timed_out(f"did not take a stream within {self._options.open_s:g} s") from None
                except ConfigurationError as error:
                    raise VendorError(str(error), "unauthorised") from None
                yield line
            finally:
                if line is not None:
                    line.cancel()

    async def refused(self, line: SpeechLine | None) -> bool:
        """As of `Lines`."""
        if not isinstance(line, _GrpcLine):
            return False
        try:
            return await self._credentials.refused(line.metadata)
        except ConfigurationError as error:
            raise VendorError(str(error), "unauthorised") from None

    def distrust(self, line: SpeechLine) -> None:
        """As of `Lines`."""
        if isinstance(line, _GrpcLine):
            for channels in self._channels.values():
                channels.distrust(line.channel)

    async def aclose(self) -> None:
        """As of `Lines`; safe to call twice."""
        for channels in self._channels.values():
            await channels.aclose()
        await self._credentials.aclose()

    def _channels_to(self, location: str) -> Channels:
        endpoint = self._options.endpoint_of(location)
        known = self._channels.get(endpoint.address)
        if known is None:
            each = self._options.streams_per_connection
            known = self._channels[endpoint.address] = Channels(endpoint, self._roots, streams_each=each)
        return known


class _GrpcLine:
    """A `SpeechLine` over one call of `grpc.aio`."""

    def __init__(self, channel: Any, metadata: Metadata, service: Service, write_s: float) -> None:
        self.channel = channel
        self.metadata = metadata
        self._service = service
        self._secret = secret_of(metadata)
        self._write_s = write_s
        opened = channel.stream_stream(
            METHOD,
            request_serializer=request_type().SerializeToString,
            response_deserializer=response_type().FromString,
        )
        self._call = opened(metadata=metadata)

    async def send(self, message: Any) -> None:
        """Send a message. A stream that is over takes none: why it is, `read` tells."""
        import grpc.aio

        try:
            await answered(self._call.write(message))
        except (asyncio.InvalidStateError, grpc.aio.AioRpcError, CutOff):
            return

    async def write(self, pcm: bytes) -> None:
        await self._in_time(self.send(audio_message(pcm)))

    async def half_close(self) -> None:
        import grpc.aio

        async def close() -> None:
            try:
                await answered(self._call.done_writing())
            except (asyncio.InvalidStateError, grpc.aio.AioRpcError, CutOff):
                return

        await self._in_time(close())

    async def read(self) -> Heard | None:
        import grpc.aio

        failure: VendorError | None = None
        try:
            response = await answered(self._call.read())
        except grpc.aio.AioRpcError as error:
            failure = self._service.failed(error, self._secret)
        except CutOff:
            failure = self._service.cut_off("cancelled the stream")
        if failure is not None:
            # Not from within, for gRPC's own error would stay with it: it holds what the service repeated.
            raise failure
        if response is None:
            # So gRPC tells of bytes that it could not read as this message.
            raise self._service.broken("sent what is no answer of it")
        return None if response is grpc.aio.EOF else heard(response)

    def cancel(self) -> None:
        """Free the request at once."""
        self._call.cancel()

    async def _in_time(self, sending: Awaitable[None]) -> None:
        try:
            with anyio.fail_after(self._write_s):
                await sending
        except TimeoutError:
            raise self._service.timed_out(f"took no message for {self._write_s:g} s") from None
