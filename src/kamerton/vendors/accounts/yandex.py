"""An account of Yandex Cloud: one of an API key, an IAM token, or a service account's key that fetches IAM tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class YandexAccount:
    """Credentials; the first one that is set counts, in this order."""

    api_key: SecretStr | None = field(default=None, repr=False)
    """Of a service account; does not expire."""
    api_key_file: Path | None = None
    service_account_key_file: Path | None = None
    """The JSON of `yc iam key create`: IAM tokens (12 h) are fetched and renewed with it."""
    iam_token: SecretStr | None = field(default=None, repr=False)
    """Lives for 12 h at most and is not renewed: for trying things out."""
    iam_token_file: Path | None = None
    """Read again when the token is refused, so that something else may renew it."""
    folder: str = ""
    """Folder id; for a user's IAM token and for models it must be set, for a service account it may stay empty."""
    iam_url: str = "https://iam.api.cloud.yandex.net/iam/v1/tokens"


ACCOUNT: Final = YandexAccount
