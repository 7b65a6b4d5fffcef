"""What can be set of the AudioSocket transport."""

from __future__ import annotations

from dataclasses import dataclass

from kamerton.domain.errors import ConfigurationError
from kamerton.transports.boundary import LEAVE_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class AudioSocketSettings:
    """Where the server listens and how much it forgives. Checked when made.

    Raises:
        ConfigurationError: a value is out of range.
    """

    host: str = "127.0.0.1"
    """Address to listen on. AudioSocket has no authentication: open it to Asterisk only."""
    port: int = 9092
    """TCP port; 0 lets the system choose."""
    rate_hz: int | None = None
    """Format of every call, 8000 or 16000; None lets the first audio message of a call decide."""
    format_wait_ms: float = 40.0
    """How long the start of a call waits for that first audio message before the rate that
    this Asterisk sent last is taken, or 8 kHz."""
    identify_timeout_s: float = 5.0
    """How long a connection may take to send its UUID."""
    dead_peer_s: float = 20.0
    """A machine that acknowledges nothing on the TCP level for so long is dead. Nothing else ends a quiet call: phones
    that are muted, on hold or suppress silence send nothing for as long as they like."""
    close_timeout_s: float = 1.0
    """How long the far end may take to close after our good-bye."""
    rejoin_wait_s: float = 5.0
    """How long a connection with the UUID of a call that is just ending waits for it to be gone."""
    leave_timeout_s: float = LEAVE_TIMEOUT_S
    """How long a call may take to end once its line is down; then it is cut off."""
    max_pending: int = 256
    """Connections that have not sent their UUID. When there are so many, the next one waits until one of them speaks,
    or the oldest of the address that holds most of them has been silent for `silence_grace_ms` and is closed."""
    silence_grace_ms: float = 250.0
    """How long a connection may be silent where others wait for its place: more than a round trip."""
    max_ahead_ms: float = 1000.0
    """How far a caller may send ahead of real time."""
    read_interval_ms: float = 5.0
    """Least time between two reads of the sockets: what arrives meanwhile is read in one row."""
    unsent_ms: float = 500.0
    """Audio that may wait for a far end that reads slowly; frames beyond it are dropped."""
    not_reading_s: float = 5.0
    """A far end that leaves that much audio waiting for so long is hung up on."""
    max_control_bytes: int = 1024
    """Largest payload of messages other than audio."""
    far_buffer_ms: float = 40.0
    """Audio between us and the caller's ear: Asterisk holds none, the phone's jitter buffer about two frames."""
    hang_up_tail_ms: float = 200.0
    """Silence between our last word and our hang-up: the largest jitter buffer that is to be heard out."""

    def __post_init__(self) -> None:
        """Check the values."""
        if self.rate_hz not in (None, 8000, 16000):
            raise ConfigurationError(f"AudioSocket: rate_hz is {self.rate_hz}; set 8000, 16000 or nothing")
        if not 0 <= self.port <= 65535:
            raise ConfigurationError(f"AudioSocket: port is {self.port}; set 0 to 65535")
        for name in (
            "identify_timeout_s",
            "dead_peer_s",
            "close_timeout_s",
            "not_reading_s",
            "leave_timeout_s",
            "unsent_ms",
            "read_interval_ms",
        ):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"AudioSocket: {name} is {getattr(self, name)}; set more than 0")
        for name in ("rejoin_wait_s", "hang_up_tail_ms", "silence_grace_ms"):
            if getattr(self, name) < 0:
                raise ConfigurationError(f"AudioSocket: {name} is {getattr(self, name)}; set 0 or more")
        if self.max_pending < 1:
            raise ConfigurationError(f"AudioSocket: max_pending is {self.max_pending}; set 1 or more")
