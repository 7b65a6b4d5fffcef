"""What is used of a service: told by its adapter, counted for the call that it was used for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

UsagePart = Literal["recognizer", "voice", "model", "embeddings"]
UsageUnit = Literal["seconds", "characters", "input_tokens", "cached_tokens", "output_tokens", "requests"]

UNITS: Final[Mapping[UsagePart, tuple[UsageUnit, ...]]] = {
    "recognizer": ("seconds",),
    "voice": ("characters", "requests"),
    "model": ("input_tokens", "cached_tokens", "output_tokens"),
    "embeddings": ("input_tokens", "requests"),
}
"""In what adapters of each part count; what is not in it cannot be given a price."""


@dataclass(frozen=True, slots=True)
class Usage:
    """A quantity of something that a vendor may ask money for."""

    part: UsagePart
    engine: str
    """Name of the engine: `yandex`."""
    unit: UsageUnit
    amount: float
    model: str = ""
    """What of the vendor's: model or voice class, where prices differ by it."""


class UsageMeter(Protocol):
    """Takes note of usage. Plain calls; may be made from any thread."""

    def record(self, usage: Usage) -> None:
        """Count it for the call whose context this is (`domain.call_scope`), and in total."""
        ...


class Uncounted:
    """A meter that forgets: for checks and tests. `vendors/metering.py` has the one that counts."""

    def record(self, usage: Usage) -> None:
        """Forget it."""
