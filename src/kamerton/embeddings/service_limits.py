"""How long a service may take and how often it may be asked; the same for every vendor."""

from __future__ import annotations

from dataclasses import dataclass

from kamerton.domain.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """Bounds of a service embedder."""

    query_s: float
    """Longest wait of a turn; the request itself goes on, so that its vector and its connection are there next time."""
    total_s: float
    """Longest a request takes."""
    requests_per_s: float
    at_once: int
    """Requests under way, at least 2; indexing takes half of them at most."""
    cached: int
    """Vectors of known texts on disk."""

    def refuse_nonsense(self, section: str, connect_s: float, read_s: float) -> None:
        """Check everything at once.

        Raises:
            ConfigurationError: a value cannot work.
        """
        seconds = {"query_ms": self.query_s, "total_s": self.total_s, "connect_s": connect_s, "read_s": read_s}
        for name, value in seconds.items():
            if not 0 < value < float("inf"):
                raise ConfigurationError(f"{section}: {name} must be above 0")
        if self.query_s > self.total_s:
            raise ConfigurationError(f"{section}: query_ms must not be longer than total_s")
        if not 0 < self.requests_per_s <= 10_000:
            raise ConfigurationError(f"{section}: requests_per_s is {self.requests_per_s:g}; set above 0, up to 10000")
        if not 2 <= self.at_once <= 64:
            raise ConfigurationError(
                f"{section}: at_once is {self.at_once}; set 2 to 64: callers need one beside indexing"
            )
        if self.cached < 1:
            raise ConfigurationError(f"{section}: cached is {self.cached}; set 1 or more")
