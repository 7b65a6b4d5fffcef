"""The errors of language models, in one form whichever vendor they come from."""

from __future__ import annotations

from typing import Final

from kamerton.domain.errors import Fault, VendorError

_CODES: Final[dict[Fault, str]] = {
    "timeout": "model_timeout",
    "connection": "model_connection",
    "broken": "model_stream",
}
LONGEST_RETRY_S: Final = 3600.0
"""A server that asks for more is not believed."""


def model_error(where: str, what: str, fault: Fault, retry_after_s: float | None = None, code: str = "") -> VendorError:
    """A failure of a model's server, with the code that metrics count by.

    Args:
        where: model and address.
        what: what happened and what to do; without secrets.
        fault: how it failed.
        retry_after_s: how long the server asks to be left alone.
        code: instead of the one that goes with the fault: `model_stream` for an error inside a stream.
    """
    return VendorError(
        f"{where} {what}", fault, retry_after_s=retry_after_s, code=code or _CODES.get(fault, "model_http")
    )


def retry_after_s(header: str | None) -> float | None:
    """The seconds of a `Retry-After`; a date or nonsense counts as nothing."""
    try:
        value = float(header or "")
    except ValueError:
        return None
    return min(value, LONGEST_RETRY_S) if value >= 0 else None
