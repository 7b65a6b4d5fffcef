"""Which call work is done for: a context variable, inherited by every task that the call's own tasks start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_call_id: ContextVar[str | None] = ContextVar("kamerton_call_id", default=None)


def current_call() -> str | None:
    """The call that this is done for; None outside calls."""
    return _call_id.get()


@contextmanager
def call_context(call_id: str) -> Iterator[None]:
    """Everything inside, and every task started from it, is done for this call."""
    token = _call_id.set(call_id)
    try:
        yield
    finally:
        _call_id.reset(token)
