"""Counts what is used of services, for each call and in total, and prices it."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

from kamerton.domain.billing import Bill, BillLine
from kamerton.domain.call_scope import current_call
from kamerton.vendors.prices import PriceList
from kamerton.vendors.usage import Usage

log = logging.getLogger(__name__)

OTHER: Final = "other"
MOST_VENDORS: Final = 32
MOST_MODELS: Final = 20
"""Models of one vendor that are told apart; further names, which may come out of answers, are `other`."""
LONGEST_NAME: Final = 80
_MOST_AT_ONCE: Final = Decimal(10) ** 12
"""A larger amount is no usage but a mistake: of a vendor's answer, say."""


class _Kind(NamedTuple):
    """What is counted apart."""

    part: str
    vendor: str
    model: str
    unit: str


@dataclass(slots=True)
class _Sum:
    amount: Decimal = Decimal()
    cost: Decimal = Decimal()


_Tally = defaultdict[tuple[_Kind, str | None], _Sum]
"""Sums of one call, or of everything, by kind and currency; None: what has no price."""


class UsageLedger:
    """The `UsageMeter` of a process that serves calls. Thread-safe; never raises.

    What is used for a call is counted for it as long as its `account` is open, and in total; what is used otherwise
    (to prepare something, or by work that a call left behind) in total only. Its size is bounded: by the calls that are
    up, and by how many vendors and models are told apart.

    Args:
        prices: of the settings. What has none is counted without a cost.
    """

    def __init__(self, prices: PriceList | None = None) -> None:
        self._prices = prices or PriceList()
        self._lock = threading.Lock()
        self._total: _Tally = defaultdict(_Sum)
        self._calls: dict[str, _Tally] = {}
        self._models: dict[str, set[str]] = {}

    def record(self, usage: Usage) -> None:
        """See `UsageMeter.record`. Nothing, less than nothing and nonsense are left out; nonsense is logged."""
        amount = _amount_of(usage)
        if amount is None:
            return
        price = self._prices.price_of(usage)
        cost, currency = (Decimal(), None) if price is None else (price.of(amount), price.currency)
        call = current_call()
        with self._lock:
            kind = self._kind_of(usage)
            tallies = [self._total]
            if call is not None and call in self._calls:
                tallies.append(self._calls[call])
            for tally in tallies:
                found = tally[kind, currency]
                found.amount += amount
                found.cost += cost

    @contextmanager
    def account(self, call_id: str) -> Iterator[None]:
        """Count what is used for a call while the context is open; then it is forgotten, and stays in the totals."""
        with self._lock:
            account = self._calls[call_id] = defaultdict(_Sum)
        try:
            yield
        finally:
            with self._lock:
                if self._calls.get(call_id) is account:
                    del self._calls[call_id]

    def bill(self, call_id: str) -> Bill:
        """What a call has used so far; empty when its account is not open."""
        with self._lock:
            tally = self._calls.get(call_id)
            return Bill(tuple(_lines(tally))) if tally is not None else Bill()

    @property
    def open_accounts(self) -> int:
        """Calls that are counted for now."""
        with self._lock:
            return len(self._calls)

    @property
    def total(self) -> Bill:
        """Everything that was used since the start, for calls and otherwise."""
        with self._lock:
            return Bill(tuple(_lines(self._total)))

    def _kind_of(self, usage: Usage) -> _Kind:
        """Where it is counted: under its names while there are few, else under `other`."""
        vendor, model = usage.engine, usage.model
        if vendor not in self._models and len(self._models) >= MOST_VENDORS:
            return _Kind(usage.part, OTHER, OTHER, usage.unit)
        models = self._models.setdefault(vendor, set())
        if model and model not in models:
            if len(models) >= MOST_MODELS or len(model) > LONGEST_NAME:
                return _Kind(usage.part, vendor, OTHER, usage.unit)
            models.add(model)
        return _Kind(usage.part, vendor, model, usage.unit)


def _amount_of(usage: Usage) -> Decimal | None:
    """The amount as it is written in decimals (0.1 is a tenth), or None when there is nothing to count."""
    if not usage.amount:
        return None
    amount = Decimal(str(usage.amount))
    if amount.is_finite() and 0 < amount <= _MOST_AT_ONCE:
        return amount
    told = {"part": usage.part, "engine": usage.engine, "unit": usage.unit, "amount": str(usage.amount)[:40]}
    log.warning("an amount of usage makes no sense and is not counted", extra=told)
    return None


def _lines(tally: _Tally) -> Iterator[BillLine]:
    for (kind, currency), found in sorted(tally.items(), key=lambda item: (item[0][0], item[0][1] or "")):
        cost = None if currency is None else found.cost
        yield BillLine(*kind, found.amount, cost, currency or "")
