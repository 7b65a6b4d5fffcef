"""A caller who holds: Kamerton knows it from the manager interface, asks nothing meanwhile, and goes on afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest
from asterisk_server import AsteriskServer
from phone_calls import calling, told, until, watching
from served import ServedKamerton, served

pytestmark = [pytest.mark.asterisk, pytest.mark.anyio, pytest.mark.timeout(90)]

TONE_S = 3.0
SILENCE_PROMPT_S = 2.0
FORMS = ("700", "716")
HELD_S = 7.0
"""Longer than silence takes until it is asked about."""


@pytest.fixture(scope="module")
def server(exchange: AsteriskServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedKamerton]:
    settings = {
        "KAMERTON_AMI__HOST": "127.0.0.1",
        "KAMERTON_AMI__PORT": str(exchange.ami_port),
        "KAMERTON_AMI__SECRET": exchange.secret,
        "KAMERTON_CALL__PATIENCE__SILENCE_PROMPT_S": str(SILENCE_PROMPT_S),
        "KAMERTON_CALL__PATIENCE__SILENCE_GOODBYE_S": str(SILENCE_PROMPT_S),
    }
    folder = tmp_path_factory.mktemp("served")
    with served(folder, "--stand-ins", "--audiosocket-port", str(exchange.kamerton_port), env=settings) as running:
        yield running


async def test_a_hold_is_told_by_every_form(exchange: AsteriskServer, server: ServedKamerton) -> None:
    async def hold(extension: str) -> None:
        async with watching(exchange) as manager, calling(exchange, manager, extension) as caller:
            await caller.hears(1.0, 8, f"the greeting by {extension}")
            await caller.phone.hold()
            await until(lambda: told(server, "a call is put on hold", caller.call_id), 5, f"the hold by {extension}")
            await caller.phone.take_back()
            taken = "a call is taken back from hold"
            await until(lambda: told(server, taken, caller.call_id), 5, f"its end by {extension}")

    async with anyio.create_task_group() as callers:
        for extension in FORMS:
            callers.start_soon(hold, extension)
    assert not server.log_records("holds of calls are not, or not all, known"), "the documented rights do not suffice"


async def test_who_holds_is_not_asked_whether_they_are_there_and_who_is_silent_is(
    exchange: AsteriskServer, server: ServedKamerton
) -> None:
    async with anyio.create_task_group() as callers:
        for extension in FORMS:
            callers.start_soon(hold_for_long, exchange, server, extension)
        for muted in (False, True):
            callers.start_soon(keep_silent, exchange, server, muted)


async def hold_for_long(exchange: AsteriskServer, server: ServedKamerton, extension: str) -> None:
    async with watching(exchange) as manager, calling(exchange, manager, extension) as caller:
        await caller.hears(TONE_S * 0.9, 8, f"the greeting by {extension}")
        await caller.phone.hold()
        with anyio.move_on_after(HELD_S):
            await caller.phone.over.wait()
        said = [turn["reply"] for turn in told(server, "turn finished", caller.call_id)]
        assert len(said) == 1, said
        assert not caller.phone.over.is_set()
        await caller.phone.take_back()
        await caller.hears(TONE_S * 1.9, 8, f"the question whether they are there by {extension}")


async def keep_silent(exchange: AsteriskServer, server: ServedKamerton, muted: bool) -> None:
    """A phone in a quiet room, or one that sends no packets at all."""
    async with watching(exchange) as manager, calling(exchange, manager, "700", muted=muted) as caller:
        await caller.hung_up_on(25)
        # The greeting, the question and the good-bye.
        assert caller.heard_s() > 2.8 * TONE_S
        assert len(told(server, "turn finished", caller.call_id)) == 3
        await until(lambda: caller.variable("TRYSTATUS") == "SUCCESS", 5, "the dialplan going on")
