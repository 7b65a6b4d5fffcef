"""How calls end: what the caller hears, and what the dialplan is told, whoever ends it and however."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest
from asterisk_server import AsteriskServer
from phone_calls import Caller, calling, told, until, watching
from served import served

pytestmark = [pytest.mark.asterisk, pytest.mark.anyio, pytest.mark.timeout(60)]

TONE_S = 3.0
"""How long the stand-in voice sounds for any text."""
ANNOUNCEMENT_S = 1.0
"""At least so much sound has the dialplan's own announcement that nobody is available."""
APPLICATION, DIAL, DIAL_16 = "700", "708", "716"
STATUS = {APPLICATION: "TRYSTATUS", DIAL: "DIALSTATUS", DIAL_16: "DIALSTATUS"}


def options(exchange: AsteriskServer) -> tuple[str, ...]:
    return ("--stand-ins", "--audiosocket-port", str(exchange.kamerton_port))


async def callers(stack: AsyncExitStack, exchange: AsteriskServer, *extensions: str) -> dict[str, Caller]:
    """Calls to these extensions at the same time."""
    manager = await stack.enter_async_context(watching(exchange))
    return {
        extension: await stack.enter_async_context(calling(exchange, manager, extension)) for extension in extensions
    }


async def after(caller: Caller, variable: str) -> str | None:
    """What the dialplan was told, once the exchange has hung up."""
    await caller.hung_up_on(15)
    await until(lambda: caller.variable(variable), 5, f"{variable} of the caller's channel")
    return caller.variable(variable)


async def test_kamerton_says_goodbye_and_the_dialplan_goes_on(exchange: AsteriskServer, tmp_path: Path) -> None:
    limit = {"KAMERTON_CALL__PATIENCE__CALL_LIMIT_S": "4"}
    with served(tmp_path, *options(exchange), env=limit):
        async with AsyncExitStack() as stack:
            by_form = await callers(stack, exchange, APPLICATION, DIAL, DIAL_16)
            ends = {form: await after(caller, STATUS[form]) for form, caller in by_form.items()}
            heard = {form: caller.heard_s() for form, caller in by_form.items()}
    assert ends == {APPLICATION: "SUCCESS", DIAL: "ANSWER", DIAL_16: "ANSWER"}
    # The greeting and the good-bye, and no announcement of the dialplan.
    assert all(2 * TONE_S - 1.2 < seconds < 2 * TONE_S + 0.2 for seconds in heard.values()), heard


async def test_a_killed_server_leaves_the_dialplan_in_charge(exchange: AsteriskServer, tmp_path: Path) -> None:
    with served(tmp_path, *options(exchange)) as server:
        async with AsyncExitStack() as stack:
            by_form = await callers(stack, exchange, APPLICATION, DIAL)
            for caller in by_form.values():
                await caller.hears(1.0, 8, "the greeting")
            await anyio.to_thread.run_sync(server.kill)
            before = {form: caller.heard_s() for form, caller in by_form.items()}
            ends = {form: await after(caller, STATUS[form]) for form, caller in by_form.items()}
            later = {form: caller.heard_s() - before[form] for form, caller in by_form.items()}
    # Dial cannot tell a crash from a good-bye; the application can when the end of the connection is a reset.
    assert ends[DIAL] == "ANSWER"
    assert ends[APPLICATION] in ("FAILED", "SUCCESS")
    assert later[DIAL] < 0.3
    assert (later[APPLICATION] > ANNOUNCEMENT_S) == (ends[APPLICATION] == "FAILED"), later


async def test_without_a_server_the_caller_is_told(exchange: AsteriskServer) -> None:
    async with AsyncExitStack() as stack:
        by_form = await callers(stack, exchange, APPLICATION, DIAL)
        ends = {form: await after(caller, STATUS[form]) for form, caller in by_form.items()}
        heard = {form: caller.heard_s() for form, caller in by_form.items()}
    assert ends == {APPLICATION: "FAILED", DIAL: "CHANUNAVAIL"}
    assert all(seconds > ANNOUNCEMENT_S for seconds in heard.values()), heard


async def test_a_caller_who_hangs_up_ends_the_call_everywhere(exchange: AsteriskServer, tmp_path: Path) -> None:
    with served(tmp_path, *options(exchange)) as server:
        async with AsyncExitStack() as stack:
            by_form = await callers(stack, exchange, APPLICATION, DIAL)
            for caller in by_form.values():
                await caller.hears(1.0, 8, "the greeting")
                caller.line.hang_up()
            await until(lambda: len(server.log_records("call finished")) == len(by_form), 5, "the ends at Kamerton")
        ended = [told(server, "call finished", caller.call_id)[0]["ended_by"] for caller in by_form.values()]
        rows = await channels(exchange)
    assert ended == ["caller", "caller"]
    assert rows == 0


async def channels(exchange: AsteriskServer) -> int:
    async with watching(exchange) as manager:
        return len(await manager.client.listing("CoreShowChannels"))


async def test_a_server_that_is_stopped_finishes_its_sentence_and_says_goodbye(
    exchange: AsteriskServer, tmp_path: Path
) -> None:
    with served(tmp_path, *options(exchange)) as server:
        async with AsyncExitStack() as stack:
            by_form = await callers(stack, exchange, APPLICATION, DIAL)
            for caller in by_form.values():
                await caller.hears(1.0, 8, "the greeting")
            server.ask_to_stop()
            ends = {form: await after(caller, STATUS[form]) for form, caller in by_form.items()}
            heard = {form: caller.heard_s() for form, caller in by_form.items()}
    assert ends == {APPLICATION: "SUCCESS", DIAL: "ANSWER"}
    # All of the greeting, and a good-bye after it.
    assert all(seconds > 1.8 * TONE_S for seconds in heard.values()), heard
