"""Credentials as they lie in files: a service account's key, or a person's login that `gcloud` wrote.

They are looked for where Google's own libraries look (AIP-4110): the settings, `GOOGLE_APPLICATION_CREDENTIALS`,
`gcloud`'s own file. Nothing found means: ask the machine's metadata server.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kamerton.domain.errors import ConfigurationError
from kamerton.vendors.accounts.google import GoogleAccount

TOKEN_URL: Final = "https://oauth2.googleapis.com/token"
_LOGIN_FILE: Final = "application_default_credentials.json"
_HOW: Final = (
    "give the JSON key of a service account (console: IAM, Service accounts, Keys) or log in with: "
    "gcloud auth application-default login"
)


@dataclass(frozen=True, slots=True)
class ServiceAccountKey:
    """What the console gives as a service account's key, as far as it is used."""

    email: str
    key_id: str
    project: str
    token_url: str
    private_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class UserLogin:
    """A person's login, as `gcloud auth application-default login` writes it."""

    client_id: str
    project: str
    """The project that pays for the requests."""
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)


Key = ServiceAccountKey | UserLogin


def find_key(account: GoogleAccount, environment: Mapping[str, str]) -> Key | None:
    """The account's credentials; None when the machine itself is to be asked. Blocking.

    Raises:
        ConfigurationError: credentials are there and cannot be used.
    """
    value = account.credentials_json.get_secret_value() if account.credentials_json is not None else ""
    if value and account.credentials_file is not None:
        raise ConfigurationError("accounts.google has credentials_file and credentials_json; keep one of them")
    if value:
        return _key(value, "accounts.google.credentials_json")
    if account.credentials_file is not None:
        return _read(account.credentials_file, "accounts.google.credentials_file")
    variable = "GOOGLE_APPLICATION_CREDENTIALS"
    if environment.get(variable):
        return _read(Path(environment[variable]), variable)
    login = _login_file(environment)
    return _read(login, "gcloud's login") if login is not None and login.is_file() else None


def _login_file(environment: Mapping[str, str]) -> Path | None:
    if environment.get("CLOUDSDK_CONFIG"):
        return Path(environment["CLOUDSDK_CONFIG"]) / _LOGIN_FILE
    return Path(environment["HOME"]) / ".config" / "gcloud" / _LOGIN_FILE if environment.get("HOME") else None


def _read(file: Path, what: str) -> Key:
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigurationError(f"{what}: {file} cannot be read ({why}); check the path and its rights") from None
    return _key(text, f"{what}: {file}")


def _key(text: str, what: str) -> Key:
    fields = _parsed(text)
    if fields is None:
        raise ConfigurationError(f"{what} is no JSON; {_HOW}")
    kind = fields.get("type") if isinstance(fields, dict) else None
    if kind == "service_account":
        named = _named(fields, what, "client_email", "private_key")
        return ServiceAccountKey(
            named[0], _text(fields, "private_key_id"), _text(fields, "project_id"), _text(fields, "token_uri"), named[1]
        )
    if kind == "authorized_user":
        named = _named(fields, what, "client_id", "client_secret", "refresh_token")
        return UserLogin(named[0], _text(fields, "quota_project_id"), named[1], named[2])
    raise ConfigurationError(f"{what} holds credentials of type '{kind}', which are not supported; {_HOW}")


def _parsed(text: str) -> Any:
    """The JSON, or None; the parser's error holds the text and is left behind."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _named(fields: dict[str, Any], what: str, *names: str) -> list[str]:
    missing = [name for name in names if not _text(fields, name)]
    if missing:
        raise ConfigurationError(f"{what} lacks {', '.join(missing)}; {_HOW}")
    return [fields[name] for name in names]


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""
