"""One telephone: SIP and RTP over UDP on this machine's loopback, one call at a time.

It calls, sends a frame of sound each time it is told to, presses keys, holds, and hangs up. Everything happens in
callbacks of the event loop; it has no task of its own.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Literal

import anyio

from kamerton.domain.errors import CallEnded
from kamerton.testing.caller.metronome import FRAME_S
from kamerton.testing.phone.rtp import ALAW, KEY_PAYLOAD_TYPE, PhoneCodec, RtpSender, key_sound, parse_rtp
from kamerton.testing.phone.sip import (
    ALLOWED,
    MediaAddress,
    SipMessage,
    media_address,
    parse_sip,
    write_response,
    write_sdp,
    write_sip,
)

HOST: Final = "127.0.0.1"
RESEND_S: Final = (0.5, 1.0, 2.0, 4.0)
"""A request is sent again after these waits (RFC 3261 timers A and E); after the last one nobody answers."""
LATE_FRAMES: Final = 6
"""Frames that may be late together; a clock of callers makes up for fewer and leaves more out."""
ANSWER_S: Final = 20.0
"""How long a call may ring."""


@dataclass(frozen=True, slots=True)
class PoorNetwork:
    """What becomes of the packets that the phone sends. The same seed loses and delays the same ones."""

    delay_ms: float = 0.0
    """Each packet is late by up to so much."""
    lost_share: float = 0.0
    seed: int = 1


@dataclass(frozen=True, slots=True)
class PhoneModel:
    """What kind of phone it is."""

    codec: PhoneCodec = ALAW
    keys: Literal["rfc4733", "sound"] = "rfc4733"
    """How keys are sent: as packets of their own, or as tones in the sound."""
    number: str = "79990001122"
    network: PoorNetwork = PoorNetwork()
    first_sequence: int | None = None
    """Where the sequence numbers of its packets begin; by chance, but low, when it is not given."""


class SipPhone:
    """A phone; made by `open_phone`.

    `on_sound` gets what is heard (PCM of the codec's format), `on_over` is called once when the far end hangs up.
    """

    def __init__(self, exchange_port: int, model: PhoneModel) -> None:
        self.model: Final = model
        self.on_sound: Callable[[bytes], None] = lambda pcm: None
        self.on_over: Callable[[], None] = lambda: None
        self.over = anyio.Event()
        """Set when the call has ended, whoever ended it."""
        self.end_reason = ""
        """What the far end gave as the reason of its hang-up."""
        self.muted = False
        """No packets are sent: silence suppression without comfort noise, or a cable pulled out."""
        self._exchange = (HOST, exchange_port)
        self._call_id = f"{uuid.uuid4()}@{HOST}"
        self._tag = uuid.uuid4().hex[:8]
        self._to = ""
        self._target = ""
        self._number = 0
        self._holding = False
        self._responses: dict[tuple[int, str], SipMessage] = {}
        self._news = anyio.Event()
        self._sip: asyncio.DatagramTransport | None = None
        self._rtp: asyncio.DatagramTransport | None = None
        self._far: MediaAddress | None = None
        self._sender = RtpSender(model.codec, random.Random(self._call_id).getrandbits(32), model.first_sequence)
        self._sounds: list[bytes] = []
        self._chance = random.Random(model.network.seed)
        self._loop = asyncio.get_running_loop()
        self._due_s: float | None = None

    async def bind(self) -> None:
        """Take two ports."""
        self._sip, _ = await self._loop.create_datagram_endpoint(lambda: _Port(self._sip_came), (HOST, 0))
        self._rtp, _ = await self._loop.create_datagram_endpoint(lambda: _Port(self._rtp_came), (HOST, 0))

    def close(self) -> None:
        """Give the ports back."""
        for transport in (self._sip, self._rtp):
            if transport is not None:
                transport.close()

    async def call(self, extension: str) -> None:
        """Dial, and wait until it is answered. Cancelled earlier, the exchange is left to find out by itself.

        Raises:
            CallEnded: nobody answers, or the exchange refuses.
        """
        host, port = self._exchange
        self._to, self._target = f"<sip:{extension}@{host}>", f"sip:{extension}@{host}:{port}"
        answer = await self._request("INVITE", self._offer(), wait_s=ANSWER_S)
        if answer.status >= 300:
            raise CallEnded(f"the exchange refused the call to {extension}: {answer.first_line}")
        if self._far is None:
            raise CallEnded(f"the exchange answered the call to {extension} without an address for sound")

    async def hold(self) -> None:
        """Put the far end on hold; nothing is sent meanwhile.

        Raises:
            CallEnded: the exchange refuses, or the call is over.
        """
        await self._change(holding=True)

    async def take_back(self) -> None:
        """End the hold.

        Raises:
            CallEnded: the exchange refuses, or the call is over.
        """
        await self._change(holding=False)

    async def hang_up(self) -> None:
        """End the call; returns when the exchange has confirmed it, or does not answer. Safe to repeat."""
        if self.over.is_set() or not self._to:
            return
        self.over.set()
        try:
            await self._request("BYE", wait_s=2.0)
        except CallEnded:
            return

    def send(self, pcm: bytes) -> None:
        """The 20 ms of sound that are due now. Pressed keys take their place; on hold and muted nothing leaves."""
        if self._far is None or self.over.is_set():
            return
        self._keep_time()
        if self.muted or self._holding:
            self._sender.pause()
            return
        if self._sounds:
            pcm = self._sounds.pop(0)
        for packet in self._sender.tick(pcm):
            self._dispatch(packet)

    def press(self, keys: str) -> None:
        """Press keys one after the other, with the next frames."""
        size = self.model.codec.format.frame_bytes
        for key in keys:
            if self.model.keys == "rfc4733":
                self._sender.press(key)
            else:
                sound = key_sound(key, self.model.codec.format)
                self._sounds += [sound[at : at + size] for at in range(0, len(sound), size)]

    def _keep_time(self) -> None:
        """Frames that were never asked for, since this process stood still, leave a gap in the stream's own time."""
        now_s = self._loop.time()
        if self._due_s is None:
            self._due_s = now_s
        while now_s - self._due_s > LATE_FRAMES * FRAME_S:
            self._sender.pause()
            self._due_s += FRAME_S
        self._due_s += FRAME_S

    def _dispatch(self, packet: bytes) -> None:
        network = self.model.network
        if network.lost_share and self._chance.random() < network.lost_share:
            return
        if network.delay_ms:
            self._loop.call_later(self._chance.uniform(0, network.delay_ms / 1000), self._emit, packet)
        else:
            self._emit(packet)

    def _emit(self, packet: bytes) -> None:
        if self._rtp is not None and self._far is not None and not self._rtp.is_closing():
            self._rtp.sendto(packet, self._far)

    async def _change(self, *, holding: bool) -> None:
        self._holding = holding
        answer = await self._request("INVITE", self._offer(), wait_s=sum(RESEND_S))
        if answer.status >= 300:
            raise CallEnded(f"the exchange refused to change the call: {answer.first_line}")

    def _offer(self) -> str:
        assert self._rtp is not None, "the phone is not open"
        return write_sdp(
            HOST,
            self._rtp.get_extra_info("sockname")[1],
            self.model.codec,
            self._number + 1,
            direction="sendonly" if self._holding else "sendrecv",
            keys=self.model.keys == "rfc4733",
        )

    async def _request(self, method: str, body: str = "", *, wait_s: float) -> SipMessage:
        """Send a request until it is answered; its final answer."""
        self._number += 1
        key = (self._number, method)
        branch = f"z9hG4bK{uuid.uuid4().hex}"
        message = self._written(method, self._number, branch, body)
        with anyio.move_on_after(wait_s):
            for pause_s in (*RESEND_S, wait_s):
                if key not in self._responses:
                    self._send(message)
                with anyio.move_on_after(pause_s):
                    while (answer := self._responses.get(key)) is None or answer.status < 200:
                        await self._news.wait()
                    return answer
        raise CallEnded(f"the exchange at {self._exchange[0]}:{self._exchange[1]} did not answer {method} in time")

    def _written(self, method: str, number: int, branch: str, body: str = "") -> bytes:
        headers = [
            ("Via", f"SIP/2.0/UDP {self._own_address};rport;branch={branch}"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:{self.model.number}@{self._own_address}>;tag={self._tag}"),
            ("To", self._to),
            ("Call-ID", self._call_id),
            ("CSeq", f"{number} {method}"),
            ("Contact", f"<{self._contact}>"),
            ("Allow", ALLOWED),
        ]
        return write_sip(f"{method} {self._target} SIP/2.0", headers, body)

    @property
    def _own_address(self) -> str:
        assert self._sip is not None, "the phone is not open"
        return f"{HOST}:{self._sip.get_extra_info('sockname')[1]}"

    @property
    def _contact(self) -> str:
        return f"sip:phone@{self._own_address}"

    def _send(self, message: bytes) -> None:
        if self._sip is not None and not self._sip.is_closing():
            self._sip.sendto(message, self._exchange)

    def _sip_came(self, data: bytes) -> None:
        message = parse_sip(data)
        if message is None:
            return
        if message.status:
            self._response_came(message)
        elif message.method != "ACK":
            self._request_came(message)

    def _response_came(self, message: SipMessage) -> None:
        if message.method == "INVITE" and message.status >= 200:
            if message.to_tag and ";tag=" not in self._to:
                self._to = message.header("to")
            self._target = message.contact or self._target
            self._far = media_address(message.body) or self._far
            # Also for an answer that comes again: the first acknowledgement was lost.
            self._send(self._written("ACK", message.number, f"z9hG4bK{uuid.uuid4().hex}"))
        self._responses[message.number, message.method] = message
        self._news.set()
        self._news = anyio.Event()

    def _request_came(self, message: SipMessage) -> None:
        ours = message.header("call-id") == self._call_id
        body = ""
        if ours and message.method in ("INVITE", "UPDATE") and message.body:
            self._far = media_address(message.body) or self._far
            body = self._offer()
        self._send(write_response(message, 200 if ours else 481, self._tag, self._contact, body))
        if ours and message.method == "BYE" and not self.over.is_set():
            self.end_reason = message.header("reason")
            self.over.set()
            self.on_over()

    def _rtp_came(self, data: bytes) -> None:
        packet = parse_rtp(data)
        codec = self.model.codec
        if packet is None or packet.payload_type == KEY_PAYLOAD_TYPE or packet.payload_type != codec.payload_type:
            return
        self.on_sound(codec.decode(packet.payload))


@asynccontextmanager
async def open_phone(exchange_port: int, model: PhoneModel | None = None) -> AsyncIterator[SipPhone]:
    """A phone that is hung up and gone when the context is left."""
    phone = SipPhone(exchange_port, model or PhoneModel())
    try:
        await phone.bind()
        yield phone
    finally:
        with anyio.CancelScope(shield=True):
            await phone.hang_up()
        phone.close()


class _Port(asyncio.DatagramProtocol):
    """Hands on what arrives at a UDP port."""

    def __init__(self, came: Callable[[bytes], None]) -> None:
        self._came = came

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._came(data)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there (an ICMP answer): the deadlines of the requests tell."""
