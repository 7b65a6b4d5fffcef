"""What recognisers that decode whole turns in this process share: the pool of decodes, its measured speed, the device.

An engine brings a `LocalDecoder`; `warmed` makes it on the best device that works and measures it, and
`LocalSpeechToText` serves calls with it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Final, Generic, Literal, Protocol, TypeVar

from kamerton.domain.audio import AudioFormat
from kamerton.domain.errors import ModelError
from kamerton.domain.recognition import RecognizerState, SttCapabilities, SttStream
from kamerton.stt.decode_pool import DecodePool, PoolLimits
from kamerton.stt.decode_queue import DecodeRequest
from kamerton.stt.whisper.readings import Transcript
from kamerton.stt.whole_turn_stream import FINAL_DEADLINE_S, WholeTurnStream

logger = logging.getLogger(__name__)

Device = Literal["cpu", "cuda"]
DeviceWish = Literal["auto", "cpu", "cuda"]
"""`auto` takes a graphics card that works, else the processor."""

PROBE_ROUNDS: Final = 3
"""The fastest counts: a machine that is busy at the start is not slow for ever."""

CALLS_PER_TURN_PER_S: Final = 6.0
"""Calls that one decode per second carries. They end 7 turns a minute each and so take 0.7 of it; simulated with the
pauses of spoken numbers, the transcript is then there 1.5 s after the end of speech at the 95th percentile (at 5 calls
1.2 s, at 9 calls 2.5 s), on two engines and, a little better, on six."""


class LocalDecoder(Protocol):
    """A loaded model."""

    def decode(self, request: DecodeRequest) -> Transcript:
        """Read one turn, blocking; called from as many threads at once as there are engines.

        Raises:
            EngineError: this turn can never be decoded. Anything else it raises may go away by itself.
        """
        ...

    def unload(self) -> None:
        """Free its memory; nothing is decoded any more."""


DecoderT = TypeVar("DecoderT", bound=LocalDecoder, covariant=True)


@dataclass(frozen=True, slots=True)
class Warm(Generic[DecoderT]):
    """A decoder that has decoded."""

    decoder: DecoderT
    device: Device
    decode_s: float
    """What each decode of the probe takes when all engines work at once."""


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How decodes are run."""

    engines: int = 1
    """Turns decoded at the same time."""
    max_calls: int | None = None
    """Calls to promise; by default what the speed measured at the start carries."""
    final_deadline_s: float = FINAL_DEADLINE_S
    """After so long an ended turn fails instead of getting its transcript."""


def devices_to_try(wish: DeviceWish, *, cuda: bool, fix: str) -> tuple[Device, ...]:
    """The devices in the order in which they are tried.

    Args:
        wish: as set.
        cuda: whether the runtime sees a graphics card.
        fix: what makes it see one, for the message.

    Raises:
        ModelError: a graphics card is wished for, and there is none.
    """
    if wish == "cuda" and not cuda:
        raise ModelError(f"device is set to cuda, but no graphics card can be used here: {fix}, or set device to auto")
    if wish == "auto":
        return ("cuda", "cpu") if cuda else ("cpu",)
    return (wish,)


def warmed(
    make: Callable[[Device], DecoderT], devices: Sequence[Device], probe: DecodeRequest, engines: int
) -> Warm[DecoderT]:
    """Make the decoder on the first device on which it loads and decodes. Blocking, for seconds.

    A graphics card often fails only at the first decode (a CUDA library that does not fit), so that one is part of it.

    Raises:
        ModelError: it loads or decodes on none of them.
    """
    *others, last = devices
    for device in others:
        try:
            return _warmed_on(make, device, probe, engines)
        except ModelError as fault:
            logger.warning("the graphics card cannot be used, the processor is", extra={"why": str(fault)})
    return _warmed_on(make, last, probe, engines)


def _warmed_on(
    make: Callable[[Device], DecoderT], device: Device, probe: DecodeRequest, engines: int
) -> Warm[DecoderT]:
    decoder = make(device)
    try:
        return Warm(decoder, device, measured_decode_s(decoder, probe, engines))
    except Exception as fault:  # the border to native code, which raises what it likes
        decoder.unload()
        raise ModelError(f"the speech model fails at its first decode on {device}: {fault}") from fault


def measured_decode_s(decoder: LocalDecoder, probe: DecodeRequest, engines: int) -> float:
    """Seconds that a decode of the probe takes when all engines work at once; the best of some rounds."""
    with ThreadPoolExecutor(engines, "decode-warm-up") as threads:
        rounds_s = []
        for _ in range(PROBE_ROUNDS):
            start_s = perf_counter()
            for decoded in [threads.submit(decoder.decode, probe) for _ in range(engines)]:
                decoded.result()
            rounds_s.append(perf_counter() - start_s)
    return min(rounds_s)


def calls_carried(turns_per_s: float) -> int:
    """Calls at the same time whose turns are decoded in time at this speed; at least one."""
    return max(1, int(turns_per_s * CALLS_PER_TURN_PER_S))


def undelivered(_request: DecodeRequest, _outcome: object) -> None:
    """Where the outcome of a probe goes."""


class LocalSpeechToText:
    """The `SpeechToText` of a model in this process: one decoder and its threads serve all calls.

    Args:
        warm: the decoder and how fast it is.
        settings: how decodes are run.
        probe: decoded to see whether an engine that failed recovered.
        name: for logs and metrics.
        languages: what it understands.
        closed: called once, after the model was freed.
    """

    def __init__(
        self,
        warm: Warm[LocalDecoder],
        settings: PoolSettings,
        probe: DecodeRequest,
        *,
        name: str,
        languages: tuple[str, ...],
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        self._decoder = warm.decoder
        self._settings = settings
        self._name = name
        self._languages = languages
        self._when_closed = closed
        self._max_calls = settings.max_calls or calls_carried(settings.engines / warm.decode_s)
        self._pool = DecodePool(
            warm.decoder.decode,
            name=f"{name}-decode",
            probe=probe,
            engines=settings.engines,
            limits=PoolLimits(longest_wait_s=settings.final_deadline_s, expected_decode_s=warm.decode_s),
        )
        self._closed = False

    @property
    def name(self) -> str:
        """The model, such as `whisper-base`."""
        return self._name

    @property
    def capabilities(self) -> SttCapabilities:
        """The model's languages; hypotheses at pauses only."""
        return SttCapabilities(self._languages, partials_while_speaking=False)

    @property
    def state(self) -> RecognizerState:
        """How it fares, and the calls that it can carry."""
        return replace(self._pool.state, max_calls=self._max_calls)

    @asynccontextmanager
    async def open(self, audio_format: AudioFormat) -> AsyncIterator[SttStream]:
        """Open one call's stream; leaving withdraws its requests and waits for nothing."""
        stream = WholeTurnStream(self._pool, audio_format, final_deadline_s=self._settings.final_deadline_s)
        try:
            yield stream
        finally:
            stream.close()

    async def aclose(self) -> None:
        """End the threads (running decodes run out first, for some seconds) and free the model. Safe to call twice.

        A model in which a decode hangs is not freed: the process is about to end.
        """
        if await self._pool.aclose() and not self._closed:
            self._closed = True
            self._decoder.unload()
            self._when_closed()
