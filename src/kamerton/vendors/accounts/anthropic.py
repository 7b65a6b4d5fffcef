"""An account at Anthropic."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class AnthropicAccount:
    """Its API key, as a value or in a file."""

    api_key: SecretStr | None = field(default=None, repr=False)
    api_key_file: Path | None = None


ACCOUNT: Final = AnthropicAccount
