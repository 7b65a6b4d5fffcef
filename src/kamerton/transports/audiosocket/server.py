"""The AudioSocket server: listens, admits calls and runs their handler in its own task group."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from uuid import UUID

import anyio
from anyio.abc import TaskGroup, TaskStatus

from kamerton.domain.audio import AudioFormat
from kamerton.domain.media import CallHandler, CallInfo
from kamerton.transports.addresses import listen_error
from kamerton.transports.admission import Admission, CallGate
from kamerton.transports.audiosocket.codec import TERMINATE
from kamerton.transports.audiosocket.connection import AudioSocketConnection
from kamerton.transports.audiosocket.inbound import InboundAudio
from kamerton.transports.audiosocket.media import AudioSocketMedia
from kamerton.transports.audiosocket.reading import RowReader
from kamerton.transports.audiosocket.settings import AudioSocketSettings
from kamerton.transports.intake import Intake

logger = logging.getLogger(__name__)

_BACKLOG = 512
"""Connections that may wait for `accept`: a burst of calls must not lose a SYN (a retry costs a second)."""


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
        self._intakes: dict[str, Intake] = {}
        self._port = 0
        self._reader: RowReader | None = None
        self.counters: Counter[str] = Counter()
        """Totals since start: `accepted` connections, calls by admission verdict, ends by reason (`ended_…`),
        connections `crowded_out`, and `dropped_in_ms` and `dropped_out_frames`."""

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
        server = await self._listen()
        reader = self._reader = RowReader(self._settings.read_interval_ms / 1000)
        try:
            async with anyio.create_task_group() as calls:
                self._calls = calls
                self._port = server.sockets[0].getsockname()[1]
                logger.info("AudioSocket listens", extra={"host": self._settings.host, "port": self._port})
                task_status.started(self._port)
                await anyio.sleep_forever()
        finally:
            self._port = 0
            self._calls = None
            server.close()
            await self._close_all()
            self._reader = None
            reader.close()

    def hold(self, call_id: str, held: bool) -> None:
        """Tell a call that it is on hold, or no longer; harmless when there is no such call."""
        intake = self._intakes.get(call_id)
        if intake is not None:
            intake.hold(held)

    async def _listen(self) -> asyncio.Server:
        settings = self._settings
        loop = asyncio.get_running_loop()
        try:
            return await loop.create_server(self._accept, settings.host, settings.port, backlog=_BACKLOG)
        except OSError as error:
            raise listen_error("AudioSocket server", settings.host, settings.port, error) from error

    async def _close_all(self) -> None:
        """Close what no call owns: connections without a UUID, and those still waiting for the far end to close."""
        with anyio.CancelScope(shield=True):
            for connection in tuple(self._connections):
                connection.finish("shutdown")
            for connection in tuple(self._connections):
                # Each connection's own close timer bounds this wait.
                await connection.closed.wait()

    def _accept(self) -> asyncio.BaseProtocol:
        self.counters["accepted"] += 1
        pending = sum(connection.uuid is None for connection in self._connections)
        if self._calls is None or self._reader is None or pending >= self._settings.max_pending:
            self.counters["crowded_out"] += 1
            return _CrowdedOut()
        connection = AudioSocketConnection(self._settings, self._reader, self._begin, self._closed)
        self._connections.add(connection)
        return connection

    def _begin(self, connection: AudioSocketConnection, uuid: UUID, rate_hz: int) -> InboundAudio | None:
        """A connection has become a call: judge it and start what is to run for it."""
        call_id = str(uuid)
        verdict = self._gate.admit(call_id)
        handler = {Admission.SERVED: self._handler, Admission.REFUSED: self._refuse}.get(verdict)
        self.counters[verdict] += 1
        if handler is None or self._calls is None:
            if verdict in (Admission.SERVED, Admission.REFUSED):
                self._gate.leave(call_id)
            self._log_refusal(connection, call_id, verdict)
            connection.finish(verdict)
            return None
        if verdict is Admission.REFUSED:
            self._log_refusal(connection, call_id, verdict)
        audio_format = AudioFormat(rate_hz)
        info = CallInfo(call_id=call_id, transport=self.name, format=audio_format, peer=connection.peer)
        intake = Intake(call_id, audio_format, now_s=anyio.current_time(), max_ahead_ms=self._settings.max_ahead_ms)
        media = AudioSocketMedia(info, connection, intake, self._settings.far_buffer_ms)
        self._intakes[call_id] = intake
        self._calls.start_soon(self._run, handler, media, connection, intake, name=f"call {call_id}")
        return InboundAudio(call_id, audio_format, intake)

    async def _run(
        self, handler: CallHandler, media: AudioSocketMedia, connection: AudioSocketConnection, intake: Intake
    ) -> None:
        """Run one call to its end. A boundary: whatever a handler raises ends that call and nothing else."""
        call_id = media.info.call_id
        reason = "shutdown"
        try:
            await handler(media)
            reason = "call_over"
        except Exception:
            reason = "error"
            logger.exception("a call ended by an error in its handler", extra={"call_id": call_id})
        finally:
            del self._intakes[call_id]
            await media.hang_up(reason)
            self._gate.leave(call_id)
            self.counters["dropped_in_ms"] += int(intake.dropped_ms)
            self.counters["dropped_out_frames"] += media.dropped_frames
            logger.info(
                "an AudioSocket call is over",
                extra={
                    "call_id": call_id,
                    "peer": connection.peer,
                    "reason": connection.end_reason,
                    "dropped_in_ms": intake.dropped_ms,
                    "dropped_out_frames": media.dropped_frames,
                },
            )

    def _closed(self, connection: AudioSocketConnection) -> None:
        self._connections.discard(connection)
        self.counters[f"ended_{connection.end_reason}"] += 1

    def _log_refusal(self, connection: AudioSocketConnection, call_id: str, verdict: Admission) -> None:
        logger.warning(
            "an AudioSocket call is not served", extra={"call_id": call_id, "peer": connection.peer, "verdict": verdict}
        )


class _CrowdedOut(asyncio.Protocol):
    """Closes a connection at once: too many others have not said yet which call they are."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say good-bye and close."""
        assert isinstance(transport, asyncio.Transport)
        transport.write(TERMINATE)
        transport.close()
