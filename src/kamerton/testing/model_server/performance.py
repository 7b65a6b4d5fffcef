"""Playing one reply to one client: the tokens on their schedule, or the fault that the script asks for."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import anyio

from kamerton.testing.model_server import wire
from kamerton.testing.model_server.chat_request import ChatRequest
from kamerton.testing.model_server.http_connection import HttpConnection
from kamerton.testing.model_server.records import RequestLedger, ServedRequest
from kamerton.testing.model_server.script import ModelScript, Reply

_ERROR_KINDS = {
    401: ("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    404: ("The model does not exist or you do not have access to it.", "invalid_request_error", "model_not_found"),
    429: ("Rate limit reached for requests.", "requests", "rate_limit_exceeded"),
}


@dataclass(slots=True)
class Performance:
    """One reply on its way out. `play` returns when it is over; cancelling it stops at once."""

    connection: HttpConnection
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
        message, kind, code = _ERROR_KINDS.get(status, ("The server had an error.", "server_error", "server_error"))
        after = self.reply.retry_after_s
        headers = () if after is None else (("Retry-After", f"{after:g}"),)
        body = wire.error_body(self.reply.remark or message, kind, code)
        self.ledger.ended(self.record, "failed")
        await self.connection.respond_json(status, body, headers)

    async def _stream(self) -> None:
        await self.connection.begin_stream()
        if self.reply.non_json:
            self.ledger.ended(self.record, "failed")
            await self.connection.finish(f"data: {wire.PROXY_PAGE}\n\n")
            return
        await self.connection.send(wire.chunk(self.record, {"role": "assistant", "content": ""}))
        text = wire.written(self.reply, self.asked.messages)
        room = self.reply.breaks_after
        finish: str = self.reply.finish
        due_s = self.record.received_at_s + (self.reply.slow_ms + self._first_token_ms) / 1000
        for number, token in enumerate(wire.pieces(text, self.reply)):
            if self._is_full(number):
                finish = "length"
                break
            await anyio.sleep_until(due_s + number * self._token_ms / 1000)
            shown = token if room is None else token[:room]
            if shown:
                self.ledger.token_sent(self.record)
                await self.connection.send(self._quirks + wire.chunk(self.record, {"content": shown}, self._no_reason))
            if room is not None:
                room -= len(shown)
                if room <= 0:
                    break
        await self._end_stream(finish)

    async def _end_stream(self, finish: str) -> None:
        if self.reply.breaks_after is not None:
            await self._break_off()
            return
        self.ledger.ended(self.record, "completed")
        usage = wire.usage_chunk(self.record) if self.asked.with_usage else ""
        await self.connection.finish(wire.chunk(self.record, {}, finish) + usage + wire.DONE)

    async def _break_off(self) -> None:
        if self.reply.stall_after is not None:
            await anyio.sleep_forever()
        self.ledger.ended(self.record, "failed")
        if self.reply.error_after is not None:
            remark = self.reply.remark or "The server had an error while processing your request."
            body = wire.error_body(remark, "server_error")
            await self.connection.finish(wire.sse(body))
        elif self.reply.cut == "stream":
            await self.connection.finish()

    async def _whole(self) -> None:
        text = wire.written(self.reply, self.asked.messages)
        if self.reply.endless or self.reply.stall_after is not None:
            await anyio.sleep_forever()
        sent = list(itertools.islice(wire.tokens(text), self.asked.max_tokens))
        finish = self.reply.finish if len(sent) == len(wire.tokens(text)) else "length"
        for number in range(len(sent)):
            due_ms = self.reply.slow_ms + self._first_token_ms + number * self._token_ms
            await anyio.sleep_until(self.record.received_at_s + due_ms / 1000)
            self.ledger.token_sent(self.record)
        if self.reply.breaks_after is not None:
            self.ledger.ended(self.record, "failed")
            return
        self.ledger.ended(self.record, "completed")
        await self.connection.respond_json(200, wire.completion(self.record, "".join(sent), finish))

    @property
    def _quirks(self) -> str:
        return "".join(wire.quirk(self.record, name) for name in self.reply.quirks)

    @property
    def _no_reason(self) -> str | None:
        return "" if "empty_reason" in self.reply.quirks else None

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
