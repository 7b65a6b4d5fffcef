"""Google's tokens over HTTP: for keys, logins and machines, and every way in which they are not given."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from google_keys import login, service_account
from pydantic import SecretStr

from kamerton.domain.errors import ConfigurationError, VendorError
from kamerton.vendors.accounts.google import GoogleAccount
from kamerton.vendors.google.credentials import GoogleCredentials, open_credentials, secret_of
from kamerton.vendors.google.wire_double import TokenDouble, TokenScript, serve_google_tokens

pytestmark = [pytest.mark.anyio, pytest.mark.socket]


async def with_login(vendor: TokenDouble, timeout_s: float = 5.0) -> GoogleCredentials:
    account = GoogleAccount(credentials_json=SecretStr(login()), token_url=vendor.url, token_timeout_s=timeout_s)
    return await open_credentials(account, "speech.googleapis.com", environment={})


async def failure(vendor: TokenDouble, timeout_s: float = 5.0) -> VendorError:
    credentials = await with_login(vendor, timeout_s)
    try:
        with pytest.raises(VendorError) as caught:
            await credentials.metadata()
    finally:
        await credentials.aclose()
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert caught.value.__context__ is None, "the library's error holds the request"
    assert "secret-to-refresh" not in shown
    assert "secret-of-the-client" not in shown
    return caught.value


async def test_a_login_is_exchanged_and_its_project_pays() -> None:
    async with serve_google_tokens(TokenScript()) as vendor:
        credentials = await with_login(vendor)
        metadata = await credentials.metadata()
        await credentials.aclose()
    assert dict(metadata) == {"authorization": "Bearer ya29.stand-in", "x-goog-user-project": "of-the-login"}
    assert vendor.seen[0].form == {
        "grant_type": "refresh_token",
        "client_id": "client-1",
        "client_secret": "secret-of-the-client",
        "refresh_token": "1//secret-to-refresh",
    }


async def test_a_service_account_may_exchange_its_key() -> None:
    async with serve_google_tokens(TokenScript()) as vendor:
        key = service_account(token_uri=vendor.url)
        account = GoogleAccount(credentials_json=SecretStr(key), token="exchanged")
        credentials = await open_credentials(account, "speech.googleapis.com", environment={})
        assert secret_of(await credentials.metadata()) == "ya29.stand-in"
        await credentials.aclose()
    assert vendor.seen[0].form["grant_type"].endswith(":jwt-bearer")
    assert vendor.seen[0].form["assertion"].count(".") == 2


async def test_a_machine_of_google_cloud_is_asked_who_it_is() -> None:
    async with serve_google_tokens(TokenScript()) as vendor:
        environment = {"GCE_METADATA_HOST": vendor.host}
        credentials = await open_credentials(GoogleAccount(), "speech.googleapis.com", environment=environment)
        assert secret_of(await credentials.metadata()) == "ya29.stand-in"
        assert await credentials.project() == "of-the-machine"
        await credentials.aclose()
    assert {asked.flavor for asked in vendor.seen} == {"Google"}
    assert vendor.seen[0].target == "/computeMetadata/v1/instance/service-accounts/default/token"


async def test_elsewhere_the_metadata_server_is_not_there_and_the_setting_is_named() -> None:
    async with serve_google_tokens(TokenScript()) as vendor:
        host = vendor.host
    account = GoogleAccount()
    credentials = await open_credentials(account, "speech.googleapis.com", environment={"GCE_METADATA_HOST": host})
    with pytest.raises(VendorError, match=r"accounts\.google\.credentials_file") as caught:
        await credentials.metadata()
    await credentials.aclose()
    assert caught.value.fault == "connection"


@pytest.mark.parametrize(
    ("script", "fault", "said"),
    [
        (TokenScript(status=400, body='{"error": "invalid_grant"}'), "unauthorised", "log in anew"),
        (TokenScript(status=401, body="no: {sent}"), "unauthorised", "no: "),
        (TokenScript(status=500, body="oops"), "failed", "status 500"),
        (TokenScript(status=418, body="teapot"), "rejected", "status 418"),
        (TokenScript(body="<html>log in to this network</html>"), "broken", "no token"),
        (TokenScript(body='{"access_token": "два"}'), "broken", "no token"),
        (TokenScript(body='{"access_token": 5}'), "broken", "no token"),
        (TokenScript(manner="resets"), "connection", "cannot be reached"),
        (TokenScript(manner="endless"), "connection", "does not end"),
    ],
)
async def test_what_is_refused_or_makes_no_sense_is_told_without_secrets(
    script: TokenScript, fault: str, said: str
) -> None:
    async with serve_google_tokens(script) as vendor:
        error = await failure(vendor)
    assert error.fault == fault
    assert said in str(error)
    assert vendor.host in str(error)


async def test_an_exchange_that_is_asked_too_often_says_how_long_to_wait() -> None:
    async with serve_google_tokens(TokenScript(status=429, headers={"retry-after": "12"})) as vendor:
        error = await failure(vendor)
    assert (error.fault, error.retry_after_s) == ("rate_limited", 12.0)


async def test_an_exchange_that_hangs_is_left_at_the_deadline() -> None:
    async with serve_google_tokens(TokenScript(manner="hangs")) as vendor:
        error = await failure(vendor, timeout_s=0.2)
    assert error.fault == "timeout"
    assert "within 0.2 s" in str(error)


async def test_a_token_is_not_fetched_unencrypted_from_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_text(login())
    account = GoogleAccount(credentials_file=file, token_url="http://tokens.example.net/")
    with pytest.raises(ConfigurationError, match="use https"):
        await open_credentials(account, "speech.googleapis.com", environment={})
