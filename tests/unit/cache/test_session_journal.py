from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import anyio
import pytest

from kamerton.cache.memory_store import MemoryStore
from kamerton.cache.session_journal import SessionJournal
from kamerton.domain.dialogue import SessionState, TurnState
from kamerton.domain.errors import EngineError
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio

SESSION = SessionState(
    call_id="call-1",
    assistant="insurance",
    current_state_id="ask_power",
    variables={"power": 150.0, "name": "Иван", "extras": ["угон", None, True], "car": {"make": "ВАЗ"}},
    state_history=("start", "ask_power"),
    previous_intent_leader="price",
    turn_state=TurnState.USER_TURN,
    misses=2,
)


class CountedStore(MemoryStore):
    """Counts writes, takes a tenth of a second for each, and fails while `is_away`."""

    def __init__(self) -> None:
        super().__init__(10_000_000)
        self.writes: list[bytes] = []
        self.is_away = False

    async def put(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        await anyio.sleep(0.1)
        if self.is_away:
            raise EngineError("away")
        self.writes.append(value)
        await super().put(key, value, ttl_s)

    async def get(self, key: str) -> bytes | None:
        if self.is_away:
            raise EngineError("away")
        return await super().get(key)


@pytest.fixture
def anyio_backend() -> object:
    return "asyncio", {"loop_factory": VirtualLoop}


@pytest.fixture
def store() -> CountedStore:
    return CountedStore()


@asynccontextmanager
async def running(store: MemoryStore) -> AsyncIterator[SessionJournal]:
    journal = SessionJournal(store)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(journal.run)
        yield journal
        tasks.cancel_scope.cancel()


async def test_a_session_outlives_its_process(store: CountedStore) -> None:
    async with running(store) as journal:
        journal.keep(SESSION)
        await anyio.sleep(1)
    assert await SessionJournal(store).load("call-1") == SESSION
    assert await SessionJournal(store).load("call-2") is None
    assert await store.keys("") == ("session:call-1",)


async def test_it_is_gone_an_hour_after_its_last_change(store: CountedStore) -> None:
    async with running(store) as journal:
        journal.keep(SESSION)
        await anyio.sleep(3599)
        assert await journal.load("call-1") == SESSION
        await anyio.sleep(2)
        assert await journal.load("call-1") is None


async def test_only_the_newest_state_of_a_call_is_written(store: CountedStore) -> None:
    async with running(store) as journal:
        for misses in range(100):
            journal.keep(replace(SESSION, misses=misses))
        journal.keep(replace(SESSION, call_id="call-2"))
        assert journal.waiting == 2
        await anyio.sleep(1)
        assert journal.waiting == 0
        assert len(store.writes) == 2
        loaded = await journal.load("call-1")
    assert loaded == replace(SESSION, misses=99)


async def test_a_state_noted_while_an_older_one_is_written_is_written_too(store: CountedStore) -> None:
    async with running(store) as journal:
        journal.keep(SESSION)
        await anyio.sleep(0.05)
        journal.keep(replace(SESSION, misses=9))
        await anyio.sleep(1)
    assert await SessionJournal(store).load("call-1") == replace(SESSION, misses=9)


async def test_what_waits_can_be_loaded_and_forgotten(store: CountedStore) -> None:
    journal = SessionJournal(store)
    journal.keep(SESSION)
    assert await journal.load("call-1") == SESSION
    journal.forget("call-1")
    assert await journal.load("call-1") is None


async def test_a_call_that_is_over_is_removed(store: CountedStore) -> None:
    async with running(store) as journal:
        journal.keep(SESSION)
        await anyio.sleep(1)
        journal.forget("call-1")
        await anyio.sleep(1)
        assert await store.keys("session:") == ()


async def test_what_waits_at_the_end_is_still_written(store: CountedStore) -> None:
    async with running(store) as journal:
        await anyio.sleep(1)
        journal.keep(SESSION)
    assert await SessionJournal(store).load("call-1") == SESSION


async def test_a_store_that_is_away_is_waited_for(store: CountedStore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with running(store) as journal:
        store.is_away = True
        for misses in range(30):
            journal.keep(replace(SESSION, misses=misses))
            await anyio.sleep(1)
        assert journal.waiting == 1
        assert await journal.load("another") is None
        store.is_away = False
        await anyio.sleep(3)
        assert await journal.load("call-1") == replace(SESSION, misses=29)
    assert [record.getMessage() for record in caplog.records] == [
        "sessions cannot be written; they wait",
        "a stored session cannot be read",
        "sessions are written again",
    ]


async def test_no_more_calls_wait_than_allowed(store: CountedStore, caplog: pytest.LogCaptureFixture) -> None:
    journal = SessionJournal(store)
    for number in range(1002):
        journal.keep(replace(SESSION, call_id=f"call-{number}"))
    assert journal.waiting == 1000
    assert await journal.load("call-1") is None
    assert await journal.load("call-2") is not None
    assert {record.getMessage() for record in caplog.records} == {
        "too many sessions wait to be written; the oldest is given up"
    }


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({1, 2}, "'x' is a set"),
        (b"bytes", "'x' is a bytes"),
        (float("nan"), "'x' is a float"),
        (float("inf"), "'x' is a float"),
        ([1, {"deep": object()}], r"'x\[1\].deep' is a object"),
        ({1: "number as a key"}, "'x' is a dict"),
        (lambda: None, "'x' is a function"),
    ],
)
async def test_a_variable_that_json_cannot_hold_is_refused(store: CountedStore, value: Any, where: str) -> None:
    journal = SessionJournal(store)
    with pytest.raises(EngineError, match=rf"call call-1 cannot be kept: variable {where} that JSON cannot"):
        journal.keep(replace(SESSION, variables={"fine": 1, "x": value}))
    assert journal.waiting == 0


async def test_endless_and_huge_variables_are_refused(store: CountedStore) -> None:
    journal = SessionJournal(store)
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(EngineError, match="cannot be kept"):
        journal.keep(replace(SESSION, variables={"x": loop}))
    with pytest.raises(EngineError, match="more than 256000"):
        journal.keep(replace(SESSION, variables={"x": "a" * 300_000}))
    assert journal.waiting == 0


async def test_read_only_variables_and_tuples_are_kept_as_plain_ones(store: CountedStore) -> None:
    journal = SessionJournal(store)
    journal.keep(replace(SESSION, variables=MappingProxyType({"pair": (1, 2), "text": "\ud800 🙂"})))
    loaded = await journal.load("call-1")
    assert loaded is not None
    assert loaded.variables == {"pair": [1, 2], "text": "\ud800 🙂"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{]",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"version": 1, "call_id": "call-1"}',
        b'{"version": 1, "call_id": "call-2"}',
        b'{"version": 1, "call_id": "call-1", "assistant": "a", "current_state_id": "s", "variables": [], '
        b'"state_history": [], "previous_intent_leader": null, "turn_state": "BOT_TURN", "misses": 0}',
        b'{"version": 1, "call_id": "call-1", "assistant": "a", "current_state_id": "s", "variables": {}, '
        b'"state_history": [], "previous_intent_leader": null, "turn_state": "NOBODY", "misses": 0}',
        b'{"version": 1, "call_id": "call-1", "assistant": "a", "current_state_id": "s", "variables": {}, '
        b'"state_history": [], "previous_intent_leader": null, "turn_state": "BOT_TURN", "misses": Infinity}',
        b'{"version": 9, "call_id": "call-1", "assistant": "a", "current_state_id": "s", "variables": {}, '
        b'"state_history": [], "previous_intent_leader": null, "turn_state": "BOT_TURN", "misses": 0}',
    ],
)
async def test_a_damaged_session_is_missing_and_removed(
    store: CountedStore, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    await store.put("session:call-1", content)
    assert await SessionJournal(store).load("call-1") is None
    assert await store.keys("") == ()
    assert [record.getMessage() for record in caplog.records] == ["a stored session was damaged; it is removed"]
