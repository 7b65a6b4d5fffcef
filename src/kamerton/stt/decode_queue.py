"""Which turn is decoded next: the pure policy of a recogniser that decodes whole turns for all calls.

Speculative decodes are kept from ended turns by order alone. Keeping an engine free of them, or leaving them out when
many wait, is worse at every load that was simulated (5 to 40 calls on two engines, 15 to 120 on six): their words end
the turn sooner, and most of them become the ended turn's decode. At 20 calls on two engines a transcript is
there 1.1 s after the end of speech at the 95th percentile, with one engine kept free after 1.5 s, without speculation
after 1.6 s. The oldest first: the newest first helps the median and costs the 95th percentile 0.3 s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from kamerton.domain.audio import AudioFormat
from kamerton.domain.recognition import RecognitionHint
from kamerton.stt.whisper.readings import Transcript

CAPACITY: Final = 64
"""Requests that may wait. Two engines serve 40 in the 8 s that a caller waits; bigger machines, more."""


@dataclass(frozen=True, slots=True)
class DecodeFailed:
    """The engine could not decode a request."""

    reason: str
    retryable: bool = True


DecodeOutcome = Transcript | DecodeFailed


@dataclass(frozen=True, slots=True, eq=False)
class DecodeRequest:
    """One turn's audio to be decoded. Requests are told apart by identity."""

    pcm: bytes
    format: AudioFormat
    hint: RecognitionHint
    deliver: Callable[[DecodeRequest, DecodeOutcome], None]
    """Called once on the event loop's thread, unless the request was withdrawn."""


Decoder = Callable[[DecodeRequest], Transcript]
"""Decodes one request, blocking. Raises EngineError when it can never succeed, anything else when it may later."""


class DecodeWorker(Protocol):
    """Runs decodes for streams. Never blocks; every method is called on the event loop's thread."""

    def submit(self, request: DecodeRequest, *, final: bool) -> None:
        """Queue a request. `final` says that a turn has ended and waits for it; otherwise it is speculative."""

    def promote(self, request: DecodeRequest) -> bool:
        """The turn ended: a speculative request that is queued, running or about to be delivered is now waited for.

        Returns:
            False when the worker no longer has it.
        """
        ...

    def withdraw(self, request: DecodeRequest) -> None:
        """Nobody wants it any more: it is not started, and a running one's outcome is not delivered."""


class DecodeQueue:
    """Waiting requests. Ended turns go first, in order; then speculative ones, in order.

    When the queue is full the oldest speculative request is dropped; an ended turn is refused only when nothing but
    ended turns wait. A stream withdraws its own speculative request before it makes another one.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._finals: list[DecodeRequest] = []
        self._speculative: list[DecodeRequest] = []

    def __len__(self) -> int:
        return len(self._finals) + len(self._speculative)

    @property
    def finals(self) -> int:
        """Ended turns that wait."""
        return len(self._finals)

    def put(self, request: DecodeRequest, *, final: bool) -> DecodeRequest | None:
        """Add a request.

        Returns:
            The request that had to go because the queue is full: another one, or this one; None otherwise.
        """
        lane = self._finals if final else self._speculative
        if len(self) < self._capacity:
            lane.append(request)
            return None
        if not self._speculative:
            return request
        dropped = self._speculative.pop(0)
        lane.append(request)
        return dropped

    def promote(self, request: DecodeRequest) -> bool:
        """Move a speculative request to the end of the ended turns' lane; False when it is not waiting."""
        if request not in self._speculative:
            return False
        self._speculative.remove(request)
        self._finals.append(request)
        return True

    def remove(self, request: DecodeRequest) -> bool:
        """Take a request out; False when it is not waiting."""
        for lane in (self._finals, self._speculative):
            if request in lane:
                lane.remove(request)
                return True
        return False

    def take(self) -> DecodeRequest | None:
        """The next request to decode, or None."""
        for lane in (self._finals, self._speculative):
            if lane:
                return lane.pop(0)
        return None

    def drain(self) -> Iterator[DecodeRequest]:
        """Take everything out."""
        while (request := self.take()) is not None:
            yield request
