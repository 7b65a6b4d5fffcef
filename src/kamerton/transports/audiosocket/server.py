"""The AudioSocket server: listens, admits calls and runs their handler in its own task group."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter, OrderedDict
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import anyio
from anyio.abc import TaskGroup, TaskStatus

from kamerton.domain.audio import PHONE, WIDEBAND, AudioFormat
from kamerton.domain.media import CallHandler, CallInfo
from kamerton.transports.addresses import listening_sockets
from kamerton.transports.admission import Admission, CallGate
from kamerton.transports.audiosocket.connection import AudioSocketConnection
from kamerton.transports.audiosocket.inbound import InboundAudio
from kamerton.transports.audiosocket.media import AudioSocketMedia
from kamerton.transports.audiosocket.reading import RowReader
from kamerton.transports.audiosocket.settings import AudioSocketSettings
from kamerton.transports.boundary import CallBoundary
from kamerton.transports.intake import Intake
from kamerton.transports.seldom_log import SeldomLog
from kamerton.transports.waiting_room import WaitingRoom

logger = logging.getLogger(__name__)

_BACKLOG = 512
"""Connections that may wait for `accept`: a burst of calls must not lose a SYN (a retry costs a second)."""
_ACCEPT_AGAIN_S = 0.1
_LOOK_AGAIN_S = 0.01
_HANDOVER_S = 0.5
"""How long a live call may keep its UUID from a newcomer: the old connection's close may be read after the new one."""
_KNOWN_PEERS = 256


@dataclass(frozen=True, slots=True)
class _Line:
    """What there is of a call from the first moment on, be it admitted or not."""

    call_id: str
    connection: AudioSocketConnection
    intake: Intake
    boundary: CallBoundary
    media: AudioSocketMedia


class AudioSocketTransport:
    """`Transport` for Asterisk's AudioSocket. One instance serves once.

    `refuse` is run for calls over the gate's limit (see `BusyLine`); without it they are closed at once.
    """

    def __init__(
        self,
        settings: AudioSocketSettings | None = None,
        *,
        gate: CallGate | None = None,
        refuse: CallHandler | None = None,
    ) -> None:
        self._settings = settings or AudioSocketSettings()
        self._gate = gate or CallGate()
        self._refuse = refuse
        self._handler: CallHandler | None = None
        self._calls: TaskGroup | None = None
        self._connections: set[AudioSocketConnection] = set()
        self._silent: WaitingRoom[AudioSocketConnection] = WaitingRoom(self._settings.max_pending)
        self._dismissed: WaitingRoom[AudioSocketConnection] = WaitingRoom(self._settings.max_pending)
        self._admitted: dict[AudioSocketConnection, tuple[str, Admission]] = {}
        self._lines: dict[str, _Line] = {}
        self._rejoining: set[str] = set()
        self._rates_hz: OrderedDict[str, int] = OrderedDict()
        self._port = 0
        self._listening = anyio.CancelScope()
        self._reader: RowReader | None = None
        self._not_served = SeldomLog(logger, "an AudioSocket call is not served")
        self._too_silent = SeldomLog(logger, "a connection without a UUID is closed: too many say nothing")
        self._not_accepted = SeldomLog(logger, "a connection to AudioSocket cannot be accepted at the moment")
        self.counters: Counter[str] = Counter()
        """Totals since start: `accepted` connections, calls by admission verdict, ends by reason (`ended_…`),
        connections `crowded_out` and attempts `not_accepted`, and `dropped_in_ms` and `dropped_out_frames`."""

    @property
    def name(self) -> str:
        """Name for logs and metrics."""
        return "audiosocket"

    @property
    def port(self) -> int:
        """The port it listens on; 0 while it does not."""
        return self._port

    async def serve(self, handler: CallHandler, *, task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED) -> None:
        """Accept calls until cancelled, then end every call with a terminate message and close every socket.

        Reports the port through `task_status`, so that `await group.start(transport.serve, handler)` returns it.

        Raises:
            ConfigurationError: the address cannot be bound.
        """
        self._handler = handler
        settings = self._settings
        sockets = await listening_sockets("AudioSocket server", settings.host, settings.port, _BACKLOG)
        reader = self._reader = RowReader(settings.read_interval_ms / 1000)
        try:
            async with anyio.create_task_group() as calls:
                self._calls = calls
                calls.start_soon(self._listen, sockets, reader)
                self._port = sockets[0].getsockname()[1]
                logger.info("AudioSocket listens", extra={"host": settings.host, "port": self._port})
                task_status.started(self._port)
                await anyio.sleep_forever()
        finally:
            self._calls = None
            self._port = 0
            await self._close_all()
            self._reader = None
            reader.close()

    def stop_listening(self) -> None:
        """Take no further connection; calls go on. So a caller's Asterisk can turn elsewhere at once."""
        self._port = 0
        self._listening.cancel()

    def hold(self, call_id: str, held: bool) -> bool:
        """The far end put a call on hold, or took it back; AudioSocket itself cannot tell. False: no such call."""
        line = self._lines.get(call_id)
        if line is None:
            return False
        line.intake.hold(held)
        return True

    async def _close_all(self) -> None:
        """Close what no call owns: connections without a UUID, and those still waiting for the far end to close."""
        with anyio.CancelScope(shield=True):
            for connection in tuple(self._connections):
                connection.finish("shutdown")
            for connection in tuple(self._connections):
                # Each connection's own close timer bounds this wait.
                await connection.closed.wait()

    async def _listen(self, sockets: list[socket.socket], reader: RowReader) -> None:
        with self._listening:
            async with anyio.create_task_group() as doors:
                for listening in sockets:
                    doors.start_soon(self._accept, listening, reader)

    async def _accept(self, listening: socket.socket, reader: RowReader) -> None:
        """Take connections one by one, each only when there is room for it."""
        loop = asyncio.get_running_loop()
        with listening:
            while True:
                await self._make_room(reader)
                try:
                    accepted, _ = await loop.sock_accept(listening)
                    self.counters["accepted"] += 1
                    await loop.connect_accepted_socket(partial(self._connection, reader), accepted)
                except Exception as error:  # a boundary: no connection may end the listening for others
                    # It was gone already, or there is no file for it: then the kernel keeps it waiting.
                    self.counters["not_accepted"] += 1
                    self._not_accepted.warn(reason=str(error) or type(error).__name__)
                    await anyio.sleep(_ACCEPT_AGAIN_S)

    def _connection(self, reader: RowReader) -> AudioSocketConnection:
        connection = AudioSocketConnection(self._settings, reader, self)
        self._connections.add(connection)
        return connection

    async def _make_room(self, reader: RowReader) -> None:
        """Wait until a connection more may be silent. Whoever has spoken, but was not read yet, is no such."""
        while self._silent.is_full():
            reader.read_now()
            if not self._silent.is_full():
                return
            oldest = self._silent.next_to_go()
            grace_s = oldest.connected_s + self._settings.silence_grace_ms / 1000 - anyio.current_time()
            if grace_s > 0:
                await anyio.sleep(min(grace_s, _LOOK_AGAIN_S))
                continue
            self._silent.leave(oldest)
            self.counters["crowded_out"] += 1
            self._too_silent.warn(peer=oldest.peer, waiting=len(self._silent))
            self._dismiss(oldest, "crowded_out")

    # What connections tell (`ConnectionOwner`).

    def connected(self, connection: AudioSocketConnection) -> None:
        """Somebody connected and has not said which call this is."""
        self._silent.enter(connection.host, connection)

    def identified(self, connection: AudioSocketConnection, uuid: UUID) -> None:
        """It has said which call this is: judge it."""
        self._silent.leave(connection)
        call_id = str(uuid)
        if call_id in self._rejoining:
            self._turn_away(connection, call_id, Admission.DUPLICATE)
            return
        verdict = self._gate.admit(call_id)
        if verdict is Admission.TURNED_AWAY:
            self._turn_away(connection, call_id, verdict)
            return
        if verdict is Admission.DUPLICATE:
            self._rejoining.add(call_id)
        self._admitted[connection] = (call_id, verdict)

    def begin(self, connection: AudioSocketConnection, rate_hz: int | None) -> InboundAudio | None:
        """An admitted connection becomes a call: start what is to run for it."""
        if self._calls is None or connection not in self._admitted:
            connection.finish("shutdown")
            return None
        call_id, verdict = self._admitted[connection]
        audio_format = self._format(connection, rate_hz)
        settings = self._settings
        boundary = CallBoundary(call_id, connection.finish, settings.leave_timeout_s)
        now_s, ahead_ms = anyio.current_time(), settings.max_ahead_ms
        intake = Intake(call_id, audio_format, now_s=now_s, max_ahead_ms=ahead_ms, boundary=boundary)
        info = CallInfo(call_id=call_id, transport=self.name, format=audio_format, peer=connection.peer)
        media = AudioSocketMedia(info, connection, intake, settings)
        line = _Line(call_id, connection, intake, boundary, media)

        def other_rate(rate_hz: int) -> None:
            self._learn_rate(connection, rate_hz, audio_format)

        inbound = InboundAudio(call_id, audio_format, intake, other_rate)
        self._calls.start_soon(self._run, line, verdict, name=f"call {call_id}")
        del self._admitted[connection]
        return inbound

    def closed(self, connection: AudioSocketConnection) -> None:
        """Its socket is closed."""
        self._silent.leave(connection)
        self._dismissed.leave(connection)
        self._connections.discard(connection)
        if connection in self._admitted:
            self._give_back(*self._admitted.pop(connection))
        self.counters[f"ended_{connection.end_reason}"] += 1

    # One call.

    async def _run(self, line: _Line, verdict: Admission) -> None:
        """See one call to its end. A boundary: a fault in it ends that call and nothing else."""
        try:
            if verdict is Admission.DUPLICATE:
                verdict = await self._rejoin(line)
            handler = {Admission.SERVED: self._handler, Admission.REFUSED: self._refuse}.get(verdict)
            if handler is not None:
                await self._conduct(line, handler, verdict)
            else:
                self._turn_away(line.connection, line.call_id, verdict)
        except Exception:
            logger.exception("an AudioSocket call ended by an error", extra={"call_id": line.call_id})
            line.connection.finish("error")
        finally:
            self._give_back(line.call_id, verdict)

    def _give_back(self, call_id: str, verdict: Admission) -> None:
        """What an admission took."""
        if verdict in (Admission.SERVED, Admission.REFUSED):
            self._gate.leave(call_id)
        elif verdict is Admission.DUPLICATE:
            self._rejoining.discard(call_id)

    async def _conduct(self, line: _Line, handler: CallHandler, verdict: Admission) -> None:
        self.counters[verdict] += 1
        if verdict is Admission.REFUSED:
            self._not_served.warn(call_id=line.call_id, peer=line.connection.peer, verdict=verdict)
        self._lines[line.call_id] = line
        reason = "shutdown"
        try:
            reason = await line.boundary.run(handler, line.media)
        finally:
            try:
                await line.media.hang_up(reason)
            finally:
                del self._lines[line.call_id]
                self._account(line)

    async def _rejoin(self, line: _Line) -> Admission:
        """Wait for the call that has this UUID to be gone, shortly, if it is ending; then judge anew.

        A live one keeps its UUID: only a close that has not been read yet is waited for.
        """
        call_id = line.call_id
        try:
            with anyio.move_on_after(_HANDOVER_S):
                await self._gate.left(call_id)
            before = self._lines.get(call_id)
            if before is not None and before.connection.end_reason is not None:
                with anyio.move_on_after(self._settings.rejoin_wait_s):
                    await self._gate.left(call_id)
            # A caller who did not wait for that needs no line.
            return self._gate.admit(call_id) if line.connection.end_reason is None else Admission.TURNED_AWAY
        finally:
            self._rejoining.discard(call_id)

    def _turn_away(self, connection: AudioSocketConnection, call_id: str, verdict: Admission) -> None:
        self.counters[verdict] += 1
        self._not_served.warn(call_id=call_id, peer=connection.peer, verdict=verdict)
        self._dismiss(connection, verdict)

    def _dismiss(self, connection: AudioSocketConnection, reason: str) -> None:
        """End a connection that is no call. It gets its good-bye, and time to close if not too many take that."""
        connection.finish(reason)
        if not connection.closed.is_set():
            lingers = self._dismissed.enter(connection.host, connection)
            if lingers is not None:
                lingers.abort()

    def _account(self, line: _Line) -> None:
        dropped_in_ms, dropped_out_frames = line.intake.dropped_ms, line.media.dropped_frames
        self.counters["dropped_in_ms"] += int(dropped_in_ms)
        self.counters["dropped_out_frames"] += dropped_out_frames
        logger.info(
            "an AudioSocket call is over",
            extra={
                "call_id": line.call_id,
                "peer": line.connection.peer,
                "reason": line.connection.end_reason,
                "dropped_in_ms": dropped_in_ms,
                "dropped_out_frames": dropped_out_frames,
            },
        )

    # Rates.

    def _format(self, connection: AudioSocketConnection, rate_hz: int | None) -> AudioFormat:
        """The format of a call by its first audio; where that has not come, as this Asterisk sent it last."""
        if rate_hz is None:
            rate_hz = self._rates_hz.get(connection.host, PHONE.rate_hz)
        else:
            self._remember_rate(connection, rate_hz)
        return PHONE if rate_hz == PHONE.rate_hz else WIDEBAND

    def _remember_rate(self, connection: AudioSocketConnection, rate_hz: int) -> None:
        self._rates_hz[connection.host] = rate_hz
        self._rates_hz.move_to_end(connection.host)
        if len(self._rates_hz) > _KNOWN_PEERS:
            self._rates_hz.popitem(last=False)

    def _learn_rate(self, connection: AudioSocketConnection, rate_hz: int, audio_format: AudioFormat) -> None:
        """Audio of another rate than the call's came: too late for this call, in time for the next."""
        self._remember_rate(connection, rate_hz)
        if rate_hz > audio_format.rate_hz and self._settings.rate_hz is None:
            self.counters["narrowed"] += 1
            logger.warning(
                "a wideband call goes on at 8 kHz: its first audio came after audiosocket.format_wait_ms; set "
                "audiosocket.rate_hz to 16000 if every call is wideband, and Answer() before Dial in the dialplan",
                extra={"call_id": str(connection.uuid), "peer": connection.peer, "rate_hz": rate_hz},
            )
