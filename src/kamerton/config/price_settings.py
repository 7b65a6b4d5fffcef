"""What vendors ask for, in the settings."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Final, Self

from pydantic import Field, field_validator, model_validator

from kamerton.config.engine_sections import Section
from kamerton.vendors import registry
from kamerton.vendors.prices import ANY, Price, PriceList
from kamerton.vendors.usage import UNITS, UsagePart, UsageUnit

_PACKAGES: Final[Mapping[UsagePart, str]] = {
    "recognizer": registry.RECOGNIZERS,
    "voice": registry.VOICES,
    "model": registry.MODELS,
    "embeddings": registry.EMBEDDINGS,
}


class PriceSettings(Section):
    """One line of a vendor's price list."""

    vendor: str
    """The engine's name: `yandex`. Only services count what is used of them."""
    model: Annotated[str, Field(min_length=1)] = ANY
    """A name, the beginning of names (`gpt-4o-mini*`), or `*` for any. Of several prices the narrowest counts."""
    part: UsagePart | None = None
    """Only what this part uses; None: whichever."""
    unit: UsageUnit
    price: Annotated[Decimal, Field(ge=0, le=1_000_000)]
    """Of `per` units, in `currency`."""
    per: Annotated[Decimal, Field(gt=0, le=1_000_000_000)] = Decimal(1)
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    """Three letters: `USD`, `RUB`."""

    @field_validator("vendor")
    @classmethod
    def _known(cls, vendor: str) -> str:
        known = metered_vendors()
        if vendor not in known:
            raise ValueError(f"there is no vendor '{vendor}' whose usage is counted; known are {', '.join(known)}")
        return vendor

    @field_validator("model")
    @classmethod
    def _plain(cls, model: str) -> str:
        if ANY in model[:-1]:
            raise ValueError(f"'{model}' has a * that is not its end; write the beginning of the names and one *")
        return model

    @model_validator(mode="after")
    def _counted(self) -> Self:
        """A price for what is never counted would do nothing."""
        parts = [part for part, package in _PACKAGES.items() if self.vendor in _services_in(package)]
        if self.part is not None and self.part not in parts:
            raise ValueError(f"{self.vendor} has no {self.part} here; it has {', '.join(parts)}")
        units = dict.fromkeys(unit for part in parts if self.part in (None, part) for unit in UNITS[part])
        if self.unit not in units:
            whose = f"the {self.part} of {self.vendor}" if self.part else self.vendor
            raise ValueError(f"{self.unit} of {whose} are not counted; counted are {', '.join(units)}")
        return self

    def as_price(self) -> Price:
        """The same for those who price."""
        return Price(
            vendor=self.vendor,
            unit=self.unit,
            price=self.price,
            currency=self.currency,
            per=self.per,
            model=self.model,
            part=self.part,
        )


def metered_vendors() -> tuple[str, ...]:
    """Engines that are somebody's service, of every part, in order of names."""
    return tuple(sorted({name for package in _PACKAGES.values() for name in _services_in(package)}))


def _services_in(package: str) -> list[str]:
    return [name for name, engine in registry.engines_in(package).items() if engine.is_service]


def price_list(prices: tuple[PriceSettings, ...]) -> PriceList:
    """The table of the settings.

    Raises:
        ConfigurationError: two prices are for the same.
    """
    return PriceList(price.as_price() for price in prices)
