"""The insurance quote by telephone: recorded people, a real Asterisk, the real engines, both documented forms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import anyio
import pytest
from asterisk_server import AsteriskServer
from paths import REPO
from phone_calls import told, until, watching
from served import ServedKamerton, served

from kamerton.observability.turn_recorder import TurnRecorder
from kamerton.testing.caller.recordings import load_recording
from kamerton.testing.caller.talk import CallOutcome, Line, Patience, run_call
from kamerton.testing.phone.line import dialling
from kamerton.testing.phone.phone import PhoneModel, open_phone

pytestmark = [pytest.mark.asterisk, pytest.mark.anyio, pytest.mark.timeout(240)]

SAMPLES = REPO / "assistants" / "insurance" / "samples"
SAID = ("number-150", "number-2", "number-25", "bye")
PRICE = 13200
UNHURRIED = Patience(quiet_s=1.5, reply_s=30.0)
"""The server's side cannot be asked from here, so a caller waits until a pause is no pause within the answer."""
CALLERS = {"700": PhoneModel(number="79995550700"), "716": PhoneModel(number="79995550716")}


@pytest.fixture(scope="module")
def server(exchange: AsteriskServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedKamerton]:
    with served(tmp_path_factory.mktemp("served"), "--audiosocket-port", str(exchange.kamerton_port)) as running:
        yield running


@dataclass
class Quoted:
    """What came of one call."""

    outcome: CallOutcome
    call_id: str


async def quote(exchange: AsteriskServer, server: ServedKamerton, extension: str, model: PhoneModel) -> Quoted:
    lines = tuple(Line(load_recording(SAMPLES / f"{name}.wav")) for name in SAID)
    async with watching(exchange) as manager, open_phone(exchange.sip_port, model) as phone:
        outcome = await run_call(dialling(phone, extension), lines, TurnRecorder(), patience=UNHURRIED)
        announced = manager.call_of(model.number)
        assert announced is not None, f"the dialplan of {extension} did not announce its call"
        call_id = announced.value("UUID")
        await until(lambda: told(server, "call finished", call_id), 10, f"the end of the call by {extension}")
    return Quoted(outcome, call_id)


async def test_a_quote_is_reached_by_both_forms(exchange: AsteriskServer, server: ServedKamerton) -> None:
    quoted: dict[str, Quoted] = {}

    async def call(extension: str, model: PhoneModel) -> None:
        quoted[extension] = await quote(exchange, server, extension, model)

    async with anyio.create_task_group() as callers:
        for extension, model in CALLERS.items():
            callers.start_soon(call, extension, model)
    for extension, found in quoted.items():
        turns = told(server, "turn finished", found.call_id)
        shown = (extension, found.outcome.trouble, [(turn["text"], turn["reply"]) for turn in turns])
        (finished,) = told(server, "call finished", found.call_id)
        assert found.outcome.trouble is None, shown
        assert [turn["outcome"] for turn in turns if turn["state_after"] == "confirm"] == ["played"], shown
        assert finished["ended_by"] == "bot", shown
        assert finished["variables"]["final_price"] == PRICE, shown
