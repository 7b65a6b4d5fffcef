"""Thirty callers dial at once: all are greeted, heard, answered, and gone in the end."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from asterisk_server import AsteriskServer
from phone_calls import Manager, calling, number_125, told, until, watching
from served import ServedKamerton, served

pytestmark = [pytest.mark.asterisk, pytest.mark.anyio, pytest.mark.timeout(120)]

CALLS = 30
TONE_S = 3.0
FORMS = ("700", "708", "716")


async def test_thirty_calls_at_once(exchange: AsteriskServer, tmp_path: Path) -> None:
    over: list[str] = []

    async def talk(manager: Manager, server: ServedKamerton, extension: str) -> None:
        async with calling(exchange, manager, extension) as caller:
            await caller.hears(TONE_S * 0.9, 20, "the greeting")
            await until(lambda: told(server, "turn finished", caller.call_id), 10, "the greeting's end")
            caller.line.say(number_125())
            await caller.hears(TONE_S * 1.9, 20, "the answer")
            over.append(caller.call_id)

    with served(tmp_path, "--stand-ins", "--audiosocket-port", str(exchange.kamerton_port)) as server:
        async with watching(exchange) as manager, anyio.create_task_group() as tasks:
            for number in range(CALLS):
                tasks.start_soon(talk, manager, server, FORMS[number % len(FORMS)])
            await until(lambda: len(over) == CALLS, 60, "all calls")
            await until(lambda: len(server.log_records("call finished")) == CALLS, 10, "their ends at Kamerton")
            tasks.cancel_scope.cancel()
        finished = server.log_records("call finished")
    assert len(set(over)) == CALLS
    assert {record["ended_by"] for record in finished} == {"caller"}
    assert not [line for line in server.log.splitlines() if '"level": "ERROR"' in line]
