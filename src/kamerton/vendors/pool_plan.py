"""What a pool of connections opens and closes next. Pure: the pool brings what it has and the times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

STALE_FOR: Final = 0.15
"""Share of `renew_s` for which a connection that is to be renewed may wait for its successor."""


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
