"""One browser call: media for its handler, a task that reads the page and a task that writes to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Literal

import anyio

from kamerton.domain.audio import SAMPLE_BYTES
from kamerton.domain.errors import CallEnded, ProtocolError
from kamerton.domain.media import CallInfo, MediaCapabilities, MediaSink, PlayoutPosition
from kamerton.domain.notices import CallFinished, Notice
from kamerton.transports.boundary import CallBoundary
from kamerton.transports.browser.link import WebSocketLink
from kamerton.transports.browser.outbox import Outbox
from kamerton.transports.browser.protocol import (
    MAX_AUDIO_BYTES,
    HangUp,
    Playback,
    StartDemoCall,
    UserInterrupted,
    encode_clear_audio,
    encode_ended,
    encode_error,
    encode_notice,
    parse_client_message,
)
from kamerton.transports.browser.settings import BrowserSettings
from kamerton.transports.intake import Intake
from kamerton.transports.position import AcknowledgedPosition

logger = logging.getLogger(__name__)

MAX_REASON_CHARACTERS = 30
"""A close carries 123 bytes of reason at most; a character has up to four."""
CLOSE_NORMAL = 1000
CLOSE_GOING_AWAY = 1001
CLOSE_POLICY = 1008
CLOSE_ERROR = 1011
CLOSE_TRY_AGAIN = 1013
_CODES = {"protocol_error": CLOSE_POLICY, "busy": CLOSE_TRY_AGAIN}
_CODES_BY_ENDER = {"shutdown": CLOSE_GOING_AWAY, "error": CLOSE_ERROR}
_Ender = Literal["caller", "bot", "error", "shutdown"]
_ENDED_BY: Mapping[str, _Ender] = {
    "hung_up": "caller",
    "shutdown": "shutdown",
    "error": "error",
    "protocol_error": "error",
    "not_reading": "error",
    "not_playing": "error",
}


class BrowserMedia:
    """`CallMedia` over a WebSocket. `read` and `write` are run by the transport beside the call's handler.

    The call can be over (`end_reason` is set) while the link is still open for the last messages.
    """

    def __init__(self, info: CallInfo, link: WebSocketLink, settings: BrowserSettings) -> None:
        self._info = info
        self._link = link
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._started_at_s = self._loop.time()
        self.boundary = CallBoundary(info.call_id, self.finish, settings.leave_timeout_s)
        self._intake = Intake(
            info.call_id,
            info.format,
            now_s=self._started_at_s,
            max_ahead_ms=settings.max_ahead_ms,
            boundary=self.boundary,
        )
        self._outbox = Outbox()
        self._position = AcknowledgedPosition(info.format, settings.far_buffer_ms)
        self._capabilities = MediaCapabilities(far_buffer_ms=settings.far_buffer_ms, can_clear=True, dtmf=False)
        self._bad_messages = 0
        self._blocked_at_s: float | None = None
        self._goodbye_said = False
        self._ended_by: _Ender | None = None
        self._notice_lost = False
        self._closing = False
        self._write_scope = anyio.CancelScope(shield=True)
        self._closed = anyio.Event()
        self.end_reason: str | None = None

    @property
    def info(self) -> CallInfo:
        """Who calls."""
        return self._info

    @property
    def capabilities(self) -> MediaCapabilities:
        """Audio can be recalled; there are no keys."""
        return self._capabilities

    def dropped(self) -> dict[str, float]:
        """What was lost on the way, for the log."""
        return {"dropped_in_ms": self._intake.dropped_ms, "dropped_out_frames": self._outbox.dropped_frames}

    def start(self, sink: MediaSink) -> None:
        """Deliver what arrives from now on to the sink (what waited first)."""
        self._intake.start(sink)

    def send(self, pcm: bytes) -> None:
        """Send one frame. Dropped and counted while too many wait.

        A page that reads nothing for long is cut off, and so is one that reported its play position and for long
        plays nothing of what it is sent.

        Raises:
            ValueError: not exactly 20 ms of the call's format.
        """
        if len(pcm) != self._info.format.frame_bytes:
            raise ValueError(f"a frame of this call has {self._info.format.frame_bytes} bytes, not {len(pcm)}")
        if self.end_reason is not None:
            return
        now_s = self._loop.time()
        if self._outbox.put_audio(pcm):
            self._position.sent(self._info.format.frame_samples, now_s)
            self._blocked_at_s = None
            if self._position.sent_in_vain_s > self._settings.not_playing_s:
                logger.warning(
                    "a page is cut off: it has stopped to play what it is sent",
                    extra={"call_id": self._info.call_id, "unplayed_s": self._settings.not_playing_s},
                )
                self._cut_off("not_playing")
        elif self._blocked_at_s is None:
            self._blocked_at_s = now_s
        elif now_s - self._blocked_at_s > self._settings.not_reading_s:
            self._cut_off("not_reading")

    def clear(self) -> None:
        """Drop what waits here and have the page drop what it holds."""
        if self.end_reason is None:
            self._outbox.recall_audio(encode_clear_audio(self._position.clear()))

    def position(self) -> PlayoutPosition:
        """What was sent, and by the page's own account not heard yet."""
        return self._position.position(self._loop.time())

    def notify(self, notice: Notice) -> None:
        """Show a notice on the page. After `CallFinished` nothing more is shown; what cannot be shown is left out."""
        if self._goodbye_said or self._closing:
            return
        if isinstance(notice, CallFinished):
            self._ended_by = notice.ended_by
        try:
            text = encode_notice(notice)
        except Exception:  # a boundary: scenario code may have put anything into what a notice carries
            if not self._notice_lost:
                self._notice_lost = True
                logger.exception("a notice cannot be shown on the page", extra={"call_id": self._info.call_id})
            return
        if text is None:
            return
        if self._outbox.text_full:
            self._cut_off("not_reading")
            return
        self._goodbye_said = isinstance(notice, CallFinished)
        self._outbox.put_text(text)

    async def hang_up(self, reason: str) -> None:
        """Tell the page that the call has ended and close, within the close deadline; then the link is cut."""
        self.finish(reason)
        if not self._closing:
            self._closing = True
            if not self._goodbye_said:
                self._outbox.put_text(encode_ended(self._finished()))
            self._outbox.wake()
        with anyio.move_on_after(self._settings.close_timeout_s, shield=True):
            await self._closed.wait()
        self._write_scope.cancel()

    def finish(self, reason: str) -> None:
        """No more audio either way: the sink is told, once. The link stays open for the last messages."""
        if self.end_reason is None:
            self.end_reason = reason
            self._intake.hang_up(reason)

    async def read(self) -> None:
        """Take what the page sends until it is gone. Raises nothing but cancellation; safe to cancel."""
        try:
            while (message := await self._link.receive()) is not None:
                try:
                    self._take(message)
                except ProtocolError as error:
                    self._complain(str(error))
        except Exception:  # a boundary: a fault on one page's way must not reach the other calls
            logger.exception("a page's messages cannot be read", extra={"call_id": self._info.call_id})
            self._cut_off("error")
        self._cut_off("hung_up")

    async def write(self) -> None:
        """Send what waits until the call is closed. Shielded, so that a cancelled call still says good-bye.

        Raises nothing but cancellation.
        """
        try:
            with self._write_scope:
                await self._write_all()
        except CallEnded:
            self.finish("hung_up")
        except Exception:  # a boundary: a fault on one page's way must not reach the other calls
            logger.exception("a page cannot be written to", extra={"call_id": self._info.call_id})
            self.finish("error")
        finally:
            self._closing = True
            self._closed.set()

    async def _write_all(self) -> None:
        while True:
            while (message := self._outbox.take()) is not None:
                await self._link.send(message)
            if self._closing:
                break
            await self._outbox.wait()
        reason = self.end_reason or ""
        code = _CODES.get(reason) or _CODES_BY_ENDER.get(self._ended_by or _ENDED_BY.get(reason, "bot"), CLOSE_NORMAL)
        await self._link.close(code, reason[:MAX_REASON_CHARACTERS])

    def _take(self, message: str | bytes) -> None:
        if self.end_reason is not None:
            return
        if isinstance(message, bytes):
            if len(message) % SAMPLE_BYTES or not 0 < len(message) <= MAX_AUDIO_BYTES:
                raise ProtocolError(f"audio of {len(message)} bytes is not 1 to {MAX_AUDIO_BYTES} bytes of 16-bit PCM")
            self._intake.audio(message, self._loop.time())
            return
        match parse_client_message(message):
            case Playback(played_samples):
                self._position.acknowledge(played_samples, self._loop.time())
            case UserInterrupted():
                self._intake.interrupt()
            case HangUp():
                self.finish("hung_up")
            case StartDemoCall():
                raise ProtocolError("the call has started already")

    def _complain(self, message: str) -> None:
        self._bad_messages += 1
        if self._bad_messages == 1:
            logger.warning(
                "a page sends messages that are not of the protocol",
                extra={"call_id": self._info.call_id, "reason": message},
            )
        if self._bad_messages > self._settings.max_bad_messages:
            self.finish("protocol_error")
        elif not self._closing and not self._goodbye_said:
            self._outbox.put_text(encode_error(message, "protocol"))

    def _cut_off(self, reason: str) -> None:
        """The page is gone or does not read: there is no use in saying good-bye."""
        self.finish(reason)
        self._write_scope.cancel()

    def _finished(self) -> CallFinished:
        """The last message, when nobody else has said how the call ended."""
        reason = self.end_reason or ""
        return CallFinished(
            call_id=self._info.call_id,
            ended_by=_ENDED_BY.get(reason, "bot"),
            reason=reason,
            duration_s=round(self._loop.time() - self._started_at_s, 3),
        )
