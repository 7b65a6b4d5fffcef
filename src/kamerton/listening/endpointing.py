"""Graded endpointing: how long a pause must be before it ends the caller's turn. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from kamerton.domain.dialogue import Completeness


@dataclass(frozen=True, slots=True)
class EndpointingSettings:
    """Pauses by how finished the words sound, measured from the true end of speech."""

    complete_ms: float = 200.0
    """Nothing could sensibly follow: a yes or no, a number that the state expects."""
    plausible_ms: float = 420.0
    """A whole thought that may go on."""
    open_ms: float = 1100.0
    """Something is missing («сто …»); longer than the 0.7 s that people pause inside a number."""
    unknown_ms: float = 800.0
    """No words known yet: the recogniser is slow or silent."""
    ceiling_ms: float = 1500.0
    """Any pause this long ends any turn."""
    turn_limit_s: float = 30.0
    """Longest turn; speech that never pauses ends here."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """When a turn ends if the caller stays silent, and why."""

    at_s: float
    because: str


def endpoint(ended_s: float, completeness: Completeness, settings: EndpointingSettings) -> Endpoint:
    """When the pause that began at `ended_s` ends the turn."""
    pause_ms = {
        Completeness.COMPLETE: settings.complete_ms,
        Completeness.PLAUSIBLE: settings.plausible_ms,
        Completeness.OPEN: settings.open_ms,
        Completeness.UNKNOWN: settings.unknown_ms,
    }[completeness]
    if pause_ms >= settings.ceiling_ms:
        return Endpoint(ended_s + settings.ceiling_ms / 1000, "ceiling")
    because = "pause" if completeness is Completeness.UNKNOWN else completeness.value
    return Endpoint(ended_s + pause_ms / 1000, because)
