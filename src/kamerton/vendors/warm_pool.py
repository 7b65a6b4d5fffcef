"""Connections to a service that are open before they are needed, shared by all calls.

What to open and what to close is decided in `pool_plan`; `WarmPool` carries it out. A connection may serve several
users at once (contexts of one WebSocket): each holds a slot of it.
"""

from __future__ import annotations

import logging
import math
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import anyio
from anyio.abc import TaskGroup

from kamerton.domain.errors import EngineError, VendorError
from kamerton.vendors.pool_plan import Kept, PoolSettings, next_step
from kamerton.vendors.trouble_log import TroubleLog

_log = logging.getLogger(__name__)


class Slot(Protocol):
    """A user's share of a connection."""

    def drop(self) -> None:
        """Give it up; a plain call. Harmless after its end."""
        ...


SlotT = TypeVar("SlotT", bound=Slot)
HeldT = TypeVar("HeldT", bound=Slot, covariant=True)


class Connection(Protocol[HeldT]):
    """What a pool keeps. Plain calls but for `run`."""

    @property
    def usable(self) -> bool:
        """Whether it takes further users now or later; once False, for good."""
        ...

    @property
    def free(self) -> int:
        """Users that it takes now."""
        ...

    @property
    def busy(self) -> bool:
        """Whether it has any user, or owes one an end."""
        ...

    def reserve(self) -> HeldT:
        """Take a slot; only called while `free` is above zero."""
        ...

    async def run(self) -> None:
        """Carry it until it is lost or has closed; cancelling closes it."""
        ...


@dataclass(slots=True, eq=False)
class _Held(Generic[SlotT]):
    """A connection of the pool."""

    connection: Connection[SlotT]
    idle_since_s: float | None
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    closing: bool = False


@dataclass(slots=True, eq=False)
class _Waiter(Generic[SlotT]):
    """A user that waits for a slot, or for why there is none."""

    served: anyio.Event = field(default_factory=anyio.Event)
    slot: SlotT | None = None
    error: EngineError | None = None


class WarmPool(Generic[SlotT]):
    """Connections that `run` opens, holds, replaces and closes. Belongs to one event loop.

    Args:
        opener: opens a connection; it is given what the connection calls whenever `free`, `busy` or `usable` change.
        settings: bounds.
        name: of the service, for messages.
    """

    def __init__(
        self,
        opener: Callable[[Callable[[], None]], Awaitable[Connection[SlotT]]],
        settings: PoolSettings,
        name: str,
    ) -> None:
        self._opener = opener
        self._settings = settings
        self._name = name
        self._trouble = TroubleLog(_log, name)
        self._held: list[_Held[SlotT]] = []
        self._waiters: deque[_Waiter[SlotT]] = deque()
        self._counts: Counter[str] = Counter()
        self._changed = anyio.Event()
        self._over = False
        self._wanted = 0
        self._opening = 0
        self._failures = 0
        self._rest_until_s = -math.inf

    @property
    def figures(self) -> Mapping[str, int]:
        """Totals `opened`, `open_failures`, `lost`, `closed_idle`; now `open`, `busy`, `waiting`."""
        now = {
            "open": len(self._held),
            "busy": sum(held.connection.busy for held in self._held),
            "waiting": len(self._waiters),
        }
        return {"opened": 0, "open_failures": 0, "lost": 0, "closed_idle": 0, **self._counts, **now}

    def expect(self, users: int) -> None:
        """So many users are to find a slot ready. Kept in mind also before `run`."""
        self._wanted = math.ceil(users / self._settings.users)
        self._changed.set()

    async def take(self) -> SlotT:
        """A slot of the connection with most room; opens a connection if none has any. The user drops it in the end.

        Also waits for `run` to begin. Safe to cancel.

        Raises:
            EngineError: no connection could be opened in time, or the pool is closed.
        """
        slot = self._free_slot() if not self._waiters else None
        if slot is not None:
            return slot
        if self._over:
            raise VendorError(f"{self._name}: its connections are closed; start the voice again", "connection")
        waiter: _Waiter[SlotT] = _Waiter()
        self._waiters.append(waiter)
        self._changed.set()
        try:
            with anyio.move_on_after(self._settings.open_s):
                await waiter.served.wait()
        except BaseException:
            if waiter.slot is not None:
                waiter.slot.drop()
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        if waiter.slot is not None:
            return waiter.slot
        raise waiter.error or VendorError(
            f"{self._name}: no connection was free or open within {self._settings.open_s:g} s; "
            "check the network, or allow more connections",
            "timeout",
        )

    async def run(self) -> None:
        """Hold the connections until cancelled, then close them and turn away who waits. Run it once at a time."""
        self._over = False
        try:
            async with anyio.create_task_group() as group:
                while True:
                    self._changed = anyio.Event()
                    self._serve_waiters()
                    again_in_s = self._carry_out(group)
                    with anyio.move_on_after(None if math.isinf(again_in_s) else again_in_s):
                        await self._changed.wait()
        finally:
            self._over = True
            closed = VendorError(f"{self._name}: its connections were closed; start the voice again", "connection")
            self._turn_away(closed)

    def _carry_out(self, group: TaskGroup) -> float:
        """Take the next step; returns when to take another."""
        now_s = anyio.current_time()
        kept = [self._described(held, now_s) for held in self._held]
        step = next_step(
            kept,
            self._settings,
            wanted=self._wanted,
            opening=self._opening,
            waiting=len(self._waiters),
            rest_s=max(0.0, self._rest_until_s - now_s),
        )
        for at in step.close:
            if not self._held[at].closing:
                self._counts["closed_idle"] += 1
                self._held[at].closing = True
                self._held[at].scope.cancel()
        for _ in range(step.open):
            self._opening += 1
            group.start_soon(self._hold)
        return max(step.again_in_s, 0.01)

    def _described(self, held: _Held[SlotT], now_s: float) -> Kept:
        one = held.connection
        if one.busy:
            held.idle_since_s = None
        elif held.idle_since_s is None:
            held.idle_since_s = now_s
        idle_for_s = None if held.idle_since_s is None else now_s - held.idle_since_s
        return Kept(one.usable and not held.closing, one.free if one.usable else 0, idle_for_s)

    async def _hold(self) -> None:
        """One connection from its opening to its end: the border at which any error of it is its own end only."""
        connection = await self._opened()
        if connection is None:
            return
        held = _Held(connection, anyio.current_time())
        self._held.append(held)
        self._changed.set()
        try:
            with held.scope:
                await connection.run()
            if not held.closing:
                self._counts["lost"] += 1
        except Exception:
            self._counts["lost"] += 1
            _log.exception("a connection broke", extra={"service": self._name})
        finally:
            self._held.remove(held)
            self._changed.set()

    async def _opened(self) -> Connection[SlotT] | None:
        """A new connection, or None when it failed and who waits was told."""
        settings = self._settings
        try:
            try:
                with anyio.fail_after(settings.open_s):
                    connection = await self._opener(lambda: self._changed.set())
            except TimeoutError:
                what = f"{self._name} does not accept connections within {settings.open_s:g} s"
                raise VendorError(f"{what}; check the network and the service's status page", "timeout") from None
            except EngineError:
                raise
            except Exception as error:
                if self._trouble.is_news("broken", anyio.current_time()):
                    _log.exception("opening a connection broke", extra={"service": self._name})
                raise VendorError(
                    f"{self._name}: {type(error).__name__} while connecting; see the log", "broken"
                ) from None
        except EngineError as error:
            self._counts["open_failures"] += 1
            pause_s = min(settings.retry_s * 2**self._failures, settings.longest_retry_s)
            self._failures = min(self._failures + 1, 30)
            self._rest_until_s = anyio.current_time() + pause_s
            self._trouble.failed(error, anyio.current_time())
            self._turn_away(error)
            return None
        finally:
            self._opening -= 1
            self._changed.set()
        self._failures, self._rest_until_s = 0, -math.inf
        self._trouble.worked()
        self._counts["opened"] += 1
        return connection

    def _free_slot(self) -> SlotT | None:
        """A slot of the usable connection with most room, if there is one."""
        held = [one for one in self._held if one.connection.usable and not one.closing and one.connection.free > 0]
        if not held:
            return None
        chosen = max(held, key=lambda one: one.connection.free)
        chosen.idle_since_s = None
        return chosen.connection.reserve()

    def _serve_waiters(self) -> None:
        while self._waiters and (slot := self._free_slot()) is not None:
            waiter = self._waiters.popleft()
            waiter.slot = slot
            waiter.served.set()

    def _turn_away(self, error: EngineError) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            waiter.error = error
            waiter.served.set()
