"""What is counted for which call, what it costs, and that the ledger stays small whatever it is told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.domain.billing import Bill
from kamerton.domain.call_scope import call_context
from kamerton.vendors.metering import LONGEST_NAME, MOST_MODELS, MOST_VENDORS, OTHER, UsageLedger
from kamerton.vendors.prices import Price, PriceList
from kamerton.vendors.usage import Usage, UsageUnit

UNITS: tuple[UsageUnit, ...] = ("seconds", "characters", "input_tokens")
PRICES = PriceList(
    (
        Price("yandex", "seconds", Decimal("0.0107"), "RUB"),
        Price("openai", "input_tokens", Decimal("0.15"), "USD", Decimal(1_000_000), "gpt-*"),
    )
)


def heard(seconds: float, vendor: str = "yandex", model: str = "general") -> Usage:
    return Usage("recognizer", vendor, "seconds", seconds, model)


def asked(tokens: int, model: str = "gpt-4o-mini") -> Usage:
    return Usage("model", "openai", "input_tokens", tokens, model)


def amounts(bill: Bill) -> dict[tuple[str, str, str], Decimal]:
    return {(line.vendor, line.model, line.unit): line.amount for line in bill.lines}


def test_a_call_has_what_was_used_for_it_and_the_total_has_everything() -> None:
    ledger = UsageLedger(PRICES)
    ledger.record(heard(1.5))
    with call_context("a"), ledger.account("a"):
        ledger.record(heard(0.1))
        ledger.record(heard(0.2))
        with call_context("b"), ledger.account("b"):
            ledger.record(asked(2000))
        assert ledger.bill("b") == Bill()
        bill = ledger.bill("a")
    assert amounts(bill) == {("yandex", "general", "seconds"): Decimal("0.3")}
    assert bill.costs == {"RUB": Decimal("0.00321")}
    assert amounts(ledger.total) == {
        ("yandex", "general", "seconds"): Decimal("1.8"),
        ("openai", "gpt-4o-mini", "input_tokens"): Decimal(2000),
    }
    assert ledger.total.costs == {"RUB": Decimal("0.01926"), "USD": Decimal("0.0003")}


def test_what_has_no_price_is_counted_without_a_cost() -> None:
    ledger = UsageLedger(PRICES)
    with call_context("a"), ledger.account("a"):
        ledger.record(asked(10, "o9"))
        (line,) = ledger.bill("a").lines
    assert (line.amount, line.cost, line.currency) == (Decimal(10), None, "")
    assert ledger.bill("a").costs == {}
    assert UsageLedger().total == Bill()


def test_work_that_outlives_its_call_is_counted_in_total_and_leaves_nothing_behind() -> None:
    ledger = UsageLedger(PRICES)
    for number in range(1000):
        with call_context(f"call-{number}"):
            with ledger.account(f"call-{number}"):
                assert ledger.open_accounts == 1
                ledger.record(heard(1))
            ledger.record(heard(2))
            assert ledger.bill(f"call-{number}") == Bill()
    assert ledger.open_accounts == 0
    assert amounts(ledger.total) == {("yandex", "general", "seconds"): Decimal(3000)}


def test_a_call_that_comes_back_under_its_id_before_its_end_has_an_account_of_its_own() -> None:
    ledger = UsageLedger()
    with call_context("a"), ledger.account("a"):
        ledger.record(heard(1))
        again = ledger.account("a")
        again.__enter__()
        ledger.record(heard(2))
    assert amounts(ledger.bill("a")) == {("yandex", "general", "seconds"): Decimal(2)}
    again.__exit__(None, None, None)
    assert ledger.open_accounts == 0


def test_names_without_end_are_counted_as_other_and_priced_by_their_own_name() -> None:
    ledger = UsageLedger(PRICES)
    with call_context("a"), ledger.account("a"):
        for number in range(500):
            ledger.record(asked(1_000_000, f"gpt-{number}"))
        ledger.record(asked(1_000_000, "another"))
        ledger.record(asked(1_000_000, "gpt-" + "x" * LONGEST_NAME))
        ledger.record(asked(1_000_000, "gpt-0"))
        bill = ledger.bill("a")
    assert len({line.model for line in bill.lines}) == MOST_MODELS + 1
    others = {line.cost: line.amount for line in bill.lines if line.model == OTHER}
    assert others == {None: 1_000_000, Decimal("72.15"): 481_000_000}
    assert bill.costs == {"USD": Decimal("75.30")}
    assert sum(line.amount for line in bill.lines) == 503_000_000
    for number in range(100):
        ledger.record(heard(1, f"vendor-{number}", f"model-{number}"))
    assert len({line.vendor for line in ledger.total.lines}) == MOST_VENDORS + 1


@pytest.mark.parametrize("amount", [float("nan"), float("inf"), -1, 1e13, 10**400])
def test_nonsense_is_not_counted_and_told(amount: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    ledger = UsageLedger(PRICES)
    ledger.record(heard(amount))
    assert ledger.total == Bill()
    assert "makes no sense" in caplog.text


def test_nothing_is_nothing() -> None:
    ledger = UsageLedger()
    ledger.record(heard(0))
    assert ledger.total == Bill()


def test_threads_may_record_at_once() -> None:
    ledger = UsageLedger(PRICES)

    def work() -> None:
        with call_context("a"):
            for _ in range(2000):
                ledger.record(heard(0.01))

    with ledger.account("a"):
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert amounts(ledger.bill("a")) == {("yandex", "general", "seconds"): Decimal(80)}


USED = st.builds(
    Usage,
    st.just("model"),
    st.sampled_from(("yandex", "openai", "google")),
    st.sampled_from(UNITS),
    st.integers(1, 10**6) | st.decimals("0.001", "10000", places=3).map(float),
    st.sampled_from(("", "gpt-4o-mini", "gpt-5", "general")),
)


@given(st.lists(st.tuples(st.sampled_from((None, "a", "b", "c")), USED), max_size=40))
def test_sums_are_exact_in_any_order(records: Sequence[tuple[str | None, Usage]]) -> None:
    ledger = UsageLedger(PRICES)
    with ledger.account("a"), ledger.account("b"):
        for call, usage in records:
            if call is None:
                ledger.record(usage)
            else:
                with call_context(call):
                    ledger.record(usage)
        bills: dict[str | None, Bill] = {call: ledger.bill(call) for call in ("a", "b", "c")}
    for call, bill in bills.items():
        assert_sums(bill, [usage for of, usage in records if of == call and call != "c"])
    assert_sums(ledger.total, [usage for _, usage in records])


def assert_sums(bill: Bill, used: Sequence[Usage]) -> None:
    """The bill has exactly the sums of this, in fractions."""
    expected: dict[tuple[str, str, str], Fraction] = {}
    costs: dict[str, Fraction] = {}
    for usage in used:
        key, amount = (usage.engine, usage.model, usage.unit), Fraction(str(usage.amount))
        expected[key] = expected.get(key, Fraction()) + amount
        if (usage.engine, usage.unit) == ("yandex", "seconds"):
            costs["RUB"] = costs.get("RUB", Fraction()) + amount * Fraction("0.0107")
        if (usage.engine, usage.unit) == ("openai", "input_tokens") and usage.model.startswith("gpt-"):
            costs["USD"] = costs.get("USD", Fraction()) + amount * Fraction("0.15") / 1_000_000
    assert {key: Fraction(amount) for key, amount in amounts(bill).items()} == expected
    assert {currency: Fraction(cost) for currency, cost in bill.costs.items()} == costs
