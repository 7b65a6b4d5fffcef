"""An account of Google Cloud: a service account's key file, or what the machine itself is trusted with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class GoogleAccount:
    """Credentials and the project that pays."""

    credentials_file: Path | None = None
    """A service account's JSON key. None: the machine's own identity on Google Cloud, or `gcloud`'s login."""
    project: str = ""
    """Project id; by default the one that the credentials name."""


ACCOUNT: Final = GoogleAccount
