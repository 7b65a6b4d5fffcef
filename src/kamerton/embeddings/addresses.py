"""Addresses of services, as they are checked and shown."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from kamerton.domain.errors import ConfigurationError


def shown_address(url: str) -> str:
    """The address without credentials and queries, for messages and names."""
    address = urlsplit(url)
    return urlunsplit((address.scheme, address.netloc.rpartition("@")[2], address.path.rstrip("/"), "", ""))


def require_address(url: str, what: str) -> None:
    """Refuse an address that cannot be called.

    Raises:
        ConfigurationError: it is no HTTP address.
    """
    try:
        address = urlsplit(url)
        usable = address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(f"{what} is not an http(s) address; set it like https://example.org/v1")
