"""One call's stream: sessions of SpeechKit one after another, between which no word is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import anyio

from kamerton.domain.audio import AudioFormat, AudioFrame
from kamerton.domain.errors import ConfigurationError, VendorError
from kamerton.domain.recognition import RecognitionHint, SttEvent, SttReconnected
from kamerton.stt.event_box import EventBox
from kamerton.stt.yandex.messages import answer_of, first_message, message_of
from kamerton.stt.yandex.options import YandexSttOptions
from kamerton.stt.yandex.turns import SpeechKitTurns
from kamerton.vendors.rpc.channels import Channels
from kamerton.vendors.rpc.failures import CutOff, answered
from kamerton.vendors.usage import Usage, UsageMeter
from kamerton.vendors.yandex.credentials import YandexCredentials, secrets_of
from kamerton.vendors.yandex.failures import speechkit_at

if TYPE_CHECKING:
    import grpc.aio
    from yandex.cloud.ai.stt.v3 import stt_pb2

log = logging.getLogger(__name__)

_BACK_OFF_S: Final = 0.1
"""Before a second attempt; doubled before each further one."""
_SHORT_WAIT_S: Final = 2.0
"""A service that asks to be left alone for longer is given up for the call."""
_REFUSAL_S: Final = 0.3
"""Audio waits so long for a session's first answer, doubled with each failure: `grpc.aio` loses the status of a refusal
that arrives while something is written."""
_LONGEST_REFUSAL_S: Final = 1.2
_SHORTEST_NAP_S: Final = 0.002
_SETTLED_S: Final = 10.0
"""A session that stood so long was none that failed at once, though it may have had nothing to recognise."""


@dataclass(slots=True)
class _Connection:
    """A session under way."""

    call: Any
    metadata: tuple[tuple[str, str], ...]
    opened_s: float
    broken: SttReconnected | None
    """What broke before, to be told when this one answers."""
    uuid: str = ""
    failure: VendorError | None = None
    stands: anyio.Event = field(default_factory=anyio.Event)
    """The service has answered."""
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class YandexSTTStreamer:
    """One call's `SttStream` over SpeechKit v3. `run` must be running; everything else is a plain call on its loop.

    The iteration raises `VendorError` when the service is lost for this call: sessions failed one after another, or
    it let nobody in.
    """

    def __init__(
        self,
        options: YandexSttOptions,
        audio_format: AudioFormat,
        language_code: str,
        channels: Channels,
        credentials: YandexCredentials,
        usage: UsageMeter,
    ) -> None:
        self._options = options
        self._format = audio_format
        self._language = language_code
        self._channels = channels
        self._credentials = credentials
        self._usage = usage
        self._loop = asyncio.get_running_loop()
        self._turns = SpeechKitTurns(options, audio_format)
        self._events = EventBox()
        self._wake = anyio.Event()
        self._lost = False
        self._closed = False
        self._failures = 0
        self._let_in_anew = False
        """Other credentials were got since a session last worked."""
        self._at_once = False
        self._service = speechkit_at(options.endpoint)

    @property
    def dropped_ms(self) -> float:
        """Audio that the service never got because too much waited to be sent."""
        return self._turns.dropped_ms

    def begin_turn(self, turn: int, hint: RecognitionHint, look_back: Sequence[AudioFrame] = ()) -> None:
        """Start a turn in the hint's language. Its phrases are not used: SpeechKit v3 takes none in a stream."""
        if not (self._closed or self._lost):
            self._turns.begin(turn, hint.language, look_back)
            self._wake.set()

    def push(self, frame: AudioFrame) -> None:
        """Add audio to the turn; between turns it is ignored."""
        if self._turns.push(frame.pcm):
            self._wake.set()

    def pause(self) -> None:
        """Send what waits; a stable hypothesis follows when it covers all that was pushed."""
        self._tell(self._turns.pause())

    def resume(self) -> None:
        """The caller goes on."""
        self._turns.resume()

    def end_of_turn(self) -> None:
        """Tell the service that the utterance ends here; its final follows."""
        self._tell(self._turns.end(self._loop.time()))

    def abandon_turn(self) -> None:
        """Forget the turn."""
        self._turns.abandon()
        self._wake.set()

    def __aiter__(self) -> AsyncIterator[SttEvent]:
        """Raises `VendorError` when the service is lost for this call and everything before was taken."""
        return self._events

    def close(self) -> None:
        """Take nothing more and end the iteration. Safe to call twice."""
        if not self._closed:
            self._closed = True
            self._turns.abandon()
            self._events.close()
            self._record()

    async def run(self) -> None:
        """Keep a session open until cancelled, or until the service is lost."""
        broken: SttReconnected | None = None
        while not self._lost:
            try:
                reason = await self._session(broken)
            except VendorError as failure:
                broken = self._broken(str(failure), broken)
                await self._recover(failure)
            except ConfigurationError as error:
                self._lose(VendorError(str(error), "unauthorised"))
            else:
                log.debug("a session of SpeechKit is renewed", extra={"reason": reason})
                lost_ms = self._turns.lost()
                broken = SttReconnected(self._turns.turn, lost_ms, reason) if lost_ms else None
            self._record()

    async def _session(self, broken: SttReconnected | None) -> str:
        """One session, until it is to be renewed; returns why.

        Raises:
            VendorError: it could not be opened, or failed.
        """
        from yandex.cloud.ai.stt.v3.stt_service_pb2_grpc import RecognizerStub

        metadata = await self._credentials.metadata()
        async with self._channels.channel() as channel:
            call: Any = RecognizerStub(channel).RecognizeStreaming(metadata=metadata)
            connection = _Connection(call, metadata, self._loop.time(), broken)
            try:
                return await self._serve(connection)
            except VendorError as failure:
                self._judge(connection, channel, failure)
                if failure.fault == "unauthorised" and not self._let_in_anew:
                    self._let_in_anew = self._at_once = await self._credentials.refused(metadata)
                raise
            finally:
                call.cancel()

    async def _serve(self, connection: _Connection) -> str:
        reason = ""
        async with anyio.create_task_group() as group:
            connection.scope = group.cancel_scope
            group.start_soon(self._read, connection)
            try:
                reason = await self._write(connection)
            except VendorError as failure:
                connection.failure = failure
            group.cancel_scope.cancel()
        if connection.failure is not None:
            raise connection.failure
        if not reason:
            raise self._service.cut_off("broke off the session")
        return reason

    async def _read(self, connection: _Connection) -> None:
        """Take the answers until the session ends; what ended it is left in the connection."""
        import grpc.aio

        try:
            while True:
                response = await answered(connection.call.read())
                if response is grpc.aio.EOF:
                    connection.failure = self._service.cut_off("ended the session before it was asked to")
                    break
                if response is None:
                    # So grpc.aio tells a message that is none.
                    connection.failure = self._service.broken("sent what is no message of SpeechKit")
                    break
                self._take(connection, response)
        except grpc.aio.AioRpcError as error:
            connection.failure = self._service.failed(error, secrets_of(connection.metadata))
        except CutOff:
            connection.failure = self._service.cut_off("cancelled the session")
        connection.scope.cancel()

    def _take(self, connection: _Connection, response: stt_pb2.StreamingResponse) -> None:
        connection.stands.set()
        if connection.broken is not None:
            self._events.put(connection.broken)
            connection.broken = None
        connection.uuid = connection.uuid or response.session_uuid.uuid
        self._tell(self._turns.answer(answer_of(response), self._loop.time()))

    async def _write(self, connection: _Connection) -> str:
        """Send what is due until the session is to be renewed; returns why.

        Raises:
            VendorError: the service does not take, or does not answer.
        """
        code = self._turns.language or self._language
        await self._send(connection, first_message(self._options, self._format, code))
        self._language = code
        with anyio.move_on_after(min(_REFUSAL_S * 2.0**self._failures, _LONGEST_REFUSAL_S)):
            await connection.stands.wait()
        self._turns.opened(code, self._loop.time())
        while True:
            self._wake = anyio.Event()
            now_s = self._loop.time()
            events, trouble = self._turns.overdue(now_s)
            self._put(events)
            if trouble:
                raise self._service.timed_out(trouble)
            if reason := self._turns.renewal(now_s):
                return reason
            request = self._turns.next_request(now_s)
            if request is not None:
                await self._send(connection, message_of(request))
                continue
            # Timers may fire a moment before their instant: without a shortest nap this would spin until it has come.
            with anyio.CancelScope(deadline=max(self._turns.due_s(), now_s + _SHORTEST_NAP_S)):
                await self._wake.wait()

    async def _send(self, connection: _Connection, message: stt_pb2.StreamingRequest) -> None:
        import grpc.aio

        try:
            with anyio.fail_after(self._options.write_s):
                await answered(connection.call.write(message))
        except TimeoutError:
            raise self._service.timed_out(f"took no message for {self._options.write_s:g} s") from None
        except (asyncio.InvalidStateError, grpc.aio.AioRpcError, CutOff):
            # The session is over; why, the reader learns.
            await anyio.sleep(self._options.write_s)
            raise self._service.cut_off("broke off the session") from None

    def _judge(self, connection: _Connection, channel: grpc.aio.Channel, failure: VendorError) -> None:
        """What a failed session says of its connection, and of those that failed before it."""
        extra = {"reason": str(failure), "session": connection.uuid, "turn": self._turns.turn}
        log.warning("a session of SpeechKit failed", extra=extra)
        if failure.fault == "timeout":
            self._channels.distrust(channel)
        stood_s = self._loop.time() - connection.opened_s
        if self._turns.worked or (stood_s > _SETTLED_S and failure.fault not in ("timeout", "unauthorised")):
            self._failures, self._let_in_anew = 0, False

    async def _recover(self, failure: VendorError) -> None:
        """Give the service up, or wait a little before the next attempt; turns that wait too long fail meanwhile."""
        if self._at_once:
            self._at_once = False
            return
        self._failures += 1
        asked_s = failure.retry_after_s or 0.0
        lasting = failure.fault in ("unauthorised", "quota") or asked_s > _SHORT_WAIT_S
        if lasting or self._failures >= self._options.attempts:
            self._lose(failure)
            return
        until_s = self._loop.time() + max(_BACK_OFF_S * 2 ** (self._failures - 1), asked_s)
        while (now_s := self._loop.time()) < until_s:
            self._put(self._turns.overdue(now_s)[0])
            await anyio.sleep_until(min(until_s, max(self._turns.due_s(), now_s + _SHORTEST_NAP_S)))

    def _broken(self, reason: str, before: SttReconnected | None) -> SttReconnected:
        lost_ms = self._turns.lost() + (before.lost_ms if before is not None else 0.0)
        return SttReconnected(self._turns.turn, lost_ms, reason)

    def _lose(self, failure: VendorError) -> None:
        """The service is given up: the iteration raises once what was told is taken."""
        self._lost = True
        self._turns.abandon()
        self._events.fail(failure)

    def _tell(self, events: Sequence[SttEvent]) -> None:
        """Pass events on; what is to be sent may have changed with them."""
        self._put(events)
        self._wake.set()

    def _put(self, events: Sequence[SttEvent]) -> None:
        for event in events:
            self._events.put(event)

    def _record(self) -> None:
        seconds = self._turns.take_sent_s()
        if seconds:
            self._usage.record(Usage("recognizer", "yandex", "seconds", seconds, self._options.model))
