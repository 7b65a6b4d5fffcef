"""Secrets of an account: given as a value (an environment variable) or as a file, never shown."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from kamerton.domain.errors import ConfigurationError


def read_secret(value: SecretStr | None, file: Path | None, what: str) -> str | None:
    """The secret, or None when neither is given. Blocking when it is a file.

    Args:
        value: as it was set.
        file: holds nothing but the secret; white space around it does not count.
        what: names it in messages: `accounts.yandex.api_key`.

    Raises:
        ConfigurationError: both are given, the file cannot be read, or it is empty.
    """
    if file is None:
        return value.get_secret_value() if value is not None and value.get_secret_value() else None
    if value is not None and value.get_secret_value():
        raise ConfigurationError(f"{what} and {what}_file are both set; keep one of them")
    try:
        text = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{what}_file {file} cannot be read ({error}); check the path and its rights"
        ) from None
    if not text:
        raise ConfigurationError(f"{what}_file {file} is empty; put the secret into it")
    return text


def require_secret(value: SecretStr | None, file: Path | None, what: str) -> str:
    """The secret. Blocking when it is a file.

    Raises:
        ConfigurationError: it is missing, or cannot be read; the message names the variable to set.
    """
    secret = read_secret(value, file, what)
    if secret is None:
        variable = f"KAMERTON_{what.upper().replace('.', '__')}"
        raise ConfigurationError(f"{what} is missing; set {variable}, or {variable}_FILE to a file that holds it")
    return secret
