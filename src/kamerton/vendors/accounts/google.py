"""An account of Google Cloud: a service account's key, a person's login, or what the machine itself is trusted with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from pydantic import SecretStr

from kamerton.domain.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class GoogleAccount:
    """Credentials and the project that pays.

    With neither a file nor a value: `GOOGLE_APPLICATION_CREDENTIALS`, else `gcloud auth application-default login`,
    else the service account of the machine on Google Cloud, as Google's own libraries look for them.
    """

    credentials_file: Path | None = None
    """A service account's key (JSON), or the login that `gcloud` writes."""
    credentials_json: SecretStr | None = field(default=None, repr=False)
    """The same as a value."""
    project: str = ""
    """Project id; by default the one that the credentials name."""
    token: Literal["self_signed", "exchanged"] = "self_signed"
    """How a service account's key lets in: by tokens that it signs itself, which needs no request, or by tokens that
    Google gives for them."""
    token_url: str = ""
    """Where tokens are given; by default as the key says, else Google's."""
    token_timeout_s: float = 5.0
    """Longest wait for a token."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigurationError: a value is out of its range.
        """
        if not 0.1 <= self.token_timeout_s <= 60:
            raise ConfigurationError("accounts.google.token_timeout_s must be between 0.1 and 60")


ACCOUNT: Final = GoogleAccount
