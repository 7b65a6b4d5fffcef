"""What a call used of services, and what it cost: values only. Sums are decimal, so that they are exact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

_SHOWN_PLACES: Final = 9
"""Decimals of amounts and costs in logs and reports: a token may cost a ten-millionth of something."""


@dataclass(frozen=True, slots=True)
class BillLine:
    """One kind of thing that was used."""

    part: str
    """`recognizer`, `voice`, `model` or `embeddings`."""
    vendor: str
    """The engine's name: `yandex`."""
    model: str
    """What of the vendor's; `other` where too many were used to be told apart; may be empty."""
    unit: str
    """`seconds`, `characters`, `input_tokens`, `cached_tokens`, `output_tokens` or `requests`."""
    amount: Decimal
    cost: Decimal | None = None
    """In `currency`; None where the settings have no price for it."""
    currency: str = ""

    def plain(self) -> dict[str, Any]:
        """The line as values for JSON."""
        cost = None if self.cost is None else shown(self.cost)
        return {
            "part": self.part,
            "vendor": self.vendor,
            "model": self.model,
            "unit": self.unit,
            "amount": shown(self.amount),
            "cost": cost,
            "currency": self.currency,
        }


@dataclass(frozen=True, slots=True)
class Bill:
    """Everything that one call used, in order of parts and vendors."""

    lines: tuple[BillLine, ...] = ()

    @property
    def costs(self) -> Mapping[str, Decimal]:
        """What it cost, by currency; what has no price is not in it."""
        sums: dict[str, Decimal] = {}
        for line in self.lines:
            if line.cost is not None:
                sums[line.currency] = sums.get(line.currency, Decimal()) + line.cost
        return dict(sorted(sums.items()))

    def plain_lines(self) -> list[dict[str, Any]]:
        """The lines as values for JSON."""
        return [line.plain() for line in self.lines]

    def plain_costs(self) -> dict[str, float]:
        """The costs as values for JSON."""
        return {currency: shown(cost) for currency, cost in self.costs.items()}


def shown(value: Decimal) -> float:
    """A decimal as a number for logs and reports."""
    return round(float(value), _SHOWN_PLACES)
