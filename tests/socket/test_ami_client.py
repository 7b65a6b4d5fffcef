"""The manager client and the watcher of holds, with a stand-in for Asterisk's side over real sockets."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest
from redis_server import free_port
from scripted_manager import SECRET, Lines, ScriptedManager, manager_on_a_free_port, until

from kamerton.domain.errors import ExchangeError
from kamerton.transports.asterisk.ami_client import connect_ami
from kamerton.transports.asterisk.hold_watch import HoldWatch
from kamerton.transports.asterisk.settings import AmiSettings

pytestmark = [pytest.mark.socket, pytest.mark.anyio]

CALL = "34ea34fb-ba7a-4af0-91cd-9300a6333c8b"
HOLD: Lines = (("Event", "Hold"), ("Uniqueid", "1.1"), ("Linkedid", "1.1"))
UNHOLD: Lines = (("Event", "Unhold"), ("Uniqueid", "1.1"), ("Linkedid", "1.1"))
ANNOUNCED: Lines = (("Event", "UserEvent"), ("UserEvent", "KamertonCall"), ("UUID", CALL), *HOLD[1:])
LISTED: Lines = (("Channel", "PJSIP/1"), *HOLD[1:], ("Application", "AudioSocket"), ("ApplicationData", f"{CALL},x:1"))


def settings(port: int, **changes: object) -> AmiSettings:
    impatient = AmiSettings("127.0.0.1", "kamerton", SECRET, port, connect_s=1.0, action_s=0.3, retry_s=0.05)
    return replace(impatient, **changes)  # type: ignore[arg-type]


async def refusal(manager: ScriptedManager, **changes: object) -> str:
    """What connecting to this manager fails with."""
    async with manager_on_a_free_port(manager):
        with pytest.raises(ExchangeError) as refused:
            async with connect_ami(settings(manager.port, **changes)):
                pass
    return str(refused.value)


async def test_actions_are_answered_and_events_come_in_order() -> None:
    async with (
        manager_on_a_free_port(ScriptedManager(channels=(LISTED, LISTED))) as manager,
        connect_ami(settings(manager.port)) as client,
    ):
        assert client.banner == "Asterisk Call Manager/11.0.0"
        assert (await client.action("Ping")).succeeded
        rows = await client.listing("CoreShowChannels")
        await manager.tell(*HOLD)
        await manager.tell(*UNHOLD)
        events = [(await client.next_event()).event for _ in range(2)]
    assert [row.value("Application") for row in rows] == ["AudioSocket"] * 2
    assert events == ["Hold", "Unhold"]


async def test_the_secret_does_not_cross_the_network() -> None:
    async with manager_on_a_free_port(ScriptedManager()) as manager, connect_ami(settings(manager.port)):
        pass
    assert not [action for action in manager.actions if SECRET in action.values()]
    assert SECRET not in repr(settings(1))


async def test_a_wrong_secret_is_told_with_its_cure() -> None:
    text = await refusal(ScriptedManager(), secret="wrong")
    assert "does not let user 'kamerton' in" in text
    assert "Authentication failed" in text
    assert "KAMERTON_AMI__SECRET" in text


async def test_an_exchange_that_is_not_there_is_told_with_its_cure() -> None:
    with pytest.raises(ExchangeError, match=r"cannot be reached .* manager\.conf"):
        async with connect_ami(settings(free_port())):
            pass


@pytest.mark.parametrize(
    ("manager", "complaint"),
    [
        (ScriptedManager(greeting=b""), "sent no greeting"),
        (ScriptedManager(greeting=b"220 mail.example.org ESMTP\r\n"), "greets with '220 mail"),
        (ScriptedManager(silent=("Challenge",)), "did not answer 'Challenge'"),
        (ScriptedManager(silent=("Login",)), "did not answer 'Login'"),
    ],
    ids=["mute", "mail", "no challenge", "no answer"],
)
async def test_what_does_not_answer_as_a_manager_interface_is_given_up(
    manager: ScriptedManager, complaint: str
) -> None:
    assert complaint in await refusal(manager, connect_s=0.3)


async def test_a_refused_action_says_so_and_the_connection_stays() -> None:
    async with (
        manager_on_a_free_port(ScriptedManager(refused=("Redirect",), silent=("Queues",))) as manager,
        connect_ami(settings(manager.port)) as client,
    ):
        with pytest.raises(ExchangeError, match=r"refused 'Redirect': Permission denied; check the rights"):
            await client.action("Redirect", ("Channel", "PJSIP/1"))
        with pytest.raises(ExchangeError, match="did not answer 'Queues'"):
            await client.action("Queues")
        assert not client.lost
        assert (await client.action("Ping")).succeeded


async def test_a_lost_connection_fails_whoever_waits() -> None:
    async with (
        manager_on_a_free_port(ScriptedManager(silent=("Queues",))) as manager,
        connect_ami(settings(manager.port, action_s=5.0)) as client,
        anyio.create_task_group() as tasks,
    ):
        failed: list[str] = []

        async def ask() -> None:
            with pytest.raises(ExchangeError) as lost:
                await client.action("Queues")
            failed.append(str(lost.value))

        tasks.start_soon(ask)
        await until(lambda: manager.count("Queues"))
        await manager.drop()
        with pytest.raises(ExchangeError, match="Asterisk closed the connection"):
            await client.next_event()
        await until(lambda: failed)
        assert client.lost


async def test_a_connection_that_carries_nothing_is_probed_and_given_up() -> None:
    async with (
        manager_on_a_free_port(ScriptedManager()) as manager,
        connect_ami(settings(manager.port, ping_s=0.1)) as client,
    ):
        await until(lambda: manager.count("Ping") >= 2)
        assert not client.lost
        manager.silent = ("Ping",)
        with pytest.raises(ExchangeError, match="not even to a ping"):
            await client.next_event()


@asynccontextmanager
async def watched(manager: ScriptedManager, **changes: object) -> AsyncIterator[list[tuple[str, bool]]]:
    """What a watcher of this manager tells."""
    told: list[tuple[str, bool]] = []
    watch = HoldWatch(settings(manager.port, **changes), lambda call_id, held: told.append((call_id, held)))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run)
        yield told
        tasks.cancel_scope.cancel()


async def test_holds_are_told() -> None:
    async with manager_on_a_free_port(ScriptedManager()) as manager, watched(manager) as told:
        await until(lambda: manager.count("CoreShowChannels"))
        for lines in (ANNOUNCED, HOLD, UNHOLD):
            await manager.tell(*lines)
        await until(lambda: len(told) == 2)
    assert told == [(CALL, True), (CALL, False)]


async def test_a_call_that_was_not_announced_is_looked_for_when_it_holds() -> None:
    async with manager_on_a_free_port(ScriptedManager()) as manager, watched(manager) as told:
        await until(lambda: manager.count("CoreShowChannels"))
        manager.channels = (LISTED,)
        await manager.tell(*HOLD)
        await until(lambda: told)
        assert manager.count("CoreShowChannels") == 2
    assert told == [(CALL, True), (CALL, False)]


async def test_a_call_is_looked_for_again_when_the_list_did_not_come() -> None:
    async with manager_on_a_free_port(ScriptedManager()) as manager, watched(manager) as told:
        await until(lambda: manager.count("CoreShowChannels"))
        manager.channels, manager.silent = (LISTED,), ("CoreShowChannels",)
        await manager.tell(*HOLD)
        await until(lambda: manager.count("CoreShowChannels") == 2)
        await anyio.sleep(0.4)
        manager.silent = ()
        await manager.tell(*HOLD)
        await until(lambda: told)
    assert told[0] == (CALL, True)


async def test_rows_that_come_too_late_are_no_events() -> None:
    late = (("Event", "CoreShowChannel"), ("ActionID", "kamerton-9"))
    async with manager_on_a_free_port(ScriptedManager()) as manager, connect_ami(settings(manager.port)) as client:
        await manager.tell(*late)
        await manager.tell(*HOLD)
        assert (await client.next_event()).event == "Hold"


async def test_a_lost_connection_takes_held_calls_back_and_is_made_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with manager_on_a_free_port(ScriptedManager(channels=(LISTED,))) as manager, watched(manager) as told:
        await until(lambda: manager.count("CoreShowChannels"))
        await manager.tell(*HOLD)
        await until(lambda: told)
        await manager.drop()
        await until(lambda: manager.count("CoreShowChannels") == 2)
        assert told == [(CALL, True), (CALL, False)]
        await manager.tell(*HOLD)
        await until(lambda: len(told) == 3)
    assert [record.reason for record in caplog.records] == [  # type: ignore[attr-defined]
        f"Asterisk's manager interface at 127.0.0.1:{manager.port} is lost: Asterisk closed the connection"
    ]


async def test_a_fault_of_the_watch_is_logged_and_it_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    told: list[bool] = []

    def hold(call_id: str, held: bool) -> None:
        told.append(held)
        if len(told) == 1:
            raise ZeroDivisionError

    async with (
        manager_on_a_free_port(ScriptedManager(channels=(LISTED,))) as manager,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(HoldWatch(settings(manager.port), hold).run)
        await until(lambda: manager.count("CoreShowChannels"))
        await manager.tell(*HOLD)
        await until(lambda: manager.count("CoreShowChannels") == 2)
        tasks.cancel_scope.cancel()
    assert told == [True, False]
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "the watch over holds failed and begins anew"
    ]


async def test_an_exchange_that_comes_later_is_found_and_its_absence_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    manager = ScriptedManager(channels=(LISTED,), port=free_port())
    async with watched(manager, retry_s=0.01, longest_retry_s=0.02) as told:
        await until(lambda: caplog.records)
        with anyio.move_on_after(0.2):
            await until(lambda: len(caplog.records) > 1)
        async with manager_on_a_free_port(manager):
            await until(lambda: manager.count("CoreShowChannels"))
            await manager.tell(*HOLD)
            await until(lambda: told)
            assert len(caplog.records) == 1


async def test_a_user_who_may_not_list_channels_still_hears_of_announced_calls(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    async with (
        manager_on_a_free_port(ScriptedManager(refused=("CoreShowChannels",))) as manager,
        watched(manager) as told,
    ):
        await until(lambda: manager.count("CoreShowChannels"))
        for lines in (ANNOUNCED, HOLD):
            await manager.tell(*lines)
        await until(lambda: told)
    assert told[0] == (CALL, True)
    (complaint,) = caplog.records
    assert "Permission denied" in complaint.reason  # type: ignore[attr-defined]
