"""What is sent to a service to be let in, and kept out of everything else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

SecretReader = Callable[[], str]
"""Reads a secret anew, for one that something else renews in a file. Blocking.

Raises:
    ConfigurationError: it cannot be read.
"""


class Credentials:
    """Headers with a secret in one of them. Thread-safe.

    Args:
        scheme: before the secret in `Authorization`: `Api-Key` or `Bearer`.
        secret: None where a server wants none.
        plain: further headers.
        renew: reads the secret again when it is refused; None when it cannot have changed.
    """

    def __init__(
        self, scheme: str, secret: str | None, plain: Mapping[str, str], renew: SecretReader | None = None
    ) -> None:
        self._scheme = scheme
        self._secret = secret
        self._plain = dict(plain)
        self._renew = renew
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Credentials({self._scheme})"

    @property
    def given(self) -> bool:
        """Whether there is a secret."""
        return self._secret is not None

    def headers(self) -> dict[str, str]:
        """The headers of a request."""
        with self._lock:
            authorization = {} if self._secret is None else {"authorization": f"{self._scheme} {self._secret}"}
        return {**self._plain, **authorization}

    def refreshed(self) -> bool:
        """Read the secret again; whether it is another one now. Blocking.

        Raises:
            ConfigurationError: it cannot be read any more.
        """
        if self._renew is None:
            return False
        fresh = self._renew()
        with self._lock:
            changed, self._secret = fresh != self._secret, fresh
        return changed

    def scrubbed(self, text: str) -> str:
        """The text of somebody else without the secret, should it repeat it."""
        with self._lock:
            return text if not self._secret else text.replace(self._secret, "…")
