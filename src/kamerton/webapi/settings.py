"""What can be set of the web server."""

from __future__ import annotations

from dataclasses import dataclass

from kamerton.domain.errors import ConfigurationError

LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Where the web server listens and for whom. Checked when made.

    Raises:
        ConfigurationError: a value is out of range.
    """

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8080
    """TCP port; 0 lets the system choose."""
    allowed_hosts: tuple[str, ...] = LOCAL_HOSTS
    """Names under which the server may be addressed, without ports; `*` allows any. The guard against DNS rebinding."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of other sites whose pages may call (`https://example.org`); the server's own page always may."""
    ping_interval_s: float = 10.0
    """How often a page's connection is probed; one that does not answer in the same time is closed."""
    max_connections: int = 256
    """HTTP connections at the same time, WebSockets not counted; for each further one the address that holds most of
    them loses the one that was not used for longest."""
    accept_at_once: int = 32
    """Connections taken from the kernel's queue in one go."""
    request_timeout_s: float = 10.0
    """How long a whole request may take to arrive, counted from the connection or from the answer before."""
    response_timeout_s: float = 60.0
    """How long a client may take to read an answer."""
    stop_timeout_s: int = 3
    """How long requests may take to finish when the server stops."""

    def __post_init__(self) -> None:
        """Check the values."""
        if not 0 <= self.port <= 65535:
            raise ConfigurationError(f"web server: port is {self.port}; set 0 to 65535")
        if not self.allowed_hosts:
            raise ConfigurationError("web server: allowed_hosts is empty; name at least one host, or '*' for any")
        if self.ping_interval_s <= 0 or self.stop_timeout_s <= 0:
            raise ConfigurationError("web server: ping_interval_s and stop_timeout_s must be more than 0")
        if not 1 <= self.accept_at_once <= self.max_connections:
            raise ConfigurationError(
                f"web server: accept_at_once is {self.accept_at_once} and max_connections {self.max_connections}; "
                "set 1 or more, and max_connections not below accept_at_once"
            )
        if self.request_timeout_s <= 0 or self.response_timeout_s <= 0:
            raise ConfigurationError("web server: request_timeout_s and response_timeout_s must be more than 0")
