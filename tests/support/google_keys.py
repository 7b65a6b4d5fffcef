"""Keys and logins of Google Cloud that let in nowhere."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


@cache
def private_key() -> str:
    """An RSA key in PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def public_certificate_key() -> bytes:
    """The public half of it, in PEM."""
    key = serialization.load_pem_private_key(private_key().encode(), None)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


def service_account(**changes: Any) -> str:
    """As the console gives it."""
    fields = {
        "type": "service_account",
        "project_id": "of-the-key",
        "private_key_id": "key-1",
        "private_key": private_key(),
        "client_email": "kamerton@of-the-key.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    return json.dumps(fields | changes)


def login(**changes: Any) -> str:
    """As `gcloud auth application-default login` writes it."""
    fields = {
        "type": "authorized_user",
        "client_id": "client-1",
        "client_secret": "secret-of-the-client",
        "refresh_token": "1//secret-to-refresh",
        "quota_project_id": "of-the-login",
    }
    return json.dumps(fields | changes)
