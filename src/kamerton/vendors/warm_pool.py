"""Connections to a service that are open before they are needed, shared by all calls.

What to open and what to close is decided by `next_step`, which is pure; `WarmPool` carries it out. A connection may
serve several users at once (contexts of one WebSocket): each holds a slot of it.
"""

from __future__ import annotations

import logging
import math
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

import anyio
from anyio.abc import TaskGroup

from kamerton.domain.errors import EngineError, VendorError

_log = logging.getLogger(__name__)

STALE_FOR: Final = 0.15
"""Share of `renew_s` for which a connection that is to be renewed may wait for its successor."""


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


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """Bounds of a pool. Seconds."""

    most: int = 2
    """Connections at once."""
    users: int = 1
    """Users that one connection has room for."""
    open_s: float = 3.0
    """Longest wait for a connection to open, and for a slot."""
    idle_s: float = 60.0
    """One that nobody uses and no call is expected for is closed after this."""
    renew_s: float = math.inf
    """One that was not used for so long is replaced, before the service closes it."""
    retry_s: float = 0.5
    longest_retry_s: float = 30.0
    """The pause after an opening that failed doubles up to this; a user who needs one now does not wait for it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a connection when the next step is decided."""

    usable: bool = True
    free: int = 1
    idle_for_s: float | None = None
    """None: in use."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now."""

    open: int = 0
    close: tuple[int, ...] = ()
    """Places in the list of what is kept."""
    again_in_s: float = math.inf
    """When to decide anew, if nothing happens before."""


def next_step(
    kept: Sequence[Kept],
    settings: PoolSettings,
    *,
    wanted: int,
    opening: int = 0,
    waiting: int = 0,
    rest_s: float = 0.0,
) -> Step:
    """What a pool should open and close.

    Args:
        kept: its connections.
        settings: its bounds.
        wanted: connections that should be open for the calls that are expected.
        opening: connections that are being opened.
        waiting: users that wait for a slot.
        rest_s: time left of the pause after an opening that failed.
    """
    fresh = [one for one in kept if one.usable and (one.idle_for_s or 0.0) < settings.renew_s]
    wanted = min(wanted, settings.most)
    short = math.ceil((waiting - sum(one.free for one in fresh)) / settings.users) - opening
    missing = wanted - len(fresh) - opening
    room = max(0, settings.most - len(fresh) - opening)
    close, again_in_s = _idle_ones(kept, settings, len(fresh) - wanted, waiting)
    if rest_s > 0 and missing > 0:
        missing, again_in_s = 0, min(again_in_s, rest_s)
    return Step(min(max(missing, short, 0), room), close, again_in_s)


def _idle_ones(
    kept: Sequence[Kept], settings: PoolSettings, surplus: int, waiting: int
) -> tuple[tuple[int, ...], float]:
    """Which unused connections go now, the longest unused first, and when the next one may have to.

    Args:
        kept: all connections.
        settings: the pool's bounds.
        surplus: how many usable ones there are beyond those wanted.
        waiting: users that wait for a slot.
    """
    close: list[int] = []
    again_in_s = math.inf
    longest_s = settings.renew_s * (1 + STALE_FOR)
    idle = [(one.idle_for_s, at, one.usable) for at, one in enumerate(kept) if one.idle_for_s is not None]
    for idle_s, at, usable in sorted(idle, reverse=True):
        stale = not usable or idle_s >= settings.renew_s
        if stale and (not usable or surplus >= 0 or idle_s >= longest_s):
            close.append(at)
        elif not stale and surplus > 0 and not waiting and idle_s >= settings.idle_s:
            close.append(at)
            surplus -= 1
        else:
            limits = (longest_s if stale else settings.renew_s, settings.idle_s if surplus > 0 else math.inf)
            again_in_s = min([again_in_s, *(limit - idle_s for limit in limits if limit > idle_s)])
    return tuple(close), again_in_s


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
                _log.exception("opening a connection broke", extra={"service": self._name})
                raise VendorError(
                    f"{self._name}: {type(error).__name__} while connecting; see the log", "broken"
                ) from None
        except EngineError as error:
            self._counts["open_failures"] += 1
            pause_s = min(settings.retry_s * 2**self._failures, settings.longest_retry_s)
            self._failures = min(self._failures + 1, 30)
            self._rest_until_s = anyio.current_time() + pause_s
            _log.warning("a connection did not open", extra={"service": self._name, "reason": str(error)})
            self._turn_away(error)
            return None
        finally:
            self._opening -= 1
            self._changed.set()
        self._failures, self._rest_until_s = 0, -math.inf
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
