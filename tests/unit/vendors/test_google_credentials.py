from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from google.auth import jwt as untyped_jwt
from google_keys import login, private_key, public_certificate_key, service_account
from pydantic import SecretStr

from kamerton.domain.errors import ConfigurationError, VendorError
from kamerton.testing.virtual_loop import VirtualLoop
from kamerton.vendors.accounts.google import GoogleAccount
from kamerton.vendors.google.credentials import GoogleCredentials, open_credentials, secret_of
from kamerton.vendors.google.keys import ServiceAccountKey, UserLogin, find_key
from kamerton.vendors.kept_token import AccessToken

SPEECH = "speech.googleapis.com"
jwt: Any = untyped_jwt


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualLoop}


class Tokens:
    """A source that gives numbered tokens, as slowly and as long as is wanted."""

    def __init__(self, *, life_s: float = 3600.0, takes_s: float = 0.0) -> None:
        self.given = 0
        self.life_s = life_s
        self.takes_s = takes_s
        self.failure: VendorError | None = None

    async def token(self) -> AccessToken:
        await anyio.sleep(self.takes_s)
        if self.failure is not None:
            raise self.failure
        self.given += 1
        return AccessToken(f"token-{self.given}", self.life_s)

    async def project(self) -> str:
        return ""

    async def aclose(self) -> None:
        """Nothing to free."""


class TestKeys:
    def test_they_are_looked_for_where_googles_libraries_look(self, tmp_path: Path) -> None:
        key, gcloud = tmp_path / "key.json", tmp_path / ".config" / "gcloud" / "application_default_credentials.json"
        key.write_text(service_account())
        gcloud.parent.mkdir(parents=True)
        gcloud.write_text(login())
        home = {"HOME": str(tmp_path)}
        assert isinstance(find_key(GoogleAccount(credentials_file=key), home), ServiceAccountKey)
        assert isinstance(
            find_key(GoogleAccount(credentials_json=SecretStr(service_account())), home), ServiceAccountKey
        )
        assert isinstance(
            find_key(GoogleAccount(), home | {"GOOGLE_APPLICATION_CREDENTIALS": str(key)}), ServiceAccountKey
        )
        assert isinstance(find_key(GoogleAccount(), home), UserLogin)
        assert isinstance(find_key(GoogleAccount(), {"CLOUDSDK_CONFIG": str(gcloud.parent)}), UserLogin)
        assert find_key(GoogleAccount(), {}) is None

    @pytest.mark.parametrize(
        ("text", "named"),
        [
            ("no json", "is no JSON"),
            ("[]", "type 'None'"),
            ('{"type": "external_account"}', "type 'external_account', which are not supported"),
            ('{"type": "service_account"}', "lacks client_email, private_key"),
            ('{"type": "authorized_user", "client_id": 1}', "lacks client_id, client_secret, refresh_token"),
        ],
    )
    def test_what_is_no_key_is_refused_with_what_to_do(self, text: str, named: str, tmp_path: Path) -> None:
        file = tmp_path / "key.json"
        file.write_text(text)
        with pytest.raises(ConfigurationError, match=named) as caught:
            find_key(GoogleAccount(credentials_file=file), {})
        assert "gcloud auth application-default login" in str(caught.value)
        assert caught.value.__context__ is None

    def test_a_file_and_a_value_are_one_too_many(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="keep one of them"):
            find_key(GoogleAccount(credentials_file=tmp_path, credentials_json=SecretStr("{}")), {})

    def test_a_file_that_is_missing_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"GOOGLE_APPLICATION_CREDENTIALS: .*nowhere.json cannot be read"):
            find_key(GoogleAccount(), {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "nowhere.json")})

    def test_nothing_shows_the_secrets(self) -> None:
        account = GoogleAccount(credentials_json=SecretStr(service_account()))
        key = find_key(account, {})
        assert private_key()[40:80] not in repr(key) + repr(account)
        shown = repr(find_key(GoogleAccount(credentials_json=SecretStr(login())), {}))
        assert "secret-of-the-client" not in shown
        assert "secret-to-refresh" not in shown


@pytest.mark.anyio
class TestSelfSigned:
    async def test_a_service_account_signs_its_tokens_itself(self) -> None:
        account = GoogleAccount(credentials_json=SecretStr(service_account()))
        credentials = await open_credentials(account, SPEECH, environment={})
        metadata = await credentials.metadata()
        claims = jwt.decode(
            secret_of(metadata), certs=public_certificate_key(), verify=True, audience=f"https://{SPEECH}/"
        )
        assert claims["iss"] == claims["sub"] == "kamerton@of-the-key.iam.gserviceaccount.com"
        assert claims["exp"] - claims["iat"] <= 3600
        assert jwt.decode_header(secret_of(metadata)) == {"typ": "JWT", "alg": "RS256", "kid": "key-1"}
        assert dict(metadata).keys() == {"authorization"}
        assert await credentials.project() == "of-the-key"
        assert secret_of(metadata) not in repr(credentials)

    @pytest.mark.parametrize("broken", ["no key", private_key().replace("A", "B")])
    async def test_a_private_key_that_is_none_is_told_without_showing_it(self, broken: str) -> None:
        account = GoogleAccount(credentials_json=SecretStr(service_account(private_key=broken)))
        credentials = await open_credentials(account, SPEECH, environment={})
        with pytest.raises(ConfigurationError, match="no RSA key") as caught:
            await credentials.metadata()
        assert broken[40:80] not in str(caught.value) or not broken[40:80]
        assert caught.value.__context__ is None

    async def test_the_project_that_was_set_goes_before_the_keys(self) -> None:
        account = GoogleAccount(credentials_json=SecretStr(service_account()), project="set")
        credentials = await open_credentials(account, SPEECH, environment={"GOOGLE_CLOUD_PROJECT": "of-the-machine"})
        assert await credentials.project() == "set"

    async def test_a_login_says_which_project_pays(self) -> None:
        account = GoogleAccount(credentials_json=SecretStr(login()))
        credentials = await open_credentials(account, SPEECH, environment={})
        assert await credentials.project() == "of-the-login"


@pytest.mark.anyio
class TestRenewal:
    async def test_requests_that_come_together_ask_once(self) -> None:
        tokens = Tokens(takes_s=1.0)
        credentials = GoogleCredentials(tokens, "p")
        seen: set[str] = set()

        async def ask() -> None:
            seen.add(secret_of(await credentials.metadata()))

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(ask)
        assert (seen, tokens.given) == ({"token-1"}, 1)

    async def test_a_token_is_renewed_before_it_dies(self) -> None:
        credentials = GoogleCredentials(Tokens(life_s=100.0), "p")
        assert secret_of(await credentials.metadata()) == "token-1"
        await anyio.sleep(60)
        assert secret_of(await credentials.metadata()) == "token-1"
        await anyio.sleep(11)
        assert secret_of(await credentials.metadata()) == "token-2"

    async def test_while_one_renews_the_others_go_on_with_the_old_token(self) -> None:
        tokens = Tokens(life_s=1000.0)
        credentials = GoogleCredentials(tokens, "p")
        await credentials.metadata()
        await anyio.sleep(800)
        tokens.takes_s = 5.0
        async with anyio.create_task_group() as group:
            group.start_soon(credentials.metadata)
            await anyio.sleep(1)
            before_s = anyio.current_time()
            assert secret_of(await credentials.metadata()) == "token-1"
            assert anyio.current_time() == before_s

    async def test_when_a_renewal_fails_the_old_token_is_used_while_it_lives(self) -> None:
        tokens = Tokens(life_s=1000.0)
        credentials = GoogleCredentials(tokens, "p")
        await credentials.metadata()
        await anyio.sleep(800)
        tokens.failure = VendorError("away", "connection")
        assert secret_of(await credentials.metadata()) == "token-1"
        await anyio.sleep(180)
        with pytest.raises(VendorError, match="away"):
            await credentials.metadata()

    async def test_a_failure_is_shared_by_all_who_waited_for_it(self) -> None:
        tokens = Tokens(takes_s=1.0)
        tokens.failure = VendorError("away", "connection", retry_after_s=3.0)
        credentials = GoogleCredentials(tokens, "p")
        failures: list[VendorError] = []

        async def ask() -> None:
            with pytest.raises(VendorError) as caught:
                await credentials.metadata()
            failures.append(caught.value)

        started_s = anyio.current_time()
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(ask)
        assert [failure.retry_after_s for failure in failures] == [3.0] * 4
        assert anyio.current_time() - started_s == pytest.approx(1.0)

    async def test_a_refused_token_is_replaced_unless_it_is_new(self) -> None:
        credentials = GoogleCredentials(Tokens(), "p")
        used = await credentials.metadata()
        assert not await credentials.refused(used), "a new one would be as good"
        await anyio.sleep(60)
        assert await credentials.refused(used)
        assert secret_of(await credentials.metadata()) == "token-2"
        assert await credentials.refused(used), "another one is there already"

    async def test_who_waits_may_be_cancelled(self) -> None:
        tokens = Tokens(takes_s=10.0)
        credentials = GoogleCredentials(tokens, "p")
        with anyio.move_on_after(1.0):
            await credentials.metadata()
        tokens.takes_s = 0.0
        assert secret_of(await credentials.metadata()) == "token-1"

    async def test_without_a_project_nothing_can_be_asked(self) -> None:
        with pytest.raises(ConfigurationError, match="KAMERTON_ACCOUNTS__GOOGLE__PROJECT"):
            await GoogleCredentials(Tokens(), "").project()
