"""Where Asterisk's manager interface is, and how patient its client is."""

from __future__ import annotations

from dataclasses import dataclass, field

from kamerton.domain.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class AmiSettings:
    """A log-in to a manager interface. Checked when made.

    Raises:
        ConfigurationError: a value cannot work.
    """

    host: str
    user: str
    secret: str = field(repr=False)
    port: int = 5038
    connect_s: float = 3.0
    """Until a connection is up and its banner has come."""
    action_s: float = 5.0
    """Until an action is answered, its listing included."""
    ping_s: float = 15.0
    """After so long without a byte the connection is probed."""
    retry_s: float = 1.0
    """Wait before the second attempt to connect; it doubles from there."""
    longest_retry_s: float = 30.0

    def __post_init__(self) -> None:
        """Check the values."""
        if not self.host or not self.user or not self.secret:
            raise ConfigurationError(
                "AMI: host, user and secret are all needed: they are in the exchange's manager.conf; "
                "keep the secret out of files: KAMERTON_AMI__SECRET"
            )
        if not 0 < self.port <= 65535:
            raise ConfigurationError(f"AMI: port is {self.port}; set 1 to 65535 (Asterisk's own default is 5038)")
        for name in ("connect_s", "action_s", "ping_s", "retry_s", "longest_retry_s"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"AMI: {name} is {getattr(self, name)}; set more than 0")
