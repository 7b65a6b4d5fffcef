"""How Yandex embeddings are chosen, set and opened."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import anyio.to_thread

from kamerton.domain.errors import ConfigurationError
from kamerton.embeddings.addresses import require_address
from kamerton.embeddings.service_limits import ServiceLimits
from kamerton.vendors.accounts.yandex import YandexAccount
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext, EngineType
from kamerton.vendors.secrets import read_secret

if TYPE_CHECKING:
    from kamerton.embeddings.credentials import Credentials
    from kamerton.embeddings.service import Service, ServiceEmbedder

_SECTION: Final = "understanding.yandex"


@dataclass(frozen=True, slots=True)
class YandexEmbeddingOptions:
    """Settings of `understanding.yandex`."""

    url: str = "https://llm.api.cloud.yandex.net/foundationModels/v1/textEmbedding"
    ca_file: Path | None = None
    """PEM of the authorities that sign the server's certificate; None: those of the machine."""
    query_model: str = "text-search-query/latest"
    """For what callers say."""
    passage_model: str = "text-search-doc/latest"
    """For documents."""
    wordings_as: Literal["query", "passage"] = "query"
    """With which of them an assistant's own wordings are embedded. They are short questions, like what callers say, and
    thresholds are fitted from their likeness to each other; the vendor recommends `passage` for documents."""
    dimensions: int = 256
    """Of a vector; 256 is the models' own, anything else is asked for."""
    query_ms: float = 150.0
    """Longest wait of a turn for a vector; then the next embedder of the chain is asked."""
    connect_s: float = 2.0
    """To open a connection."""
    read_s: float = 5.0
    """Longest silence of the service within a request."""
    total_s: float = 10.0
    """Longest a request takes; only the indexing of known texts waits so long."""
    requests_per_s: float = 10.0
    """The vendor's quota; a fifth of it is kept for callers while known texts are indexed."""
    at_once: int = 8
    """Requests under way, 2 to 64; indexing takes half of them at most."""
    cached: int = 100_000
    """Vectors of known texts on disk, 4 KB each; beyond it the least recently used go."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigurationError: says which value and why.
        """
        require_address(self.url, f"{_SECTION}: url")
        if not self.query_model.strip("/ ") or not self.passage_model.strip("/ "):
            raise ConfigurationError(f"{_SECTION}: query_model and passage_model must both be named")
        if not 1 <= self.dimensions <= 8192:
            raise ConfigurationError(f"{_SECTION}: dimensions is {self.dimensions}; set 1 to 8192")
        self.limits.refuse_nonsense(_SECTION, self.connect_s, self.read_s)

    @property
    def limits(self) -> ServiceLimits:
        """The bounds as the embedder takes them."""
        return ServiceLimits(self.query_ms / 1000, self.total_s, self.requests_per_s, self.at_once, self.cached)


def _credentials(account: YandexAccount) -> Credentials:
    """What the account lets us in with. Blocking.

    Raises:
        ConfigurationError: nothing is set that this service takes.
    """
    from kamerton.embeddings.credentials import Credentials

    if not account.folder:
        raise ConfigurationError(
            "accounts.yandex.folder is missing: models are addressed by it; set KAMERTON_ACCOUNTS__YANDEX__FOLDER"
        )
    plain = {"x-folder-id": account.folder}
    key = read_secret(account.api_key, account.api_key_file, "accounts.yandex.api_key")
    if key is not None:
        renew = partial(_again, account, "api_key") if account.api_key_file is not None else None
        return Credentials("Api-Key", key, plain, renew)
    token = read_secret(account.iam_token, account.iam_token_file, "accounts.yandex.iam_token")
    if token is not None:
        renew = partial(_again, account, "iam_token") if account.iam_token_file is not None else None
        return Credentials("Bearer", token, plain, renew)
    raise ConfigurationError(
        "Yandex embeddings take an API key or an IAM token, and neither is set; set KAMERTON_ACCOUNTS__YANDEX__API_KEY "
        "(or …_API_KEY_FILE), or KAMERTON_ACCOUNTS__YANDEX__IAM_TOKEN_FILE"
    )


def _again(account: YandexAccount, name: Literal["api_key", "iam_token"]) -> str:
    file = account.api_key_file if name == "api_key" else account.iam_token_file
    return read_secret(None, file, f"accounts.yandex.{name}") or ""


def _service(options: YandexEmbeddingOptions, context: EngineContext) -> Service:
    from kamerton.embeddings.json_endpoint import EndpointSettings, JsonEndpoint
    from kamerton.embeddings.service import Service
    from kamerton.embeddings.yandex.protocol import YandexEmbeddingApi

    account = context.account(YandexAccount)
    credentials = _credentials(account)
    where = EndpointSettings("Yandex embeddings", options.url, options.ca_file, options.connect_s, options.read_s)
    api = YandexEmbeddingApi(
        folder=account.folder,
        query_model=options.query_model.strip("/ "),
        passage_model=options.passage_model.strip("/ "),
        wordings_as=options.wordings_as,
        dimensions=options.dimensions,
        url=options.url,
    )
    return Service("yandex", api, JsonEndpoint(where, credentials), options.limits)


async def _open(options: YandexEmbeddingOptions, context: EngineContext) -> ServiceEmbedder:
    from kamerton.embeddings.service import ServiceEmbedder

    return await anyio.to_thread.run_sync(lambda: ServiceEmbedder(_service(options, context), context))


async def _check(options: YandexEmbeddingOptions, context: EngineContext) -> Check:
    from kamerton.embeddings.service_check import check_service

    return await check_service(partial(_service, options, context), context)


ENGINE: Final = EngineType("yandex", YandexEmbeddingOptions, _open, _check)
