"""Where Google's services are: one host for all regions, and one for each region that data may not leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kamerton.domain.errors import Fault

if TYPE_CHECKING:
    from kamerton.vendors.rpc.failures import Service

GLOBAL: Final = "global"

_ADVICE: Final[dict[Fault, str]] = {
    "unauthorised": "check accounts.google: that the key is good, the API is enabled in the project and paid for, and "
    "the account has a role for it (docs/vendors/google.md)",
    "quota": "raise the quota in Google Cloud's console (IAM, Quotas), or wait until it is renewed",
    "rate_limited": "fewer requests at once, or a higher quota in Google Cloud's console (IAM, Quotas)",
}

_FAULTS: Final[dict[str, Fault]] = {"OUT_OF_RANGE": "failed"}
"""Told of streams that have become too old or were silent too long, not of requests that make no sense."""


def address_of(service: str, location: str) -> str:
    """`host:port` of a service in a location: `eu` of `speech.googleapis.com` is `eu-speech.googleapis.com:443`."""
    host = service if location == GLOBAL else f"{location}-{service}"
    return f"{host}:443"


def asked_at(name: str, address: str) -> Service:
    """A service of Google's for messages: its name and where it was asked."""
    from kamerton.vendors.rpc.failures import Service

    return Service(f"{name} at {address}", _ADVICE, _FAULTS)
