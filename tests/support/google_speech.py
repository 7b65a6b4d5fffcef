"""What tests of Google's recogniser share: words, frames, a recogniser at a stand-in, and one without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from kamerton.domain.audio import PHONE, AudioFormat, AudioFrame
from kamerton.domain.errors import VendorError
from kamerton.stt.google.answers import Heard
from kamerton.stt.google.lines import GrpcLines, SpeechLine
from kamerton.stt.google.messages import audio_message, first_message, heard
from kamerton.stt.google.models import Setup
from kamerton.stt.google.options import GoogleSttOptions
from kamerton.stt.google.recognizer import GoogleSpeechToText
from kamerton.stt.google.wire_double import GoogleSpeechDouble, Request, Response, StreamError
from kamerton.vendors.google.credentials import GoogleCredentials
from kamerton.vendors.kept_token import AccessToken
from kamerton.vendors.rpc.failures import Service
from kamerton.vendors.usage import UsageMeter

WORDS: Final = ("раз", "два", "три", "четыре", "пять", "шесть", "семь", "восемь", "сто", "двести", "нет")
TOKEN: Final = "ya29.do-not-show-me"


@dataclass
class FixedTokens:
    """A source of tokens without a network."""

    values: tuple[str, ...] = (TOKEN,)
    given: int = 0
    life_s: float = 3600.0

    async def token(self) -> AccessToken:
        self.given += 1
        return AccessToken(self.values[min(self.given, len(self.values)) - 1], self.life_s)

    async def project(self) -> str:
        return "project-1"

    async def aclose(self) -> None:
        """Nothing to free."""


def at(vendor: GoogleSpeechDouble, **changes: Any) -> GoogleSttOptions:
    """Options that lead to a stand-in."""
    return replace(GoogleSttOptions(endpoint=vendor.address, tls=False), **changes)


def recogniser(
    vendor: GoogleSpeechDouble,
    options: GoogleSttOptions | None = None,
    *,
    tokens: FixedTokens | None = None,
    language: str = "ru",
    usage: UsageMeter | None = None,
    roots: bytes | None = None,
) -> GoogleSpeechToText:
    """A recogniser at a stand-in."""
    options = options or at(vendor)
    lines = GrpcLines(options, GoogleCredentials(tokens or FixedTokens(), ""), roots)
    return GoogleSpeechToText(options, lines, language=language, usage=usage)


def framed(pcm: bytes, audio_format: AudioFormat = PHONE) -> list[AudioFrame]:
    """Audio as whole frames; what is left of the last one is filled with silence."""
    size = audio_format.frame_bytes
    pcm += bytes(-len(pcm) % size)
    return [AudioFrame(pcm[start : start + size], audio_format, start // 2) for start in range(0, len(pcm), size)]


class MemoryLines:
    """Streams to a stand-in without gRPC and without sockets, for the virtual clock."""

    def __init__(self, options: GoogleSttOptions, vendor: GoogleSpeechDouble, *, renews: bool = False) -> None:
        self._options = options
        self._vendor = vendor
        self._renews = renews

    @asynccontextmanager
    async def line(self, setup: Setup, audio_format: AudioFormat) -> AsyncIterator[SpeechLine]:
        send, receive = anyio.create_memory_object_stream[Request](100_000)
        await send.send(Request(first_message(self._options, setup, audio_format, "project-1")))
        async with send, receive:
            answers = self._vendor.recognise(aiter(receive))
            try:
                yield _MemoryLine(send, answers)
            finally:
                await answers.aclose()  # type: ignore[attr-defined]

    async def refused(self, line: SpeechLine | None) -> bool:
        """Whether it is as if another token could be had."""
        return self._renews

    def distrust(self, line: SpeechLine) -> None:
        """There is no connection."""

    async def aclose(self) -> None:
        """There is no connection."""


class _MemoryLine:
    def __init__(self, send: MemoryObjectSendStream[Request], answers: AsyncIterator[Response | bytes]) -> None:
        self._send = send
        self._answers = answers

    async def write(self, pcm: bytes) -> None:
        try:
            await self._send.send(Request(audio_message(pcm)))
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return

    async def half_close(self) -> None:
        await self._send.aclose()

    async def read(self) -> Heard | None:
        try:
            response = await anext(self._answers, None)
        except StreamError as error:
            raise Service("a stand-in").status(error.status, error.details, error.retry_after_s) from None
        if isinstance(response, bytes):
            raise VendorError("no message", "broken")
        return None if response is None else heard(Response.pb(response))
