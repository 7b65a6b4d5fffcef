"""Calls by every documented dialplan: heard and answered, keys, and a hang-up of the caller."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest
from asterisk_server import AsteriskServer
from phone_calls import calling, number_125, told, until, watching
from served import ServedKamerton, served

from kamerton.testing.phone.phone import PhoneModel
from kamerton.testing.phone.rtp import ALAW, ULAW

pytestmark = [pytest.mark.asterisk, pytest.mark.anyio, pytest.mark.timeout(60)]

TONE_S = 3.0
"""How long the stand-in voice sounds for any text."""


@pytest.fixture(scope="module")
def server(exchange: AsteriskServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedKamerton]:
    port = str(exchange.kamerton_port)
    with served(tmp_path_factory.mktemp("served"), "--stand-ins", "--audiosocket-port", port) as running:
        yield running


async def test_callers_are_greeted_heard_and_answered_by_every_form(
    exchange: AsteriskServer, server: ServedKamerton
) -> None:
    async def talk(extension: str, model: PhoneModel) -> None:
        async with watching(exchange) as manager, calling(exchange, manager, extension, model) as caller:
            await caller.hears(TONE_S * 0.9, 8, f"the greeting by {extension}")
            await until(lambda: told(server, "turn finished", caller.call_id), 5, f"its end by {extension}")
            caller.line.say(number_125(model))
            await caller.hears(TONE_S * 1.9, 8, f"the answer by {extension}")
            await until(lambda: len(told(server, "turn finished", caller.call_id)) == 2, 5, f"its end by {extension}")
            caller.line.hang_up()
            await until(lambda: told(server, "call finished", caller.call_id), 5, f"the end of the call by {extension}")
        (finished,) = told(server, "call finished", caller.call_id)
        assert finished["ended_by"] == "caller"
        assert [turn["text"] for turn in told(server, "turn finished", caller.call_id)] == ["", "сто двадцать пять"]

    async with anyio.create_task_group() as callers:
        for extension, codec in (("700", ALAW), ("701", ULAW), ("708", ULAW), ("716", ALAW)):
            callers.start_soon(talk, extension, PhoneModel(codec))


async def test_keys_are_heard_by_every_form_and_also_as_sound(exchange: AsteriskServer, server: ServedKamerton) -> None:
    async def type_in(extension: str, model: PhoneModel) -> None:
        async with watching(exchange) as manager, calling(exchange, manager, extension, model) as caller:
            await caller.hears(TONE_S * 0.9, 8, f"the greeting by {extension}")
            caller.phone.press("150#")
            await until(lambda: len(told(server, "turn finished", caller.call_id)) == 2, 10, f"the keys by {extension}")
        _, keys = told(server, "turn finished", caller.call_id)
        assert keys["text"] == "150"

    async with anyio.create_task_group() as callers:
        callers.start_soon(type_in, "700", PhoneModel(ALAW))
        callers.start_soon(type_in, "708", PhoneModel(ULAW))
        callers.start_soon(type_in, "700", PhoneModel(ALAW, keys="sound"))
