"""Which price counts, and what is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest

from kamerton.domain.errors import ConfigurationError
from kamerton.vendors.prices import Price, PriceList
from kamerton.vendors.usage import Usage, UsagePart


def price(amount: str, model: str = "*", part: UsagePart | None = None) -> Price:
    return Price("openai", "input_tokens", Decimal(amount), "USD", Decimal(1000), model, part)


def used(model: str, part: UsagePart = "model") -> Usage:
    return Usage(part, "openai", "input_tokens", 1, model)


def test_the_narrowest_price_counts_however_they_are_ordered() -> None:
    prices = (
        price("1"),
        price("2", "gpt-4o*"),
        price("3", "gpt-4o-mini*"),
        price("4", "gpt-4o-mini"),
        price("5", part="embeddings"),
    )
    wanted = {
        used("o9"): "1",
        used("gpt-4o-2024"): "2",
        used("gpt-4o-mini-2024-07-18"): "3",
        used("gpt-4o-mini"): "4",
        used("text", "embeddings"): "5",
        used(""): "1",
    }
    for order in (prices, prices[::-1]):
        table = PriceList(order)
        for usage, amount in wanted.items():
            found = table.price_of(usage)
            assert found is not None
            assert found.price == Decimal(amount)


def test_other_vendors_units_and_parts_have_no_price() -> None:
    table = PriceList((price("1", part="embeddings"),))
    assert table.price_of(used("a")) is None
    assert table.price_of(Usage("embeddings", "openai", "requests", 1)) is None
    assert table.price_of(Usage("embeddings", "yandex", "input_tokens", 1)) is None
    assert PriceList().price_of(used("a")) is None


def test_a_cost_is_exact() -> None:
    assert price("0.15").of(Decimal("0.1")) == Decimal("0.000015")


def test_two_prices_for_the_same_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"two for input_tokens of openai, model 'gpt\*'"):
        PriceList((price("1", "gpt*"), price("2", "gpt*")))
