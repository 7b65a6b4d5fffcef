"""What a look at a service found, as `kamerton ping` shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One service at one moment."""

    reachable: bool
    """Something at its address answered as the service does."""
    authorised: bool | None = None
    """The credentials were accepted; None when that could not be seen."""
    latency_ms: float | None = None
    """From the request to its answer, the connection included."""
    detail: str = ""
    """What it told: model, voices, quota. Never a secret."""
    fix: str = ""
    """What to do; empty when all is well."""

    @property
    def well(self) -> bool:
        """Whether it would serve a call."""
        return self.reachable and self.authorised is not False and not self.fix
