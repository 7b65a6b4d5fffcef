"""An account at OpenAI."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class OpenAIAccount:
    """Its API key, as a value or in a file; servers of one's own that want none get none."""

    api_key: SecretStr | None = field(default=None, repr=False)
    api_key_file: Path | None = None
    project: str = ""
    """Sent as `OpenAI-Project`; usually empty."""


ACCOUNT: Final = OpenAIAccount
