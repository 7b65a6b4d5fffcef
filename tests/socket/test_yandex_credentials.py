"""IAM tokens for a service account: given, renewed in time, refused, late; and keys that cannot work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from kamerton.domain.errors import ConfigurationError, VendorError
from kamerton.vendors.accounts.yandex import YandexAccount
from kamerton.vendors.yandex.credentials import YandexCredentials, open_credentials
from kamerton.vendors.yandex.wire_double import IamDouble, IamScript, serve_iam

pytestmark = [pytest.mark.socket, pytest.mark.anyio]


async def credentials_of(iam: IamDouble, folder: Path, **options: Any) -> YandexCredentials:
    key = iam.write_key(folder / "key.json")
    return await open_credentials(YandexAccount(service_account_key_file=key, iam_url=iam.url), **options)


def token_of(metadata: Any) -> str:
    return str(dict(metadata)["authorization"])


async def test_a_token_is_fetched_once_for_all_who_ask(tmp_path: Path) -> None:
    async with serve_iam() as iam:
        credentials = await credentials_of(iam, tmp_path)
        got: list[str] = []

        async def ask() -> None:
            got.append(token_of(await credentials.metadata()))

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(ask)
        await credentials.aclose()
    assert got == [f"Bearer {iam.tokens[0]}"] * 10
    assert iam.asked == 1


async def test_a_token_near_its_end_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that is moved on: after an hour, though it lives twelve."""
    async with serve_iam() as iam:
        credentials = await credentials_of(iam, tmp_path)
        first = token_of(await credentials.metadata())
        ahead_s = 0.0
        loop_s = anyio.current_time
        monkeypatch.setattr(anyio, "current_time", lambda: loop_s() + ahead_s)
        ahead_s = 3500.0
        assert token_of(await credentials.metadata()) == first
        ahead_s = 3700.0
        second = token_of(await credentials.metadata())
        iam.script.status = 503
        ahead_s += 3700.0
        assert token_of(await credentials.metadata()) == second, "the old one still lives"
        ahead_s += 12 * 3600.0
        with pytest.raises(VendorError) as failure:
            await credentials.metadata()
        await credentials.aclose()
    assert (first, second) == tuple(f"Bearer {token}" for token in iam.tokens)
    assert failure.value.fault == "failed"


async def test_a_refused_token_is_exchanged_but_not_over_and_over(tmp_path: Path) -> None:
    async with serve_iam() as iam:
        credentials = await credentials_of(iam, tmp_path)
        used = await credentials.metadata()
        assert not await credentials.refused(used), "it came only now: something else is wrong"
        assert await credentials.refused((("authorization", "Bearer older"),)), "there is a newer one already"
        await credentials.aclose()
    assert iam.asked == 1


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        (IamScript(status=401, body='{"message": "no such key: {sent}"}'), "unauthorised"),
        (IamScript(status=429, headers={"retry-after": "7"}), "rate_limited"),
        (IamScript(status=500), "failed"),
        (IamScript(body="<html>"), "broken"),
        (IamScript(body='{"iamToken": 5}'), "broken"),
        (IamScript(manner="hangs"), "timeout"),
        (IamScript(manner="resets"), "connection"),
        (IamScript(manner="endless"), "connection"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.manner}-{value.status}-{value.body}"[:24],
)
async def test_an_exchange_that_fails_is_told_without_secrets(script: IamScript, fault: str, tmp_path: Path) -> None:
    async with serve_iam(script) as iam:
        credentials = await credentials_of(iam, tmp_path, iam_timeout_s=0.5)
        with pytest.raises(VendorError) as failure:
            await credentials.metadata()
        await credentials.aclose()
    assert failure.value.fault == fault
    assert failure.value.retry_after_s == (7 if fault == "rate_limited" else None)
    assert "127.0.0.1" in str(failure.value)
    assert "eyJ" not in str(failure.value), "a JWT begins so"
    assert failure.value.__cause__ is None


@pytest.mark.parametrize("expires", ["garbage", "1999-01-01T00:00:00Z", ""])
async def test_an_end_that_makes_no_sense_is_not_believed(expires: str, tmp_path: Path) -> None:
    async with serve_iam(IamScript(expires=expires)) as iam:
        credentials = await credentials_of(iam, tmp_path)
        assert await credentials.metadata() == await credentials.metadata()
        await credentials.aclose()
    assert iam.asked == 1


async def test_a_token_in_a_file_is_read_again_when_it_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("t1.old\n")
    credentials = await open_credentials(YandexAccount(iam_token_file=file, folder="b1folder"))
    used = await credentials.metadata()
    assert used == (("authorization", "Bearer t1.old"), ("x-folder-id", "b1folder"))
    assert not await credentials.refused(used)
    file.write_text("t1.new\n")
    with anyio.fail_after(5):
        assert await credentials.refused(used)
    assert token_of(await credentials.headers()) == "Bearer t1.new"


@pytest.mark.parametrize(
    ("account", "words"),
    [
        (YandexAccount(), "KAMERTON_ACCOUNTS__YANDEX__API_KEY"),
        (YandexAccount(api_key=SecretStr("with space")), "api_key"),
        (YandexAccount(service_account_key_file=Path("/nowhere/key.json")), "service_account_key_file"),
    ],
)
async def test_credentials_that_cannot_work_are_refused_at_once(account: YandexAccount, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as error:
        await open_credentials(account)
    assert "with space" not in str(error.value)


@pytest.mark.parametrize("content", ["{}", "[]", "no json", '{"id": 1}'])
async def test_a_file_that_is_no_service_accounts_key_is_refused(content: str, tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=r"key\.json"):
        await open_credentials(YandexAccount(service_account_key_file=file))


async def test_a_private_key_that_is_none_is_a_fault_of_the_settings(tmp_path: Path) -> None:
    async with serve_iam() as iam:
        key = iam.write_key(tmp_path / "key.json", private_key="-----BEGIN PRIVATE KEY-----\nsecret\n")
        credentials = await open_credentials(YandexAccount(service_account_key_file=key, iam_url=iam.url))
        with pytest.raises(ConfigurationError, match="private_key") as error:
            await credentials.metadata()
        await credentials.aclose()
    assert "secret" not in str(error.value)


async def test_a_jwt_is_sent_over_an_encrypted_connection_only(tmp_path: Path) -> None:
    async with serve_iam() as iam:
        key = iam.write_key(tmp_path / "key.json")
    with pytest.raises(ConfigurationError, match="https"):
        await open_credentials(YandexAccount(service_account_key_file=key, iam_url="http://iam.example.net/"))
