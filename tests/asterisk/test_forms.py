"""Calls by every documented dialplan: heard and answered, keys, and a hang-up of the caller."""

from __future__ import annotations

from collections.abc import Iterator

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


@pytest.mark.parametrize(
    ("extension", "model"),
    [
        ("700", PhoneModel(ALAW)),
        ("701", PhoneModel(ULAW)),
        ("708", PhoneModel(ULAW)),
        ("716", PhoneModel(ALAW)),
    ],
)
async def test_a_caller_is_greeted_heard_and_answered(
    exchange: AsteriskServer, server: ServedKamerton, extension: str, model: PhoneModel
) -> None:
    async with watching(exchange) as manager, calling(exchange, manager, extension, model) as caller:
        await caller.hears(TONE_S * 0.9, 8, "the greeting")
        await until(lambda: told(server, "turn finished", caller.call_id), 5, "the greeting's end")
        caller.line.say(number_125(model))
        await caller.hears(TONE_S * 1.9, 8, "the answer")
        await until(lambda: len(told(server, "turn finished", caller.call_id)) == 2, 5, "the answer's end")
        caller.line.hang_up()
        await until(lambda: told(server, "call finished", caller.call_id), 5, "the end of the call at Kamerton")
    (finished,) = told(server, "call finished", caller.call_id)
    assert finished["ended_by"] == "caller"
    assert [turn["text"] for turn in told(server, "turn finished", caller.call_id)] == ["", "сто двадцать пять"]


@pytest.mark.parametrize(
    ("extension", "model"),
    [
        ("700", PhoneModel(ALAW)),
        ("708", PhoneModel(ULAW)),
        ("700", PhoneModel(ALAW, keys="sound")),
    ],
    ids=["application", "dial", "keys as sound"],
)
async def test_keys_are_heard(
    exchange: AsteriskServer, server: ServedKamerton, extension: str, model: PhoneModel
) -> None:
    async with watching(exchange) as manager, calling(exchange, manager, extension, model) as caller:
        await caller.hears(TONE_S * 0.9, 8, "the greeting")
        caller.phone.press("150#")
        await until(lambda: len(told(server, "turn finished", caller.call_id)) == 2, 10, "the turn of the keys")
    greeting, keys = told(server, "turn finished", caller.call_id)
    assert keys["text"] == "150"
