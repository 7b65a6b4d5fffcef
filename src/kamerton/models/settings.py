"""How models are fetched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from kamerton.domain.errors import ConfigurationError

HUB: Final = "https://huggingface.co"


@dataclass(frozen=True, slots=True)
class ModelsSettings:
    """Where models are fetched from, and how patient that is. Read by `kamerton models` only."""

    mirror: str = ""
    """Another host with the hub's addresses (`https://hub.example/REPOSITORY/resolve/REVISION/FILE`); empty: the hub
    itself, `https://huggingface.co`."""
    connect_s: float = 15.0
    """Deadline of a connection, TLS included."""
    stall_s: float = 30.0
    """Deadline of an answer's head, and of each further piece of its body."""
    least_bytes_per_s: float = 1024.0
    """A transfer that stays slower than this for `stall_s` counts as one that hangs."""
    attempts: int = 5
    """Tries in a row that bring less than a megabyte each, before it is given up. What was fetched is kept."""
    first_wait_s: float = 1.0
    """The pause before the second try; it doubles with each further one."""
    longest_wait_s: float = 120.0
    """The longest pause between two tries, also when the server asks for a longer one: then it is given up."""

    def __post_init__(self) -> None:
        """Refuse nonsense.

        Raises:
            ConfigurationError: a value cannot work.
        """
        address = urlsplit(self.base_url)
        if address.scheme not in ("https", "http") or not address.hostname or address.query or address.username:
            raise ConfigurationError(f"models.mirror is {self.mirror!r}; write an address such as {HUB}")
        if (
            min(self.connect_s, self.stall_s, self.least_bytes_per_s, self.first_wait_s, self.longest_wait_s) <= 0
            or self.attempts < 1
        ):
            raise ConfigurationError("models: deadlines and rates must be above 0, attempts at least 1")

    @property
    def base_url(self) -> str:
        """The host that is asked, without a slash at its end."""
        return (self.mirror or HUB).rstrip("/")
