"""Where a gRPC service is, as the options of its engines say it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kamerton.domain.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a service is."""

    address: str
    """`host:port`."""
    ca_file: Path | None = None
    """Root certificates (PEM) instead of gRPC's own."""
    tls: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be connected to.

        Raises:
            ConfigurationError: no `host:port`, or roots for a connection without TLS.
        """
        host, _, port = self.address.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536 or "/" in self.address:
            raise ConfigurationError(f"endpoint '{self.address}' is no host:port; write it as speech.example.net:443")
        if self.ca_file is not None and not self.tls:
            raise ConfigurationError(f"endpoint '{self.address}' has a ca_file but tls is off; set one of them")
