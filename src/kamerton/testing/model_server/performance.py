"""Playing one reply to one client: the tokens on their schedule, or the fault that the script asks for."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import anyio

from kamerton.testing.model_server import wire
from kamerton.testing.model_server.dialect import AnswerWriter, ChatRequest, Dialect
from kamerton.testing.model_server.http_connection import HttpConnection
from kamerton.testing.model_server.records import RequestLedger, ServedRequest
from kamerton.testing.model_server.script import FinishName, ModelScript, Reply


@dataclass(slots=True)
class Performance:
    """One reply on its way out. `play` returns when it is over; cancelling it stops at once."""

    connection: HttpConnection
    dialect: Dialect
    asked: ChatRequest
    reply: Reply
    record: ServedRequest
    ledger: RequestLedger
    script: ModelScript

    async def play(self) -> None:
        """Send the reply and note its outcome."""
        reply = self.reply
        await anyio.sleep(reply.slow_ms / 1000)
        if reply.down:
            self.ledger.ended(self.record, "failed")
        elif reply.status is not None:
            await self._refuse(reply.status)
        elif reply.slow_loris_ms is not None:
            await self._trickle(reply.slow_loris_ms / 1000)
        elif reply.instead == "whole":
            await self._whole()
        elif reply.instead == "page" or (reply.non_json and not self.asked.streamed):
            self.ledger.ended(self.record, "failed")
            await self.connection.respond_page(wire.PROXY_PAGE)
        elif self.asked.streamed:
            await self._stream()
        else:
            await self._whole()

    async def _refuse(self, status: int) -> None:
        after = self.reply.retry_after_s
        headers = () if after is None else (("Retry-After", f"{after:g}"),)
        body = self.dialect.refused(status, self.reply.remark, self.reply.code)
        self.ledger.ended(self.record, "failed")
        await self.connection.respond_json(status, body, headers)

    async def _trickle(self, pause_s: float) -> None:
        """A head that never ends."""
        for byte in itertools.chain(b"HTTP/1.1 200 OK\r\nX-Padding: ", itertools.repeat(ord("x"))):
            await self.connection.send_raw(bytes((byte,)))
            await anyio.sleep(pause_s)

    async def _stream(self) -> None:
        await self.connection.begin_stream()
        if self.reply.non_json:
            self.ledger.ended(self.record, "failed")
            await self.connection.finish(f"data: {wire.PROXY_PAGE}\n\n")
            return
        writer = self.dialect.writer(self.record, self.asked, self.reply)
        await self.connection.send(writer.opening())
        text = wire.written(self.reply, self.asked.messages)
        room = self.reply.breaks_after
        finish = self.reply.ends_with
        due_s = self.record.received_at_s + (self.reply.slow_ms + self._first_token_ms) / 1000
        for number, piece in enumerate(wire.pieces(text, self.reply)):
            if self._is_full(number):
                finish = "length"
                break
            await anyio.sleep_until(due_s + number * self._token_ms / 1000)
            shown = piece.text if room is None else piece.text[:room]
            if shown or piece.first:
                quirks = "".join(writer.quirk(name) for name in self.reply.quirks)
                self.ledger.token_sent(self.record)
                await self.connection.send(quirks + _sent(writer, piece, shown))
            if room is not None:
                room -= len(shown)
                if room <= 0:
                    break
        await self._end_stream(writer, finish)

    async def _end_stream(self, writer: AnswerWriter, finish: FinishName) -> None:
        if self.reply.breaks_after is not None:
            await self._break_off(writer)
            return
        self.ledger.ended(self.record, "completed")
        await self.connection.finish(writer.ending(finish))

    async def _break_off(self, writer: AnswerWriter) -> None:
        if self.reply.stall_after is not None:
            await anyio.sleep_forever()
        self.ledger.ended(self.record, "failed")
        if self.reply.error_after is not None:
            remark = self.reply.remark or "The server had an error while processing your request."
            await self.connection.finish(writer.error(remark))
        elif self.reply.cut == "stream":
            await self.connection.finish()
        elif self.reply.cut == "half_close":
            await self.connection.half_close()
            await anyio.sleep_forever()
        elif self.reply.cut == "reset":
            await self.connection.reset()
        elif self.reply.cut == "garbage":
            await self.connection.send_raw(bytes(range(256)))

    async def _whole(self) -> None:
        text = wire.written(self.reply, self.asked.messages)
        if self.reply.endless or self.reply.stall_after is not None:
            await anyio.sleep_forever()
        sent = list(itertools.islice(wire.tokens(text), self.asked.max_tokens))
        finish: FinishName = self.reply.ends_with if len(sent) == len(wire.tokens(text)) else "length"
        for number in range(len(sent)):
            due_ms = self.reply.slow_ms + self._first_token_ms + number * self._token_ms
            await anyio.sleep_until(self.record.received_at_s + due_ms / 1000)
            self.ledger.token_sent(self.record)
        if self.reply.breaks_after is not None:
            self.ledger.ended(self.record, "failed")
            return
        self.ledger.ended(self.record, "completed")
        await self.connection.respond_json(200, self.dialect.whole(self.record, "".join(sent), self.reply, finish))

    def _is_full(self, number: int) -> bool:
        limit = self.asked.max_tokens
        return limit is not None and number >= limit and not self.reply.endless

    @property
    def _first_token_ms(self) -> float:
        own = self.reply.first_token_ms
        return self.script.first_token_ms if own is None else own

    @property
    def _token_ms(self) -> float:
        own = self.reply.token_ms
        return self.script.token_ms if own is None else own


def _sent(writer: AnswerWriter, piece: wire.Piece, shown: str) -> str:
    """A piece as it goes over the wire, or what is to be seen of it."""
    if piece.call is not None:
        return writer.call(piece.index, piece.call, shown, first=piece.first)
    return writer.refusal(shown) if piece.kind == "refusal" else writer.text(shown)
