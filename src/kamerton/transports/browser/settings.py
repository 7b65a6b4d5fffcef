"""What can be set of the browser transport."""

from __future__ import annotations

from dataclasses import dataclass

from kamerton.domain.errors import ConfigurationError
from kamerton.transports.boundary import LEAVE_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class BrowserSettings:
    """How much the transport forgives a page. Checked when made.

    Raises:
        ConfigurationError: a value is out of range.
    """

    start_timeout_s: float = 10.0
    """How long a page may take to send `start_demo_call`."""
    close_timeout_s: float = 1.0
    """How long the last messages and the close may take."""
    far_buffer_ms: float = 100.0
    """Audio that the page holds before it plays; used until the page reports its play position."""
    max_ahead_ms: float = 1000.0
    """How far a page may send ahead of real time."""
    not_reading_s: float = 5.0
    """A page that lets a second of audio wait for so long is cut off."""
    not_playing_s: float = 90.0
    """A page that reported its play position and then plays nothing of so much audio is cut off. Browsers wake the
    timers of a hidden, silent tab once a minute at worst: such a page still reports in time."""
    leave_timeout_s: float = LEAVE_TIMEOUT_S
    """How long a call may take to end once its page is gone; then it is cut off."""
    max_bad_messages: int = 20
    """Messages that are not of the protocol; one more ends the call."""
    max_pending: int = 256
    """Pages that have not sent `start_demo_call`; for each further one the address that holds most of them loses its
    oldest one."""

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("start_timeout_s", "close_timeout_s", "not_reading_s", "not_playing_s", "leave_timeout_s"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"browser transport: {name} is {getattr(self, name)}; set more than 0")
        if self.max_pending < 1:
            raise ConfigurationError(f"browser transport: max_pending is {self.max_pending}; set 1 or more")
