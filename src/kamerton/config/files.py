"""How many files the process may open, and how calls, connections and engines share them.

Every connection is a file. Without a plan the first thousand of them would be whoever came first: a caller who comes
later would be accepted by the system and never be answered.
"""

from __future__ import annotations

import logging
import resource
from dataclasses import dataclass, replace
from typing import Final

import psutil

from kamerton.domain.errors import ConfigurationError
from kamerton.transports.admission import CallLimits
from kamerton.transports.audiosocket.settings import AudioSocketSettings
from kamerton.transports.browser.settings import BrowserSettings
from kamerton.webapi.settings import WebSettings

log = logging.getLogger(__name__)

MOST_FILES: Final = 65_536
"""More is not asked for, though the system may allow any number."""
RESERVED: Final = 64
"""For what is not a connection of callers: pipes of voices, stores, searches, models, the log."""
LEAST_FREE: Final = 8
"""With fewer left no further call is sure to be answered."""


class OpenFiles:
    """The process's own account: what it may open, what it has open."""

    def __init__(self) -> None:
        self.limit: Final = _raised_limit()
        self._process = psutil.Process()

    @property
    def open(self) -> int:
        """Files that are open now."""
        return self._process.num_fds()

    @property
    def trouble(self) -> str:
        """Why no further call may be answered; empty when there is room."""
        now_open = self.open
        if self.limit - now_open >= LEAST_FREE:
            return ""
        return f"{now_open} of {self.limit} files are open; raise the limit of open files (ulimit -n)"


def _raised_limit() -> int:
    """The limit after raising it as far as an ordinary process may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return MOST_FILES if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


@dataclass(frozen=True, slots=True)
class Shares:
    """What each door may hold."""

    limits: CallLimits
    audiosocket: AudioSocketSettings
    browser: BrowserSettings
    web: WebSettings

    def files(self, per_call: int) -> int:
        """Files that all of it needs at the same time, with what is just being accepted, answered or closed."""
        calls = self.limits.max_calls * per_call + self.limits.max_refusals
        no_calls = 2 * self.audiosocket.max_pending + self.browser.max_pending
        accepting = 1 + 2 * self.web.accept_at_once
        return calls + no_calls + accepting + 3 * self.web.max_connections


def share_files(wanted: Shares, free: int, per_call: int = 1) -> Shares:
    """What can be held with so many files free; less of everything, where that is not enough, and a line in the log.

    Args:
        wanted: as set.
        free: files that may still be opened.
        per_call: files of one call; with a language model over the network, two.

    Raises:
        ConfigurationError: they are too few for a single call.
    """
    if wanted.files(per_call) + RESERVED <= free:
        return wanted
    rest = max(0, free - min(RESERVED, free // 4))
    limits, web = wanted.limits, wanted.web
    at_once = max(1, rest // 32)
    silent = max(at_once, rest // 12)
    connections = max(at_once, rest // 20)
    shares = Shares(
        limits=replace(limits, max_calls=1, max_refusals=min(limits.max_refusals, rest // 16)),
        audiosocket=replace(wanted.audiosocket, max_pending=min(wanted.audiosocket.max_pending, silent)),
        browser=replace(wanted.browser, max_pending=min(wanted.browser.max_pending, silent)),
        web=replace(
            web,
            max_connections=min(web.max_connections, connections),
            accept_at_once=min(web.accept_at_once, at_once),
        ),
    )
    calls = 1 + (rest - shares.files(per_call)) // per_call
    if calls < 1:
        raise ConfigurationError(
            f"only {max(0, free)} more files may be opened, too few to serve a call; raise the limit of open files, "
            "for example with 'ulimit -n 4096', LimitNOFILE=4096 (systemd) or --ulimit nofile=4096 (docker)"
        )
    calls = min(calls, limits.max_calls)
    log.warning(
        "few files may be opened: connections are held to less than is set; raise the limit of open files (ulimit -n)",
        extra={
            "free": free,
            "needed": wanted.files(per_call) + RESERVED,
            "max_calls": calls,
            "max_calls_set": limits.max_calls,
        },
    )
    return replace(shares, limits=replace(shares.limits, max_calls=calls))
