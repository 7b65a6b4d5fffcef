"""What vendors ask for what is used of them, as the settings have it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from kamerton.domain.errors import ConfigurationError
from kamerton.vendors.usage import Usage, UsagePart, UsageUnit

ANY: Final = "*"
"""At the end of a model's name: whatever follows."""


@dataclass(frozen=True, slots=True)
class Price:
    """What one kind of usage costs."""

    vendor: str
    """The engine's name: `yandex`."""
    unit: UsageUnit
    price: Decimal
    """Of `per` units."""
    currency: str
    per: Decimal = Decimal(1)
    model: str = ANY
    """A name, the beginning of names (`gpt-4o-mini*`), or `*` for any."""
    part: UsagePart | None = None
    """Only what this part uses; None: whichever."""

    def fits(self, usage: Usage) -> bool:
        """Whether this usage is asked for so."""
        if (usage.engine, usage.unit) != (self.vendor, self.unit) or self.part not in (None, usage.part):
            return False
        if self.model.endswith(ANY):
            return usage.model.startswith(self.model.removesuffix(ANY))
        return usage.model == self.model

    def of(self, amount: Decimal) -> Decimal:
        """What so many units cost."""
        return amount * self.price / self.per

    @property
    def narrowness(self) -> tuple[bool, int, bool]:
        """Of several that fit the narrowest counts: a whole name, then the longest beginning, then one for the part."""
        return not self.model.endswith(ANY), len(self.model), self.part is not None


class PriceList:
    """Prices, of which the narrowest counts.

    Raises:
        ConfigurationError: two are for the same.
    """

    def __init__(self, prices: Iterable[Price] = ()) -> None:
        self._prices = sorted(prices, key=lambda price: price.narrowness, reverse=True)
        seen: set[tuple[str, str, str, str | None]] = set()
        for price in self._prices:
            same = (price.vendor, price.unit, price.model, price.part)
            if same in seen:
                raise ConfigurationError(
                    f"prices: there are two for {price.unit} of {price.vendor}, model '{price.model}'; keep one"
                )
            seen.add(same)

    def price_of(self, usage: Usage) -> Price | None:
        """The price of this kind of usage, if there is one."""
        return next((price for price in self._prices if price.fits(usage)), None)
