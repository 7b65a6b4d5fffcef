"""The browser transport: takes accepted WebSockets, admits calls and runs their handler in its own task group."""

from __future__ import annotations

import logging
from collections import Counter
from uuid import uuid4

import anyio
from anyio.abc import TaskGroup, TaskStatus

from kamerton.domain.audio import WIDEBAND
from kamerton.domain.errors import CallEnded, ProtocolError
from kamerton.domain.media import CallHandler, CallInfo
from kamerton.transports.admission import Admission, CallGate
from kamerton.transports.browser.link import WebSocketLink
from kamerton.transports.browser.media import CLOSE_POLICY, CLOSE_TRY_AGAIN, BrowserMedia
from kamerton.transports.browser.protocol import (
    HangUp,
    StartDemoCall,
    encode_error,
    encode_started,
    parse_client_message,
)
from kamerton.transports.browser.settings import BrowserSettings
from kamerton.transports.seldom_log import SeldomLog
from kamerton.transports.waiting_room import WaitingRoom

logger = logging.getLogger(__name__)

MAX_REJECTIONS = 32
"""Pages that are told at the same time why there is no call; any more are closed without words."""
BUSY_MESSAGE = "All lines are busy; try again in a minute."
NOT_SERVING_MESSAGE = "The server takes no calls at the moment; try again in a minute."


class BrowserTransport:
    """`Transport` for browser pages. One instance serves once.

    The web server hands it each accepted WebSocket with `connect`. `refuse` is run for calls over the gate's limit (see
    `BusyLine`); without it they are told and closed.
    """

    def __init__(
        self,
        settings: BrowserSettings | None = None,
        *,
        gate: CallGate | None = None,
        refuse: CallHandler | None = None,
    ) -> None:
        self._settings = settings or BrowserSettings()
        self._gate = gate or CallGate()
        self._refuse = refuse
        self._handler: CallHandler | None = None
        self._calls: TaskGroup | None = None
        self._stopped = anyio.Event()
        self._rejecting = 0
        self._silent: WaitingRoom[anyio.CancelScope] = WaitingRoom(self._settings.max_pending)
        self._not_served = SeldomLog(logger, "a browser call is not served")
        self._too_silent = SeldomLog(logger, "a page that started no call is closed: too many say nothing")
        self.counters: Counter[str] = Counter()
        """Totals since start: `accepted` connections, calls by admission verdict, ends by reason (`ended_…`),
        connections `crowded_out`, and `dropped_in_ms` and `dropped_out_frames`."""

    @property
    def name(self) -> str:
        """Name for logs and metrics."""
        return "browser"

    async def serve(self, handler: CallHandler, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Run the calls of the pages that connect, until cancelled; then every page is told and closed."""
        self._handler = handler
        try:
            async with anyio.create_task_group() as calls:
                self._calls = calls
                task_status.started()
                await anyio.sleep_forever()
        finally:
            self._calls = None
            self._stopped.set()

    async def stopped(self) -> None:
        """Wait until `serve` has ended its last call."""
        await self._stopped.wait()

    async def connect(self, link: WebSocketLink, peer: str) -> None:
        """Run the call of one accepted WebSocket; returns when it is over and the WebSocket may go.

        The call runs in `serve`'s task group, not in the caller's task, so that stopping ends it in good order.
        """
        self.counters["accepted"] += 1
        if self._calls is None:
            await self._reject(link, NOT_SERVING_MESSAGE, CLOSE_TRY_AGAIN)
            return
        over = anyio.Event()
        self._calls.start_soon(self._run, link, peer, over, name=f"browser {peer}")
        await over.wait()

    async def _run(self, link: WebSocketLink, peer: str, over: anyio.Event) -> None:
        """One page's connection. A boundary: a fault of one page ends its connection and nothing else."""
        try:
            start = await self._await_start(link, peer)
            if start is not None:
                await self._admit(link, peer, start)
        except Exception:
            self.counters["failed"] += 1
            logger.exception("a page's connection ended by an error", extra={"peer": peer})
        finally:
            over.set()

    async def _await_start(self, link: WebSocketLink, peer: str) -> StartDemoCall | None:
        """The first message, or None when there is no call. Whoever says nothing for longest may have to go."""
        waiting = anyio.CancelScope(deadline=anyio.current_time() + self._settings.start_timeout_s)
        deadline_s = waiting.deadline
        crowded_out = self._silent.enter(peer.rpartition(":")[0], waiting)
        if crowded_out is not None:
            self.counters["crowded_out"] += 1
            self._too_silent.warn(peer=peer, waiting=len(self._silent))
            crowded_out.cancel()
        try:
            with waiting:
                return await self._first_message(link)
        finally:
            self._silent.leave(waiting)
        if anyio.current_time() < deadline_s:
            await self._reject(link, NOT_SERVING_MESSAGE, CLOSE_TRY_AGAIN)
        else:
            self.counters["not_started"] += 1
            await self._reject(link, "No start_demo_call came in time.", CLOSE_POLICY)
        return None

    async def _first_message(self, link: WebSocketLink) -> StartDemoCall | None:
        """`start_demo_call`, or None when the page was closed or is gone. Audio that comes too early is ignored."""
        bad_messages = 0
        while (message := await link.receive()) is not None:
            if isinstance(message, bytes):
                continue
            try:
                first = parse_client_message(message)
                if isinstance(first, StartDemoCall):
                    return first
                if isinstance(first, HangUp):
                    await link.close(CLOSE_POLICY, "no call was started")
                    return None
                raise ProtocolError("the call has not started yet; send start_demo_call first")
            except ProtocolError as error:
                bad_messages += 1
                if bad_messages > self._settings.max_bad_messages:
                    self.counters["not_started"] += 1
                    await self._reject(link, str(error), CLOSE_POLICY)
                    return None
                if not await self._tell(link, encode_error(str(error), "protocol")):
                    return None
        return None

    async def _admit(self, link: WebSocketLink, peer: str, start: StartDemoCall) -> None:
        call_id = str(uuid4())
        verdict = self._gate.admit(call_id)
        self.counters[verdict] += 1
        if verdict is not Admission.SERVED:
            self._not_served.warn(peer=peer, verdict=verdict)
        try:
            handler = {Admission.SERVED: self._handler, Admission.REFUSED: self._refuse}.get(verdict)
            if handler is None:
                await self._reject(link, BUSY_MESSAGE, CLOSE_TRY_AGAIN)
            elif await self._tell(link, encode_started(call_id)):
                info = CallInfo(call_id, self.name, WIDEBAND, peer=peer, user_name=start.user_name)
                await self._converse(handler, BrowserMedia(info, link, self._settings))
        finally:
            self._gate.leave(call_id)

    async def _converse(self, handler: CallHandler, media: BrowserMedia) -> None:
        """Run one call to its end."""
        reason = "shutdown"
        async with anyio.create_task_group() as group:
            group.start_soon(media.write)
            group.start_soon(media.read)
            try:
                reason = await media.boundary.run(handler, media)
            finally:
                await media.hang_up(reason)
                group.cancel_scope.cancel()
                self._account(media)

    def _account(self, media: BrowserMedia) -> None:
        dropped = media.dropped()
        self.counters[f"ended_{media.end_reason}"] += 1
        for name, value in dropped.items():
            self.counters[name] += int(value)
        logger.info(
            "a browser call is over",
            extra={"call_id": media.info.call_id, "peer": media.info.peer, "reason": media.end_reason, **dropped},
        )

    async def _tell(self, link: WebSocketLink, text: str) -> bool:
        """Send one message outside a call; False when the page is gone or does not read."""
        with anyio.move_on_after(self._settings.close_timeout_s):
            try:
                await link.send(text)
            except CallEnded:
                return False
            return True
        return False

    async def _reject(self, link: WebSocketLink, message: str, code: int) -> None:
        """Tell the page why there is no call, and close."""
        if self._rejecting >= MAX_REJECTIONS:
            return
        where = "admission" if code == CLOSE_TRY_AGAIN else "protocol"
        self._rejecting += 1
        try:
            if await self._tell(link, encode_error(message, where)):
                with anyio.move_on_after(self._settings.close_timeout_s):
                    await link.close(code, message)
        finally:
            self._rejecting -= 1
